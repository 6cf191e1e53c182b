"""What functions of arrays ask of the GPU, asked again: the same bits, for other arguments."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gpu_plan_checks import numbers
from kernel_checks import FLOATS, kind

from gpulayers import config
from gpulayers.cuda import cublas, gemm, inference, replay
from gpulayers.cuda.module import empty_like
from gpulayers.cuda.partial_sums import accumulator
from gpulayers.ops import rectifier as ramps
from gpulayers.ops.attention import attention
from gpulayers.ops.convolution import convolution
from gpulayers.ops.dense import dense
from gpulayers.ops.normalization import normalized_along
from gpulayers.ops.pooling import average_pooling, max_pooling


class Counted:
    """A function, and how often it runs."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *arrays):
        self.count += 1
        return self.function(*arrays)


WINDOW = {"windows": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 1))}
AROUND = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilations": (1, 1)}
FUNCTIONS = {
    "a product": (lambda x, k, b: dense(x, k, b, activation="relu"), (5, 9), (9, 7), (7,)),
    "a deep product": (dense, (5, 2000), (2000, 7), (7,)),
    "a convolution": (
        lambda x, k, b: convolution(x, k, b, **AROUND), (2, 5, 6, 3), (3, 3, 3, 4), (4,),
    ),
    "a convolution of each channel": (
        lambda x, k: convolution(x, k, groups=3, **AROUND), (2, 5, 6, 3), (3, 3, 1, 3),
    ),
    "the largest": (lambda x: max_pooling(x, **WINDOW), (2, 6, 5, 3)),
    "means": (lambda x: average_pooling(x, **WINDOW), (2, 6, 5, 3)),
    "a normalization": (
        lambda x, g: normalized_along(x, g, axes=(1,), epsilon=1e-3), (4, 9), (9,),
    ),
    "several results": (lambda x, y: (ramps.relu(x), dense(x, y)), (3, 4), (4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_the_function(cupy, name, dtype):
    function, *shapes = FUNCTIONS[name]
    kinds = [kind(dtype)] * len(shapes)
    if name == "a normalization":  # With its weights as they are.
        kinds[1] = accumulator(kinds[0])
    counted = Counted(function)
    again = replay.remembered(counted)
    for i in range(5):
        given = [cupy.asarray(numbers(*s).astype(k)) for s, k in zip(shapes, kinds, strict=True)]
        found, expected = again(*given), function(*given)
        assert counted.count == min(i + 1, 2)
        assert type(found) is type(expected)
        found, expected = (y if type(y) is tuple else (y,) for y in (found, expected))
        for a, b in zip(found, expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert a.get().tobytes() == b.get().tobytes()


def test_by_warpgroups_whose_maps_hold_addresses(cupy, launched, monkeypatch):
    monkeypatch.setattr(gemm, "fusing_wins", lambda *about, **options: True)
    counted = Counted(lambda x, k: dense(x, k, activation="relu"))
    again, made = replay.remembered(counted), []
    for _ in range(4):
        x, k = (cupy.asarray(numbers(*s).astype("f2")) for s in ((256, 512), (512, 64)))
        made.append((x, k, again(x, k)))
        expected = np.maximum(x.get().astype("f4") @ k.get().astype("f4"), 0)
        np.testing.assert_allclose(made[-1][2].get(), expected, rtol=2e-3, atol=2e-2)
    assert counted.count == 2
    assert launched == ["gemm_of_warpgroups"] * 4


def close(y, x, kernel):
    """Whether y is the product, but for roundings of its terms."""
    np.testing.assert_allclose(y.get(), x.get() @ kernel.get(), rtol=1e-5, atol=1e-5)


def test_by_cublas_which_no_capture_may_ask(cupy, monkeypatch):
    monkeypatch.setattr(gemm, "fusing_wins", lambda *about, **options: False)
    asked, multiply = [], cublas.library().bindings.gemmEx
    monkeypatch.setattr(
        cublas.library().bindings, "gemmEx", lambda *about: asked.append(1) or multiply(*about)
    )
    counted = Counted(dense)
    again, kernel = replay.remembered(counted), cupy.asarray(numbers(9, 7))
    for _ in range(4):
        x = cupy.asarray(numbers(5, 9))
        close(again(x, kernel), x, kernel)
    assert counted.count == 2
    before = len(asked)
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    close(again(x, kernel), x, kernel)
    assert counted.count == 3
    assert len(asked) == before == 4


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_parts_of_arguments(cupy, launched, dtype):
    """Attention between parts of one array: also by maps of these."""

    def function(joined):
        parts = [joined[..., i : i + 64].reshape(2, 80, 1, 64) for i in (0, 64, 128)]
        return attention(*parts, causal=True).reshape(2, 80, 64)

    counted = Counted(function)
    again, kept = replay.remembered(counted), []
    for _ in range(4):
        x = cupy.asarray(numbers(2, 80, 192).astype(dtype))
        found, expected = again(x), function(x)
        kept.append((x, found))
        assert found.get().tobytes() == expected.get().tobytes()
    assert counted.count == 2
    by = "attention_hopper" if dtype == "float16" else "attention_forward"
    assert launched == [by] * 8


@pytest.mark.parametrize("fused", [True, False])
def test_no_array_is_kept(cupy, monkeypatch, fused):
    monkeypatch.setattr(gemm, "fusing_wins", lambda *about, **options: fused)
    run, seen = replay.remembered(lambda x, k: dense(x, k, activation="relu")), []
    for _ in range(4):
        x, kernel = cupy.asarray(numbers(5, 9)), cupy.asarray(numbers(9, 7))
        seen += map(weakref.ref, (x, kernel, run(x, kernel)))
    del x, kernel
    gc.collect()
    assert [one() for one in seen] == [None] * 12


def test_in_place(cupy):
    run = replay.remembered(lambda x: inference._merged([x], None, None, RELU, x))
    for _ in range(4):
        x = numbers(6, 5)
        there = cupy.asarray(x)
        assert run(there) is there
        np.testing.assert_array_equal(there.get(), np.maximum(x, 0))


RELU = inference.curve(ramps.relu)


def test_other_kinds_of_arguments_are_told_apart(cupy):
    counted = Counted(lambda x, y: inference._merged([x, y], None, None, RELU, None))
    run, memory = replay.remembered(counted), cupy.asarray(numbers(100))

    def check(x, y, runs):
        expected = np.maximum(x.get() + y.get(), 0)
        np.testing.assert_array_equal(run(x, y).get(), expected)
        assert counted.count == runs

    for runs in (1, 2, 2):
        check(memory[:40], memory[40:80], runs)
    for runs in (3, 4, 4):  # Another alignment,
        check(memory[1:41], memory[41:81], runs)
    for runs in (5, 6, 6):  # and other shapes.
        check(memory[:20], memory[40:60], runs)
    for runs in (7, 8, 9):  # What is the same array twice, has gaps, or is empty, is left alone.
        check(memory[:40], memory[:40], runs)
    check(memory[:80:2], memory[1:80:2], 10)
    check(memory[:0], memory[:0], 11)
    check(memory[:40], memory[40:80], 11)
    config.set_float32_matmul_precision("high")
    try:
        for runs in (12, 13, 13):
            check(memory[:40], memory[40:80], runs)
    finally:
        config.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("what", ["before", "after", "instead", "elsewhere"])
def test_functions_that_do_something_else_run_each_time(cupy, what):
    kept = cupy.asarray(numbers(4, 5))
    functions = {
        "before": lambda x: ramps.relu(x + 1),
        "after": lambda x: ramps.relu(x) + 1,
        "instead": lambda x: x + 1,
        "elsewhere": lambda x: inference._merged([x, kept], None, None, RELU, None),
    }
    counted = Counted(functions[what])
    run = replay.remembered(counted)
    for i in range(4):
        x = cupy.asarray(numbers(4, 5))
        np.testing.assert_array_equal(run(x).get(), functions[what](x).get())
        assert counted.count == i + 1


def test_what_another_thread_does_is_not_noted(cupy):
    other = cupy.asarray(numbers(3, 2))

    def function(x):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: empty_like(ramps.relu(other))).result()
        return ramps.relu(x)

    counted = Counted(function)
    run = replay.remembered(counted)
    for _ in range(4):
        x = cupy.asarray(numbers(4, 5))
        np.testing.assert_array_equal(run(x).get(), np.maximum(x.get(), 0))
    assert counted.count == 2


def test_only_so_many_kinds_are_remembered(cupy, monkeypatch):
    monkeypatch.setattr(replay, "MOST", 2)
    counted = Counted(ramps.relu)
    run = replay.remembered(counted)
    for size, runs in ((1, 1), (2, 2), (3, 3), (3, 4), (3, 5), (1, 6), (1, 6)):
        run(cupy.asarray(numbers(size)))
        assert counted.count == runs
