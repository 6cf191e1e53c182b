"""Fixtures: every array library that the tests run over."""

from __future__ import annotations

import os
import signal

import pytest
from backends import BACKENDS, OPTIONAL
from stand_in_cupy import installed

import gpulayers
from gpulayers import config
from gpulayers.arrays.devices import why_no_gpu


def pytest_addoption(parser):
    parser.addoption(
        "--libraries",
        default="",
        help="further array libraries for the xp fixture, e.g. torch,jax,dask; or all",
    )
    parser.addoption(
        "--gpu",
        action="store_true",
        help="only tests that run kernels on a GPU, with memory of its own for every array",
    )
    parser.addoption("--shard", default="0/1", help="only each n-th test, e.g. 2/8")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As shells let it be in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--gpu"):
        reason = why_no_gpu()
        if reason:
            raise pytest.UsageError(f"--gpu: {reason}")
        import cupy

        cupy.cuda.set_allocator(None)  # In a pool, what is behind an array is another array.


def pytest_collection_modifyitems(config, items):
    if config.getoption("--gpu"):
        items[:] = [
            item
            for item in items
            if "cupy" in item.fixturenames
            and "stand_in" not in item.fixturenames
            and item.path.parent.name == "cuda"
        ]
    first, count = map(int, config.getoption("--shard").split("/"))
    items[:] = items[first::count]


def pytest_generate_tests(metafunc):
    if "xp" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--libraries")
        names = list(OPTIONAL) if wanted == "all" else [n for n in wanted.split(",") if n]
        chosen = [make() for make in (*BACKENDS, *(OPTIONAL[name] for name in names))]
        chosen = [backend for backend in chosen if backend is not None]
        metafunc.parametrize("xp", chosen, ids=[backend.name for backend in chosen])


@pytest.fixture
def cupy():
    """A stand-in for CuPy with two GPUs, for as long as a test runs."""
    with installed() as module:
        config.set_device(None)
        yield module


@pytest.fixture(autouse=True)
def _fresh_names():
    """Automatic names, seeds and settings do not depend on the tests before."""
    config.set_device(os.environ.get("GPULAYERS_DEVICE", "cpu"))
    gpulayers.utils.clear_session()
    gpulayers.utils.set_random_seed(1234)
    yield
    config.set_dtype_policy(None)
    config.set_floatx("float32")


@pytest.fixture(scope="module", params=[False, True], ids=["passes", "loops"])
def loops(request):
    """Tests run by NumPy's passes, and again by compiled loops, whatever the size of arrays."""
    before = config.jit()
    config.set_jit(request.param)
    yield request.param
    config.set_jit(before)


@pytest.fixture
def compiled():
    """Tests run by compiled loops from the first call on, whatever the size of arrays."""
    before = config.jit()
    config.set_jit(True)
    yield
    config.set_jit(before)
