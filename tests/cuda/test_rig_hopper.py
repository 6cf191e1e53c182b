"""What sm_90 adds, on the rig: barriers in memory, TMA, wgmma, clusters, against plain products.

The kernels stand in rig/kernels/hopper.cu.  Descriptors and swizzles are the rig's reading of the
PTX manual; here they meet tiles that TMA wrote (with the rig's swizzle of addresses) and tiles that
threads wrote (by the formulas of hopper.cuh), so that one wrong reading of three shows.
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import rig
from rig import RigError, schedule
from stand_in_cupy import installed

from gpulayers.cuda import hopper, softmax
from gpulayers.cuda.module import FOLDER, Module

if rig.why_not():
    pytest.skip(rig.why_not(), allow_module_level=True)

KERNELS = Path(rig.__file__).parent / "kernels"
DTYPES = {"half": np.dtype("f2"), "bfloat16": np.dtype(ml_dtypes.bfloat16), "float": np.dtype("f4")}
RNG = np.random.default_rng(0)
SCHEDULES = [("forward", 1), ("reverse", 1), ("random", 1), ("random", 2)]


@pytest.fixture
def cupy():
    """The stand-in over the rig, also where there is a GPU."""
    with installed(kernels=True) as module:
        yield module


@pytest.fixture(params=SCHEDULES)
def any_order(request):
    with schedule(*request.param):
        yield request.param


def kernel(name, T="float", cooperative=False, **constants):
    """A kernel of rig/kernels/hopper.cu."""
    text = (KERNELS / "hopper.cu").read_text()
    for header in ("common.cuh", "hopper.cuh"):
        lines = f'#line 1 "{header}"\n{(FOLDER / header).read_text()}'
        lines += f"\ntypedef {T} T;" if header == "common.cuh" else '\n#line 4 "hopper.cu"'
        text = text.replace(f'#include "{header}"', lines)
    given = {"COLUMNS": 64, "ACROSS_A": 0, "ACROSS_B": 0, "REGISTERS": 0, "SWIZZLE": 128, "BULK": 0}
    options = tuple(f"-D{key}={value}" for key, value in (given | constants).items())
    module = rig.RawModule(code=text, options=options, enable_cooperative_groups=cooperative)
    return module.get_function(name)


def launch(found, grid, block, *args, shared=0):
    found.max_dynamic_shared_size_bytes = max(shared, 48 * 1024)
    found((grid,), (block,), args, shared_mem=shared)


def random(shape, T):
    return RNG.integers(-8, 9, shape).astype("f4").astype(DTYPES[T])  # Products are exact.


@pytest.mark.parametrize(
    ("T", "swizzle"), [("half", 128), ("float", 64), ("half", 32), ("half", 0)]
)
@pytest.mark.parametrize("corner", [(0, 0), (-3, 2), (60, -5), (70, 9), (1000, 0)])
def test_tiles_come_where_they_belong(cupy, any_order, T, swizzle, corner):
    x = random((20, 80), T)
    given, wide = cupy.asarray(x), (swizzle or 48) // x.itemsize
    tiles = hopper.tensor_map(given, (19, 77), (80, 1), (12, wide), swizzle=swizzle)
    y = cupy.empty((12, wide), x.dtype)
    found = kernel("copies_tiles", T, SWIZZLE=swizzle)
    launch(found, 1, 64, tiles, y, *np.int32([*corner, y.nbytes]), shared=y.nbytes)
    left, top = corner
    padded = np.zeros((60, 2400), x.dtype)
    padded[20:39, 200:277] = x[:19, :77]
    expected = padded[20 + top : 32 + top, 200 + left : 200 + left + wide]
    np.testing.assert_array_equal(y.get().view("u1"), np.ascontiguousarray(expected).view("u1"))


def test_chunks_change_places(cupy):
    x = np.arange(8 * 64, dtype="f2").reshape(8, 64)
    y = cupy.empty(x.shape, "f2")
    tiles = hopper.tensor_map(cupy.asarray(x), x.shape, (64, 1), x.shape)
    found = kernel("copies_tiles", "half", SWIZZLE=0)
    launch(found, 1, 32, tiles, y, *np.int32([0, 0, 1024]), shared=1024)
    expected = [[x[r, (c ^ r) * 8 : (c ^ r) * 8 + 8] for c in range(8)] for r in range(8)]
    np.testing.assert_array_equal(y.get().reshape(8, 8, 8), expected)


PRODUCTS = [
    (T, n, across_a, across_b, registers)
    for T in ("half", "bfloat16")
    for n, across_a, across_b, registers in [
        (64, 0, 0, 0), (128, 0, 1, 0), (64, 1, 0, 0), (256, 1, 1, 0), (64, 0, 1, 1), (192, 0, 0, 1),
    ]
] + [("float", 8, 0, 0, 0), ("float", 96, 0, 0, 1)]  # fmt: skip


def multiply(cupy, T, n, across_a, across_b, registers, depth=256, **bugs):
    a, b = random((64, depth), T), random((n, depth), T)
    deep, wide = 64 if across_a or across_b else 128 // a.itemsize, 128 // a.itemsize
    as_given = [
        cupy.asarray(np.ascontiguousarray(m.T if across else m))
        for m, across in ((a, across_a), (b, across_b))
    ]
    maps = [
        hopper.tensor_map(x, x.shape, (x.shape[1], 1), (deep, wide) if across else (len(x), deep))
        for x, across in zip(as_given, (across_a, across_b))
    ]
    c = cupy.empty((64, n), "f4")
    constants = {"ACROSS_A": across_a, "ACROSS_B": across_b, "REGISTERS": registers}
    found = kernel("multiplies", T, COLUMNS=n, **constants, **bugs)
    shared = 2 * (64 + n) * deep * a.itemsize
    launch(found, 1, 128, *maps, as_given[0], c, np.int32(depth), shared=shared)
    return np.array_equal(c.get(), a.astype("f4") @ b.astype("f4").T)


@pytest.mark.parametrize(("T", "n", "across_a", "across_b", "registers"), PRODUCTS)
def test_products_of_tiles(cupy, any_order, T, n, across_a, across_b, registers):
    assert multiply(cupy, T, n, across_a, across_b, registers)


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
@pytest.mark.parametrize(
    ("T", "n", "across_a", "across_b"),
    [("half", 64, 0, 0), ("bfloat16", 16, 1, 1), ("half", 32, 0, 1), ("float", 8, 0, 0)],
)
def test_products_in_each_layout(cupy, T, n, across_a, across_b, swizzle):
    if swizzle and across_b and n * 2 < swizzle:
        n = swizzle // 2  # Whole lines.
    a, b = random((64, 32 // DTYPES[T].itemsize), T), random((n, 32 // DTYPES[T].itemsize), T)
    c = cupy.empty((64, n), "f4")
    found = kernel(
        "multiplies_once", T, COLUMNS=n, ACROSS_A=across_a, ACROSS_B=across_b, SWIZZLE=swizzle
    )
    launch(found, 1, 128, cupy.asarray(a), cupy.asarray(b), c)
    np.testing.assert_array_equal(c.get(), a.astype("f4") @ b.astype("f4").T)


def test_tf32_ignores_the_last_bits(cupy):
    a, b = (RNG.normal(size=(64, 8)).astype("f4") for _ in range(2))
    c = cupy.empty((64, 64), "f4")
    launch(kernel("multiplies_once", SWIZZLE=0), 1, 128, cupy.asarray(a), cupy.asarray(b), c)
    cut = [(x.view("u4") & 0xFFFFE000).view("f4") for x in (a, b)]
    np.testing.assert_allclose(c.get(), cut[0] @ cut[1].T, atol=1e-5)
    assert abs(c.get() - a @ b.T).max() > 1e-4


@pytest.mark.parametrize("bulk", [0, 1])
def test_copies_tell_the_barrier(cupy, any_order, bulk):
    x, y = RNG.normal(size=128 * 7).astype("f4"), cupy.empty(128 * 7, "f4")
    launch(kernel("copies_and_adds", BULK=bulk), 1, 64, cupy.asarray(x), y, np.int32(x.size))
    np.testing.assert_array_equal(y.get(), x + 1)


def pass_on(cupy, rounds=5, **bugs):
    x = RNG.normal(size=(8, 64)).astype("f4")
    y = cupy.asarray(x)
    launch(kernel("passes_on", **bugs), 8, 64, y, np.int32(rounds), shared=512)
    expected = np.roll((x + rounds).reshape(2, 4, 64), rounds, axis=1)[:, [1, 0, 3, 2]]
    return np.allclose(y.get(), expected.reshape(8, 64), atol=1e-5)


def test_clusters(cupy, any_order):
    assert pass_on(cupy)
    x = RNG.normal(size=(6, 32)).astype("f4")
    y = cupy.asarray(x)
    launch(kernel("arrives_there"), 6, 32, y, shared=128)
    np.testing.assert_array_equal(y.get()[::2], x[::2] + x[1::2])
    with pytest.raises(RigError, match="no multiple of the cluster"):
        launch(kernel("passes_on"), 6, 64, y, np.int32(1), shared=512)


def test_grids(cupy, any_order):
    x, word = RNG.integers(0, 9, 5).astype("f4"), cupy.zeros(1, "u4")
    found, both = kernel("adds_around", cooperative=True), cupy.asarray(np.concatenate([x, x]))
    launch(found, 5, 64, both, word, np.int32(4))
    for _ in range(4):
        x = x + np.roll(x, -1)
    np.testing.assert_array_equal(both.get()[:5], x)


def test_a_named_barrier_that_one_side_does_not_wait_at(cupy, any_order):
    y = cupy.empty(32, "f4")
    launch(kernel("takes_turns"), 1, 64, y)
    assert (y.get() == 3).all()


PLANTED = {
    "FREES_TOO_EARLY": (multiply, ("half", 64, 0, 0, 0, 2048), "wrong"),
    "NO_FENCE": (multiply, ("half", 64, 0, 0, 0), "wgmma without a wgmma.fence"),
    "NO_BARRIER": (pass_on, (), "wrong"),
    "ENDS_TOO_EARLY": (pass_on, (), "wrong|after its end"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_show_in_some_order(cupy, bug):
    run, args, expected = PLANTED[bug]
    seen = set()
    for order, seed in [*SCHEDULES, *(("random", seed) for seed in range(3, 9))]:
        with schedule(order, seed):
            try:
                seen.add("right" if run(cupy, *args, **{bug: 1}) else "wrong")
            except RigError as error:
                seen.add(str(error))
    assert any(word in outcome for word in expected.split("|") for outcome in seen), seen


def test_tiles_that_nobody_waited_for(cupy):
    x = cupy.asarray(np.ones((8, 64), "f2"))
    y, tiles = cupy.empty((8, 64), "f2"), hopper.tensor_map(x, (8, 64), (64, 1), (8, 64))
    found = kernel("copies_tiles", "half", DOES_NOT_WAIT=1)
    launch(found, 1, 32, tiles, y, *np.int32([0, 0, 1024]), shared=1024)
    assert np.isnan(y.get()).all()


FAULTS = {
    "waits_for_nobody": r"deadlock.*at an mbarrier, hopper.cu:\d+",
    "arrives_too_often": "mbarrier: more arrivals than it was initialised with",
    "uses_a_barrier_that_nobody_made": "nobody has initialised it",
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(cupy, name):
    with pytest.raises(RigError, match=FAULTS[name]):
        launch(kernel(name), 1, 32, cupy.empty(32, "f4"))


def test_maps_that_the_hardware_cannot_address(cupy):
    x = cupy.zeros((16, 64), "f2")
    for sizes, strides, box, options in [
        ((16, 60), (60, 1), (8, 64), {}),
        ((64, 16), (1, 64), (8, 64), {}),
        ((16, 64), (64, 1), (8, 64), {"offset": 1}),
        ((16, 64), (64, 1), (8, 32), {}),
        ((16, 64), (64, 1), (257, 64), {}),
        ((16, 64), (64, 1), (8, 12), {"swizzle": 0}),
        ((64,), (1,), (64,), {}),
    ]:
        with pytest.raises(ValueError, match="tensor map|cannot be copied"):
            hopper.tensor_map(x, sizes, strides, box, **options)
    assert hopper.tensor_map(x, (16, 64), (64, 1), (8, 64)).nbytes == 128


def test_how_many_blocks_run_at_once(cupy):
    found = Module("softmax").kernel("softmax_forward", **softmax.INSTANCES[0])
    assert found.resident(256) == 4 * 8 and found.resident(1024, 100 * 1024) == 4 * 2
