"""What loading a hostile file takes and does, seen from a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpulayers
from gpulayers import layers, models

GIGABYTE = 1 << 30

# A process that reads paths and tells of each, from a copy of itself, the seconds and bytes that
# the file takes, and what it imports, runs and writes.
SERVER = """
import json, os, resource, sys, time, warnings
import h5py, numpy
import gpulayers
import saving.models
from gpulayers import layers, saving
warnings.simplefilter("ignore")
events, watching = [], False
watched = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class")

def watch(event, args):
    writes = event == "open" and isinstance(args[2], int) and args[2] & 3
    if watching and (event in watched or (writes and "__pycache__" not in str(args[0]))):
        events.append(f"{event} {args[0]}")

def tell(path):
    global watching
    before = set(sys.modules)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    watching = True
    try:
        saving.load_model(path)
        error = "it loaded"
    except (ValueError, OSError) as found:
        error = str(found)
    watching = False
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    new = {m.partition(".")[0] for m in set(sys.modules) - before}
    new -= {"gpulayers", "h5py", "numpy", "ml_dtypes"}
    print(json.dumps([error, seconds, peak, sorted(new), events]), flush=True)

sys.addaudithook(watch)
for path in sys.argv[1:]:
    saving.load_model(path)
for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            tell(line.strip())
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("null", flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that has loaded files of both kinds before."""
    place = tmp_path_factory.mktemp("server")
    paths = [str(place / name) for name in ("m.keras", "m.h5")]
    for path in paths:
        models.Sequential([gpulayers.Input((4,)), layers.Dense(3)]).save(path)
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, *paths],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *filter(None, sys.path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.stdin.close()


@pytest.fixture
def measured(server):
    """A function that loads a file, which must be refused at once, and do nothing else."""

    def measure(path, match=""):
        path = Path(path).absolute()
        listed = set(os.listdir(path.parent))
        server.stdin.write(f"{path}\n")
        server.stdin.flush()
        error, seconds, peak, imported, events = json.loads(server.stdout.readline())
        assert error.startswith(str(path))
        assert match in error
        assert seconds < 1
        assert peak * (1 if sys.platform == "darwin" else 1024) < GIGABYTE
        assert imported == []
        assert events == []
        assert set(os.listdir(path.parent)) == listed

    return measure
