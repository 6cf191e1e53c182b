"""The rig finds what is planted, and nothing else.

The kernels stand in rig/kernels/; a bug in them is planted by a constant, or is a kernel's name.
"""

from __future__ import annotations

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import rig
from rig import RigError, schedule
from stand_in_cupy import installed

import gpulayers

if rig.why_not():
    pytest.skip(rig.why_not(), allow_module_level=True)

KERNELS = Path(rig.__file__).parent / "kernels"
COMMON = Path(gpulayers.__file__).parent / "cuda" / "common.cuh"
SCHEDULES = [("forward", 1), ("reverse", 1), *(("random", seed) for seed in range(1, 5))]
ELEMENTS = {"float": np.float32, "half": np.float16, "bfloat16": ml_dtypes.bfloat16}
RNG = np.random.default_rng(0)


@pytest.fixture
def cupy():
    """The stand-in over the rig, also where there is a GPU."""
    with installed(kernels=True) as module:
        yield module


def kernel(stem, name, **constants):
    text = (KERNELS / f"{stem}.cu").read_text().replace('#include "common.cuh"\n', "\n")
    types = f"typedef {constants.pop('T', 'half')} T;\n"
    code = f'#line 1 "common.cuh"\n{COMMON.read_text()}\n{types}#line 1 "{stem}.cu"\n{text}'
    options = tuple(f"-D{key}={value}" for key, value in constants.items())
    return rig.RawModule(code=code, options=options).get_function(name)


