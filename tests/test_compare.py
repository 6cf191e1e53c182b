"""`python -m asv_benchmarks.compare`: contestants in turns, of whom none is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import pytest

from asv_benchmarks.compare.contestants import ROW
from asv_benchmarks.compare.parts import HAND, names, verdicts
from asv_benchmarks.compare.racing import OURS, Contestant, Race, Result

ROOT = Path(__file__).parent.parent
OPTIONS = Namespace(seconds=0.1, threads=1, keep_memory=False)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def race(folder, *others, **pythons):
    wanted = OURS, *others
    return Race(wanted, dict.fromkeys(wanted, sys.executable) | pythons, str(folder), OPTIONS)


def state(pid: int) -> str:
    """The letter that Linux has for what a process does; Z, too, where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_both_are_measured_while_the_other_is_stopped(tmp_path, monkeypatch):
    real, going, most = Contestant.signal, set(), []

    def noted(self, name):
        (going.add if name == "SIGCONT" else going.remove)(self.name)
        most.append(len(going))
        real(self, name)

    monkeypatch.setattr(Contestant, "signal", noted)
    with race(tmp_path, HAND) as found:
        (result,) = found.run("classifier", [ROW])
    assert max(most) == 1 and not going
    assert result.seconds.keys() == {OURS, HAND}
    ratio, low, high = result.ratio(HAND)
    assert 0 < low <= ratio <= high
    assert all(c.process.poll() is not None for c in found.started)


def test_who_is_missing_says_why(tmp_path):
    with race(tmp_path, HAND, **{HAND: "false"}) as found:
        assert found.started[1].absent == "its process ended with status 1"
        assert [c.name for c in found.contestants] == [OURS]


def test_who_dies_is_named_and_all_others_end(tmp_path):
    with (
        pytest.raises(RuntimeError, match=f"{HAND} failed .*ended with status -9"),
        race(tmp_path, HAND) as found,
    ):
        found.started[1].process.kill()
        found.run("classifier", [ROW])
    assert all(c.process.poll() is not None for c in found.started)


@on_linux
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nobody_is_left_behind(name):
    command = [sys.executable, "-m", "asv_benchmarks.compare", "calls", "--seconds=600"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()  # The heading: all have started.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(getattr(signal, name))
        *_, errors = process.communicate(timeout=30)
    number = getattr(signal, name)
    assert process.returncode == (-number if name == "SIGKILL" else 128 + number), errors
    assert errors == ""
    assert children
    until = time.monotonic() + 10
    while alive := [pid for pid in children if state(pid) not in "ZX"]:
        assert time.monotonic() < until, alive
        time.sleep(0.05)


def test_what_is_not_installed_is_left_out():
    command = [sys.executable, "-m", "asv_benchmarks.compare", "training", "--only=nothing"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if find_spec("torch") is None:
        assert "Left out: PyTorch (No module named 'torch')." in done.stdout
    assert "Training: there is nobody to compare with." in done.stdout


def test_goals():
    assert names(["memory"]) == [OURS, "PyTorch"]
    result = Result("MLP", ROW, {OURS: [1.0] * 3, HAND: [0.5, 0.25, 0.125]})
    (said,) = verdicts("rows", [result])
    assert said == f"met     MLP, {ROW}: 0.25 times as fast as {HAND}, goal 0.2"
