"""Files changed at random: each loads, or gives a ValueError or OSError that names it.

Nothing is imported, run or written by any of them.  `ci/fuzz_files.py` looks for longer.
"""

from __future__ import annotations

import copy
import encodings.cp437  # noqa: F401 - Of names in zip files: Python imports it once.
import json
import random
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saving.archives import members, write
from saving.models import compiled, fit, graph, sequential

from gpulayers import saving

ENDINGS = (".keras", ".h5", ".weights.h5", ".weights.json", ".safetensors")
MODELS = (sequential, graph, compiled)
fuzzing = settings(max_examples=60, deadline=None, derandomize=True, database=None)

# What takes the place of values in descriptions.
LEAVES = (
    None, True, False, 0, -1, 3, 10**6, 10**12, 10**400, 1e308, float("nan"), "", "x", "relu",
    "os.system", "../x", "/etc/passwd", "\0", "x" * 1000, [], {}, [None], [[]], [1, 2, 3],
    [10**6, 10**6], {"class_name": "Dense", "config": {"units": 10**9}},
    {"class_name": "function", "config": "eval"},
    {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}},
    {"class_name": "__numpy__", "config": {"value": [1, "a"], "dtype": "float32"}},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}},
    {"module": "os", "class_name": "system", "config": {"command": "x"}},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "gASV"}},
)  # fmt: skip
WATCHED = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork",
           "pickle.find_class", "socket.connect", "ctypes.dlopen")  # fmt: skip
OURS = ("gpulayers", "h5py", "numpy", "ml_dtypes")  # Modules that are imported when first needed.
_seen: list[tuple] | None = None


def _watch(event, args):
    if _seen is not None and (event in WATCHED or (event == "open" and _writes(args))):
        _seen.append((event, str(args[0])))


def _writes(args):
    return isinstance(args[2], int) and args[2] & 3 and not str(args[0]).startswith("/dev/")


sys.addaudithook(_watch)


def harmless(content: bytes, ending: str, load=saving.load_model) -> None:
    """Load a file of that content, which must do no harm."""
    global _seen
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, f"m{ending}")
        path.write_bytes(content)
        _seen, before, found = [], set(sys.modules), None
        try:
            load(path)
        except (ValueError, OSError) as error:
            found = error
        finally:
            seen, _seen = _seen, None
        if found is not None:
            assert type(found) in (ValueError, OSError) or found.filename is not None
            assert folder in str(found)  # A file of weights beside it may be missing.
            assert len(str(found)) < 30_000
        caches = ("__pycache__", folder)
        assert not [one for one in seen if one[0] != "open" or not any(c in one[1] for c in caches)]
        assert not [m for m in set(sys.modules) - before if m.partition(".")[0] not in OURS]
        assert [p.name for p in Path(folder).iterdir()] == [path.name]


@cache
def content(make, ending: str) -> bytes:
    """A file of a whole model, or of its weights."""
    model = make()
    if make is compiled:
        fit(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"m{ending}")
        if ending in (".keras", ".h5"):
            model.save(path)
        else:
            model.save_weights(path, **({"max_shard_size": 1} if ending.endswith("json") else {}))
        return path.read_bytes()


@cache
def archive(make) -> dict[str, bytes]:
    return members(make)


def loader(make, ending: str):
    return saving.load_model if ending in (".keras", ".h5") else make().load_weights


def places(value, path=()):
    """Where something stands in a description."""
    yield path
    if not isinstance(value, (dict, list)):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(part, (*path, key))


def mutated(value, random: random.Random):
    """A description with one to three of its parts replaced, renamed, doubled, moved or gone."""
    value = {"": json.loads(json.dumps(value))}
    for _ in range(random.randint(1, 3)):
        path = random.choice([p for p in places(value) if p])
        owner = value
        for key in path[:-1]:
            owner = owner[key]
        key, part = path[-1], owner[path[-1]]
        kind = random.randrange(6)
        if kind == 0 and len(path) > 1:
            del owner[key]
        elif kind == 1 and isinstance(owner, dict) and len(path) > 1:
            owner[random.choice(["name", "config", "class_name", "dtype", "x"])] = owner.pop(key)
        elif kind == 2:
            owner[key] = [part, part] if random.random() < 0.5 else {"config": part}
        elif kind == 3:
            other = value
            for step in random.choice([p for p in places(value) if p]):
                other = other[step]
            owner[key] = json.loads(json.dumps(other))
        elif kind == 4 and isinstance(owner, list):
            owner.insert(random.randint(0, len(owner)), part)
        else:
            owner[key] = copy.deepcopy(random.choice(LEAVES))  # Else the next change is in it, too.
    return value[""]


def damaged(data: bytes, random: random.Random) -> bytes:
    """Bytes of which a few are changed, doubled or gone."""
    data = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(data) or 1)
        size = random.choice((1, 1, 2, 4, 8, 64))
        kind = random.randrange(5)
        if kind == 0:
            data[at : at + size] = random.randbytes(size)
        elif kind == 1:
            data[at : at + size] = random.choice((b"\0", b"\xff", b"\x7f")) * size
        elif kind == 2:
            data[at:at] = data[at : at + size]
        elif kind == 3 and len(data) > size:
            del data[at : at + size]
        else:
            data[at : at + 1] = bytes([data[at] ^ 1 << random.randrange(8)]) if data else b""
    return bytes(data)


RANDOM = st.randoms(use_true_random=False)


def archived(whole: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.keras")
        write(path, whole)
        return path.read_bytes()


@pytest.mark.parametrize("make", MODELS)
@given(random=RANDOM)
@fuzzing
def test_descriptions(make, random):
    whole = archive(make)
    config = mutated(json.loads(whole["config.json"]), random)
    harmless(archived({**whole, "config.json": json.dumps(config).encode()}), ".keras")


@given(random=RANDOM)
@fuzzing
def test_descriptions_of_keras_2(random):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.h5")
        path.write_bytes(content(compiled, ".h5"))
        with h5py.File(path, "r+") as file:
            key = random.choice(["model_config", "model_config", "training_config"])
            file.attrs[key] = json.dumps(mutated(json.loads(file.attrs[key]), random))
        harmless(path.read_bytes(), ".h5")


@pytest.mark.parametrize("make", MODELS)
@given(random=RANDOM)
@fuzzing
def test_weights_inside_archives(make, random):
    """The checksums of an archive are right, so that HDF5 reads what is broken."""
    whole = archive(make)
    weights = damaged(whole["model.weights.h5"], random)
    harmless(archived({**whole, "model.weights.h5": weights}), ".keras")


@pytest.mark.parametrize("ending", ENDINGS)
@given(random=RANDOM)
@fuzzing
def test_bytes(ending, random):
    make = random.choice(MODELS[::2] if ending == ".h5" else MODELS)
    harmless(damaged(content(make, ending), random), ending, loader(make, ending))


@pytest.mark.parametrize("ending", [".weights.json", ".safetensors"])
@given(random=RANDOM)
@fuzzing
def test_lists_of_arrays(ending, random):
    data = content(sequential, ending)
    size = int.from_bytes(data[:8], "little") if ending == ".safetensors" else len(data)
    start = 8 if ending == ".safetensors" else 0
    text = json.dumps(mutated(json.loads(data[start : start + size]), random)).encode()
    head = len(text).to_bytes(8, "little") if start else b""
    harmless(head + text + data[start + size :], ending, sequential().load_weights)