def gemm(cupy, m=40, n=45, k=70, **bugs):
    a, b = RNG.normal(size=(m, k)).astype("f4"), RNG.normal(size=(k, n)).astype("f4")
    found, c = kernel("gemm", "gemm", **bugs), cupy.empty((m, n), "f4")
    sizes = np.int32(m), np.int32(n), np.int32(k)
    found((-(-n // 32), -(-m // 32)), (16, 16), (cupy.asarray(a), cupy.asarray(b), c, *sizes))
    return bool(abs(c.get() - a @ b).max() < 1e-4)


def normalize(cupy, T="float", n=300, **bugs):
    dtype, tolerance = ELEMENTS[T], {"float": 1e-5, "half": 5e-3, "bfloat16": 4e-2}[T]
    x, gamma, beta = (RNG.normal(size=shape).astype(dtype) for shape in ((3, n), n, n))
    y, found = (
        cupy.empty((3, n), dtype),
        kernel("normalization", "normalize", T=T, THREADS=128, **bugs),
    )
    given = [cupy.asarray(a) for a in (x, gamma, beta)]
    found((3,), (128,), (*given, y, np.int32(n), np.float32(1e-5)))
    x, gamma, beta = (a.astype("f8") for a in (x, gamma, beta))
    centered = x - x.mean(1, keepdims=True)
    expected = centered / np.sqrt(x.var(1, keepdims=True) + 1e-5) * gamma + beta
    return bool((abs(y.get().astype("f8") - expected) < tolerance * (1 + abs(expected))).all())


def product(cupy, T="half", **bugs):
    a, b = (
        RNG.normal(size=(16, 64)).astype(ELEMENTS[T]),
        RNG.normal(size=(8, 64)).astype(ELEMENTS[T]),
    )
    c, found = (
        cupy.empty((16, 8), "f4"),
        kernel("collectives", "product_through_shared", T=T, **BARRIER, **bugs),
    )
    found((1,), (32,), (cupy.asarray(a), cupy.asarray(b), c, np.int32(64)))
    return bool(abs(c.get() - a.astype("f4") @ b.astype("f4").T).max() < 1e-4)


BARRIER = {"GRID_BARRIER": "rig_grid_sync(__FILE__, __LINE__)"}


def outcome(run, *args, **options):
    """What one run shows: "right", "wrong", or the rig's words."""
    try:
        return "right" if run(*args, **options) else "wrong"
    except RigError as error:
        return str(error)


@pytest.mark.parametrize(("order", "seed"), SCHEDULES)
def test_correct_kernels_are_right_in_every_order(cupy, order, seed):
    with schedule(order, seed):
        for shape in [(64, 64, 64), (33, 45, 70), (1, 1, 1), (31, 65, 1)]:
            assert gemm(cupy, *shape)
        for T in ELEMENTS:
            for n in (1, 127, 300):
                assert normalize(cupy, T, n)
        assert product(cupy) and product(cupy, "bfloat16")


PLANTED = {
    "no barrier after loading": (gemm, {"NO_SYNC_AFTER_LOAD": 1}, "wrong"),
    "no barrier after using": (gemm, {"NO_SYNC_AFTER_USE": 1}, "wrong"),
    "a row too far": (gemm, {"ROW_TOO_FAR": 1}, "memory fault"),
    "shared memory used again too early": (normalize, {"SHARED_USED_TOO_EARLY": 1}, "wrong"),
    "waits for too few copies": (product, {"WAITS_FOR_TOO_LITTLE": 1}, "wrong"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_show_in_some_order(cupy, bug):
    run, constants, expected = PLANTED[bug]
    seen = set()
    for order, seed in SCHEDULES:
        with schedule(order, seed):
            seen.add(outcome(run, cupy, **constants))
    assert any(expected in words for words in seen), seen


FAULTS = {
    "barrier_in_a_branch": r"one __syncthreads reached from two places|exited",
    "barrier_after_exit": "__syncthreads although some threads of the block have exited",
    "lanes_that_do_not_come": r"deadlock.*__shfl_xor_sync mask ffffffff at faults.cu:\d+",
    "lane_outside_the_mask": "reads lane 16, which is not in the mask",
    "behind_dynamic_shared": r"memory fault.*thread \(31,0,0\)",
    "behind_an_array": r"memory fault.*thread \(31,0,0\)",
    "reads_behind_an_array": "memory fault",
    "before_an_array": "something was written before argument 0",
    "copies_not_waited_for": "cp.async copies that it never waited for",
}


def launch_fault(cupy, name, n=32, grid=1):
    x = cupy.empty(n, "f4")
    kernel("faults", name)((grid,), (32,), (x,), shared_mem=128)
    return x.get()


@pytest.mark.parametrize("name", FAULTS)
def test_faults(cupy, name):
    with pytest.raises(RigError, match=FAULTS[name]):
        launch_fault(cupy, name)


def test_what_is_not_written_is_nan(cupy):
    for name, count in (("writes_half_of_an_array", 16), ("reads_shared_first", 20)):
        x = launch_fault(cupy, name)
        assert (x[:count] == 1).all() and np.isnan(x[count:]).all()
    assert (cupy.empty(3, "i4").get() == -1).all()


def test_races_of_blocks_show_in_the_results(cupy):
    seen = set()
    for order, seed in SCHEDULES:
        with schedule(order, seed):
            x = cupy.zeros(1, "f4")
            kernel("faults", "race_of_blocks")((8,), (32,), (x,))
            seen.add(float(x.get()[0]))
    assert len(seen) > 1


def test_an_endless_loop_ends(cupy, monkeypatch):
    monkeypatch.setattr(rig.launching, "SECONDS", 1)
    with pytest.raises(RigError, match=r"still running after 1 s .an endless loop"):
        launch_fault(cupy, "endless")


SANITIZED = {
    "behind_shared": ("address", "global-buffer-overflow|out of bounds"),
    "misaligned": ("address", "misaligned address"),
    "behind_dynamic_shared": ("address", "heap-buffer-overflow"),
    "race_in_a_warp": ("thread", "data race"),
    "race_on_an_array": ("thread", "data race"),
}


@pytest.mark.parametrize("name", SANITIZED)
def test_sanitizers_find(cupy, name):
    sanitizer, words = SANITIZED[name]
    with schedule("random", sanitize=sanitizer), pytest.raises(RigError, match=words):
        launch_fault(cupy, name)


def test_the_thread_sanitizer_names_the_line(cupy):
    with schedule("random", sanitize="thread"):
        words = outcome(gemm, cupy, NO_SYNC_AFTER_USE=1)
    assert re.search(r"data race .*gemm.cu:\d+ in gemm", words)


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_sanitizers_find_nothing_in_correct_kernels(cupy, sanitizer):
    with schedule("random", sanitize=sanitizer):
        assert gemm(cupy)
        assert normalize(cupy)
        assert product(cupy)
        assert (launch_fault(cupy, "no_race_in_a_warp") == 31 - np.arange(32)).all()
        assert named_barriers(cupy)
        assert neighbours(cupy)


def named_barriers(cupy):
    x = RNG.normal(size=(2, 64)).astype("f4")
    y = cupy.asarray(x)
    kernel("collectives", "named_barriers", **BARRIER)((1,), (128,), (y,))
    return np.array_equal(y.get(), x[:, ::-1])


def neighbours(cupy, blocks=5):
    x = RNG.integers(0, 9, size=(blocks, 64)).astype("f4")
    y = cupy.asarray(x)
    kernel("collectives", "neighbours", **BARRIER)((blocks,), (64,), (y, np.int32(3)))
    for _ in range(3):
        x = x + np.roll(x, 1, axis=0)[:, ::-1]
    return np.array_equal(y.get(), x)


@pytest.mark.parametrize(("order", "seed"), SCHEDULES[:4])
def test_barriers_of_all_kinds(cupy, order, seed):
    with schedule(order, seed):
        assert named_barriers(cupy)
        assert neighbours(cupy)
        x, words = cupy.empty(9, "f4"), cupy.zeros(9, "i4")
        kernel("collectives", "chain", **BARRIER)((9,), (32,), (x, words))
        assert (x.get() == np.arange(9)).all()
        x, total = RNG.normal(size=7).astype("f4"), cupy.empty(1, "f4")
        count = cupy.zeros(1, "u4")
        given = (cupy.asarray(x), cupy.empty(7, "f4"), total, count)
        kernel("collectives", "last_block_sums", **BARRIER)((7,), (64,), given)
        assert total.get()[0] == np.add.accumulate(x)[-1] and count.get()[0] == 0


def test_blocks_that_do_not_fit_cannot_wait_for_each_other(cupy):
    with pytest.raises(RigError, match="of 200 blocks, 128 wait, 0 have exited, 72 do not fit"):
        neighbours(cupy, 200)
    with pytest.raises(RigError, match="threads sleep for ever"):
        launch_fault(cupy, "waits_for_ever", grid=3)


@pytest.mark.parametrize("T", ["half", "bfloat16"])
def test_tensor_cores(cupy, T):
    a, b = RNG.normal(size=(16, 32)).astype("f4"), RNG.normal(size=(32, 8)).astype("f4")
    c, k = cupy.empty((16, 8), "f4"), np.int32(32)
    found = kernel("collectives", "product_of_floats", **BARRIER)
    found((1,), (32,), (cupy.asarray(a), cupy.asarray(b), c, k))
    assert 1e-5 < abs(c.get() - a @ b).max() < 3e-2  # TF32 has 10 bits after the first.
    a, b = a.astype(ELEMENTS[T]), b.astype(ELEMENTS[T])
    found = kernel("collectives", "product_of_elements", T=T, **BARRIER)
    found((1,), (32,), (cupy.asarray(a), cupy.asarray(b), c, k))
    np.testing.assert_allclose(c.get(), a.astype("f4") @ b.astype("f4"), atol=1e-5)


def test_votes_and_shuffles(cupy):
    x, lanes = RNG.integers(-3, 5, 32).astype("i4"), np.arange(32)
    out = cupy.empty((32, 8), "u4")
    kernel("collectives", "votes", **BARRIER)((1,), (32,), (cupy.asarray(x), out))
    out = out.get().astype("i4")
    bits = (1 << lanes.astype("u4")).astype("u4")
    expected = [
        np.full(32, bits[x > 0].sum()),
        np.where(lanes % 16 >= 3, x[np.maximum(lanes - 3, 0)], x),
        np.where(lanes + 5 < 32, x[np.minimum(lanes + 5, 31)], x),
        x[lanes // 8 * 8 + 7],
        np.full(32, (x == 3).any()),
        np.array([bits[x == v].sum() for v in x]),
        np.full(32, x.sum()),
        np.full(32, (x > 0).sum()),
    ]
    np.testing.assert_array_equal(out, np.stack([e.astype("u4").astype("i4") for e in expected], 1))


def test_16_bit_floats_round_as_numpy_does(cupy):
    code = f"""{COMMON.read_text()}
    extern "C" __global__ void convert(const float* x, T* y, float* z, int n) {{
      for (int i = threadIdx.x; i < n; i += 32) {{
        y[i] = gl::from<T>(x[i]);
        z[i] = gl::to<float>(y[i]);
      }}
    }}"""
    x = RNG.integers(0, 2**32, 4000, dtype="u4").view("f4")
    x = np.concatenate(
        [x, np.float32([0, -0.0, 65504, 65519.9, 65520, 6e-8, 2.9e-8, 3e38, np.inf, np.nan])]
    )
    x = np.concatenate([x, np.arange(-2000, 2000, dtype="f4") * np.float32(2.0**-26)])
    for T in ("half", "bfloat16"):
        y, z = cupy.empty(x.shape, ELEMENTS[T]), cupy.empty(x.shape, "f4")
        found = rig.RawModule(code=code, options=(f"-DT={T}",)).get_function("convert")
        found((1,), (32,), (cupy.asarray(x), y, z, np.int32(x.size)))
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(y.get().astype("f4"), x.astype(ELEMENTS[T]).astype("f4"))
        np.testing.assert_array_equal(z.get(), y.get().astype("f4"))


def test_arguments_that_cupy_would_misread_are_refused(cupy):
    found = kernel("normalization", "normalize", T="float", THREADS=128)
    x = cupy.zeros((2, 8), "f4")
    good = (x, x, x, x, np.int32(8), np.float32(0))
    for place, wrong, message in [
        (4, 8, r"parameter 4 is 4 bytes, got 8 bytes \(8\)"),
        (5, 0.5, "parameter 5 is 4 bytes, got 8 bytes"),
        (3, np.float64(0), "parameter 3 is a pointer"),
        (4, x, "parameter 4 is 4 bytes, got an array"),
        (4, None, "parameter 4 is 4 bytes"),
    ]:
        with pytest.raises(RigError, match=message):
            found((1,), (128,), (*good[:place], wrong, *good[place + 1 :]))
    with pytest.raises(RigError, match="has 6 parameters, got 5"):
        found((1,), (128,), good[:5])
    with pytest.raises(TypeError, match="Unsupported type <class 'numpy.ndarray'>"):
        found((1,), (128,), (np.zeros(3, "f4"), *good[1:]))


def test_limits_of_a_launch(cupy):
    found, x = kernel("faults", "behind_dynamic_shared"), cupy.zeros(32, "f4")
    refused = pytest.raises(rig.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE")
    for grid, block in [((1,), (1025,)), ((1, 65536), (32,)), ((1,), (1, 1, 65))]:
        with refused:
            found(grid, block, (x,))
    with refused:
        found((1,), (32,), (x,), shared_mem=48 * 1024 + 1)
    with refused:
        found.max_dynamic_shared_size_bytes = 227 * 1024 + 1
    found.max_dynamic_shared_size_bytes = 227 * 1024
    found((1,), (32,), (x,), shared_mem=227 * 1024)
    assert (x.get()[:31] == 1).all()
    with pytest.raises(rig.CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        found.module.get_function("nothing")


def test_a_source_that_does_not_compile(cupy):
    with pytest.raises(rig.CompileError, match="kernel.cu:2:.*'?nothing'?"):
        rig.RawModule(code="\nnothing __global__ void f(int* x) {}").compile()


def test_strides_are_ignored_as_on_a_gpu(cupy):
    x = cupy.asarray(np.arange(64, dtype="f4"))
    kernel("faults", "writes_half_of_an_array")((1,), (32,), (x[32:][::2],))
    assert (x.get()[32:48] == 1).all() and (x.get()[48:] == np.arange(48, 64)).all()
