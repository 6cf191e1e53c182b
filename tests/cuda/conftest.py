"""Fixtures for kernels: a GPU if there is one, else the rig in all orders of threads."""

from __future__ import annotations

from functools import cache

import pytest
import rig
from stand_in_cupy import installed

from gpulayers import config

ORDERS = ("forward", "reverse", "random")


@cache
def gpu_is_here() -> bool:
    """Whether CuPy finds a GPU that can run kernels."""
    from gpulayers.arrays.devices import why_no_gpu

    return why_no_gpu() is None


@pytest.fixture
def cupy():
    """CuPy on a GPU, else its stand-in over the rig: both run the kernels of gpulayers."""
    if gpu_is_here():
        import cupy as module

        config.set_device(None)
        yield module
        return
    reason = rig.why_not()
    if reason:
        pytest.skip(reason)
    with installed(kernels=True) as module:
        config.set_device(None)
        forget()
        yield module


def forget() -> None:
    """Let functions of arrays that are remembered start anew."""
    from gpulayers.cuda import inference

    inference._remembered_product.cache_clear()
    inference._merging.cache_clear()
    inference.beside.cache_clear()
    inference._remembered.cache_clear()


@pytest.fixture(params=ORDERS)
def order(request):
    """Each order in which the rig may run threads: for kernels with barriers."""
    if gpu_is_here():
        if request.param != ORDERS[0]:
            pytest.skip("a GPU has an order of its own")
        yield "gpu"
        return
    with rig.schedule(request.param, seed=7):
        yield request.param


@pytest.fixture
def same_products(monkeypatch):
    """Matrix products of our own in all steps: cuBLAS, which sums otherwise, cannot be captured."""
    from gpulayers.cuda import gemm

    monkeypatch.setattr(gemm, "capturing", lambda: True)


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that were launched."""
    from gpulayers.cuda.module import Kernel

    names, launch = [], Kernel.launch

    def noted(kernel, *args, **options):
        names.append(kernel.name)
        return launch(kernel, *args, **options)

    monkeypatch.setattr(Kernel, "launch", noted)
    return names
