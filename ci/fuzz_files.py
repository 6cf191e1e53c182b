"""Looks for files that do harm, for as long as you let it: coverage leads atheris to them.

    pip install atheris numpy h5py ml_dtypes array-api-compat hypothesis pytest
    PYTHONPATH=.:tests python ci/fuzz_files.py KIND [options of libFuzzer, such as
        -max_total_time=600 -rss_limit_mb=1024 -timeout=5]
    PYTHONPATH=.:tests python ci/fuzz_files.py KIND crash-...      that file alone, once more

KIND is config (of .keras archives), weights (HDF5 in such archives), .keras, .h5, .weights.h5,
.weights.json or .safetensors.  It stops at the first file that does more than to load, or to give
a ValueError or OSError that names it, and leaves its bytes in crash-...  CI runs
tests/saving/test_fuzzing.py instead, which has the same checks.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gpulayers"]):
    import gpulayers
    from gpulayers.saving import archive, hdf5, legacy_files, model_files, tensors  # noqa: F401

from saving import models, test_fuzzing


def check(kind: str, make):
    """A function of bytes, which are a file of that kind or a part of one."""
    if kind in ("config", "weights"):
        whole = test_fuzzing.archive(make)
        name = "config.json" if kind == "config" else archive.WEIGHTS

        def run(data):
            content = test_fuzzing.archived({**whole, name: bytes(data)})
            test_fuzzing.harmless(content, ".keras")

        return run, whole[name]
    load = test_fuzzing.loader(make, kind)
    return lambda data: test_fuzzing.harmless(bytes(data), kind, load), test_fuzzing.content(
        make, kind
    )


def warm_up():
    """Load a file of each kind, for which Python imports modules of its own."""
    for ending in (".keras", ".h5"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"m{ending}")
            path.write_bytes(test_fuzzing.content(models.sequential, ending))
            gpulayers.saving.load_model(path)


def main():
    kind, *options = sys.argv[1:] or ["-h"]
    if kind not in ("config", "weights", *test_fuzzing.ENDINGS):
        sys.exit(__doc__)
    makes = [models.sequential] + ([] if kind.endswith((".h5", "json")) else [models.graph])
    warm_up()
    with tempfile.TemporaryDirectory() as folder:  # What mutations begin with.
        for make in makes:
            Path(folder, make.__name__).write_bytes(check(kind, make)[1])
        begin = [] if any(Path(option).is_file() for option in options) else [folder]
        atheris.Setup([sys.argv[0], *options, *begin], check(kind, makes[0])[0])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
