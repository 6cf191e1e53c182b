"""Convolution of NumPy arrays: every formulation against the reference, in float64."""

import tracemalloc

import numpy as np
import pytest
from checks import check_primitive

from gpulayers import config
from gpulayers.arrays import Tape
from gpulayers.cpu import convolution as versions
from gpulayers.cpu import depthwise, direct, lowering, panels, winograd
from gpulayers.cpu.convolution import chosen
from gpulayers.cpu.sliding import geometry
from gpulayers.ops import convolution as ops
from gpulayers.ops.sliding import counts

pytestmark = pytest.mark.usefixtures("loops")

FORMS = {
    "tiles": direct,
    "panels": panels,
    "lowering": lowering,
    "depthwise": depthwise,
    "depthwise loops": depthwise.Looped,
    "tiles of 4 x 4": winograd.FOUR,
    "tiles of 2 x 2": winograd.TWO,
    "windows of 5 x 5": winograd.FIVE,
    "loops over tiles of 4 x 4": winograd.LOOPED[winograd.FOUR],
    "loops over tiles of 2 x 2": winograd.LOOPED[winograd.TWO],
    "loops over windows of 5 x 5": winograd.LOOPED[winograd.FIVE],
}
MINIMAL = (winograd.Winograd, winograd.Looped)
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@pytest.fixture
def only(monkeypatch):
    """Makes one formulation do all that it can."""

    def choose(form):
        def found(geo, *_):
            return form if form is panels or form.suits(geo) else panels

        monkeypatch.setattr(versions, "chosen", found)

    return choose


def drawn(rng, form):
    """Arrays and options of a convolution that a formulation may do."""
    rank = 2 if isinstance(form, MINIMAL) else int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3])) if form in (panels, direct) else 1
    channels, filters = (int(groups * rng.integers(1, 4)) for _ in range(2))
    if form in (depthwise, depthwise.Looped):
        groups = channels = int(rng.choice([2, 3, 8, 9, 17]))
        filters = channels * int(rng.integers(1, 3))
    numbers = lambda low, high: tuple(int(n) for n in rng.integers(low, high, rank))
    sizes, windows = numbers(4, 10), numbers(1, 4)
    options = {
        "strides": numbers(1, 4) if rng.random() < 0.6 else (1,) * rank,
        "padding": tuple(zip(numbers(-1, 4), numbers(-1, 4))),
        "dilations": numbers(1, 3) if rng.random() < 0.5 else (1,) * rank,
        "groups": groups,
    }
    if isinstance(form, MINIMAL):
        windows = (form.r, form.r)
        options |= {"strides": (1, 1), "dilations": (1, 1), "groups": 1}
    x = rng.normal(size=(int(rng.integers(1, 4)), *sizes, channels))
    kernel = rng.normal(size=(*windows, channels // groups, filters))
    if 0 in counts(sizes, windows, options["strides"], options["padding"], options["dilations"]):
        return drawn(rng, form)
    strange = int(rng.integers(4))
    if strange == 1:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    if strange == 2:
        x, kernel = np.asfortranarray(x), np.asfortranarray(kernel)
    return x, kernel, options


def check(x, kernel, options, rtol=1e-10):
    """The version's results and both gradients are those of the references."""
    windows, sizes = kernel.shape[:-2], x.shape[1:-1]
    expected = ops.convolution.reference(x, kernel, **options)
    g = np.cos(np.arange(expected.size)).reshape(expected.shape)
    by_x = ops.convolution_input_gradient, (g, kernel), {**options, "sizes": sizes}
    by_kernel = ops.convolution_kernel_gradient, (x, g), {**options, "windows": windows}
    for array in (x, kernel, g):
        array.flags.writeable = False
    out, pullback = ops.convolution.version("numpy")(x, kernel, needs=(True, True), **options)
    for op, arrays, own in (ops.convolution, (x, kernel), options), by_x, by_kernel:
        a, b = op(*arrays, **own), op.reference(*arrays, **own)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(np.abs(b).max(), 1))
    np.testing.assert_allclose(out, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    assert out.flags.c_contiguous
    for a, (op, arrays, own) in zip(pullback(g), (by_x, by_kernel)):
        np.testing.assert_array_equal(a, op(*arrays, **own))


@EACH_FORM
def test_against_the_references(form, only):
    only(form)
    rng = np.random.default_rng(0)
    for _ in range(40):
        check(*drawn(rng, form))


@EACH_FORM
def test_in_many_pieces_by_several_threads(form, only, monkeypatch):
    monkeypatch.setattr("gpulayers.cpu.threads.ENOUGH", 0)
    monkeypatch.setattr(winograd, "FEWEST", {False: 2, True: 2})
    kept = (winograd, "LARGEST"), (direct, "LARGEST")
    for module in (direct, depthwise, winograd):
        monkeypatch.setattr(module, "_planned", module._planned.__wrapped__)
    for module in (panels, lowering, depthwise, winograd, direct):
        for name in ("BLOCK", "PANEL", "LARGEST", "PRODUCTS", "ROOM", "TILES", "ONCE"):
            if hasattr(module, name) and (module, name) not in kept:
                monkeypatch.setattr(module, name, 64)
    monkeypatch.setattr(panels, "ROWS", 2)
    monkeypatch.setattr(panels, "SUMS", 8)
    only(form)
    rng = np.random.default_rng(1)
    for _ in range(20):
        check(*drawn(rng, form))


@pytest.mark.parametrize("activation", [None, *ops.FUSED])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bias_and_activation(rank, activation):
    rng = np.random.default_rng(rank)
    x, bias = rng.normal(size=(2, *(4, 5, 3)[:rank], 2)), rng.normal(size=3)
    kernel = rng.normal(size=(*(3, 2, 2)[:rank], 2, 3))
    options = {"strides": (1, 2, 1), "padding": ((1, 0), (1, 1), (0, 2)), "dilations": (1,) * 3}
    options = {name: value[:rank] for name, value in options.items()}
    check_primitive(ops.convolution, x, kernel, bias, activation=activation, **options)
    check_primitive(ops.convolution, x, kernel, None, activation=activation, **options)


def test_only_the_wanted_gradients():
    x, kernel, bias = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 3)), np.ones(3)
    options = {"strides": (1, 1), "padding": ((0, 0),) * 2, "dilations": (1, 1)}
    version = ops.convolution.version("numpy")
    _, pullback = version(x, kernel, bias, needs=(False, False, True), **options)
    by_x, by_kernel, by_bias = pullback(np.ones((1, 2, 2, 3)))
    assert by_x is None
    assert by_kernel is None
    np.testing.assert_array_equal(by_bias, [4, 4, 4])


@pytest.mark.parametrize("shape", [(0, 5, 5, 2), (2, 2, 5, 2)])
def test_nothing_to_do(shape):
    """No images, or windows that fit nowhere."""
    x, kernel = np.ones(shape, "f4"), np.ones((3, 3, 2, 4), "f4")
    options = {"strides": (1, 1), "padding": ((0, 0),) * 2, "dilations": (1, 1)}
    with Tape() as tape:
        given = [tape.watch(a) for a in (x, kernel)]
        y = ops.convolution(*given, **options)
    assert y.size == 0
    for a, b in zip(tape.gradient(y, given), (x, kernel), strict=True):
        np.testing.assert_array_equal(a, np.zeros_like(b))


def test_other_dtypes_are_left_to_the_reference():
    options = {"strides": (1,), "padding": ((0, 0),), "dilations": (1,)}
    out = ops.convolution(np.ones((1, 4, 1), int), np.ones((2, 1, 1), int), **options)
    np.testing.assert_array_equal(out.ravel(), [2, 2, 2])


def plan(x, windows, filters, strides=1, dilations=1, groups=1, **more):
    rank = len(windows)
    around = tuple((k // 2, k // 2) for k in windows)
    geo = geometry(x, windows, filters, (strides,) * rank, around, (dilations,) * rank, groups)
    return chosen(geo, more.get("kind", "f"), more.get("precision", "medium"))


def test_the_formulation_suits_the_geometry():
    assert plan((8, 56, 56, 64), (3, 3), 64) is winograd.FOUR
    assert plan((8, 56, 56, 64), (3, 3), 64, precision="high") is winograd.TWO
    assert plan((8, 56, 56, 64), (3, 3), 64, precision="highest") is panels
    assert plan((8, 56, 56, 64), (5, 5), 64) is winograd.FIVE
    assert plan((8, 56, 56, 64), (5, 5), 64, precision="high") is panels
    assert plan((8, 56, 56, 64), (3, 3), 64, kind="d") is panels
    assert plan((8, 56, 56, 64), (3, 3), 64, strides=2) is panels
    assert plan((8, 56, 56, 64), (3, 3), 64, dilations=2) is panels
    assert plan((8, 56, 56, 64), (3, 3), 64, groups=2) is panels
    assert plan((8, 56, 56, 64), (3, 3), 64, groups=64) is depthwise
    assert plan((8, 8, 8, 1), (3, 3), 16) is lowering
    assert plan((1, 224, 224, 3), (7, 7), 64, strides=2) is lowering
    assert plan((8, 9, 9, 9, 64), (3, 3, 3), 64) is panels


@pytest.mark.parametrize(
    ("precision", "most"), [("highest", 1e-6), ("high", 1e-6), ("medium", 5e-6)]
)
@pytest.mark.parametrize("window", [3, 5])
def test_errors_in_float32(precision, most, window):
    """Of outputs and gradients, as a part of the largest; with 256 channels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 14, 14, 256)).astype("f4")
    kernel = (rng.normal(size=(window, window, 256, 64)) / 48).astype("f4")
    half = window // 2
    options = {"strides": (1, 1), "padding": ((half, half),) * 2, "dilations": (1, 1)}
    g = rng.normal(size=(4, 14, 14, 64)).astype("f4")

    def run(x, kernel, g):
        out, pullback = ops.convolution.version("numpy")(x, kernel, needs=(True, True), **options)
        return [out, *pullback(g)[:2]]

    exact = run(*(a.astype("f8") for a in (x, kernel, g)))
    config.set_float32_convolution_precision(precision)
    try:
        found = run(x, kernel, g)
    finally:
        config.set_float32_convolution_precision("medium")
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == np.float32
        assert np.abs(a - b).max() < most * np.abs(b).max()


def test_precisions_have_names():
    with pytest.raises(ValueError, match="expected one of highest, high, medium, got 'low'"):
        config.set_float32_convolution_precision("low")
    assert config.float32_convolution_precision() == "medium"


@pytest.mark.parametrize(
    ("shape", "windows", "filters", "strides", "groups"),
    [
        ((16, 56, 56, 64), (3, 3), 64, 1, 1),
        ((4, 14, 14, 512), (3, 3), 512, 1, 1),
        ((4, 14, 14, 512), (3, 3), 1024, 2, 1),
        ((16, 112, 112, 16), (3, 3), 16, 1, 1),
        ((16, 112, 112, 16), (3, 3), 16, 1, 16),
        ((16, 20000, 8), (9,), 8, 1, 1),
        ((2, 20, 64, 64, 8), (3, 3, 3), 8, 2, 1),
    ],
    ids=str,
)
def test_memory_is_bounded(shape, windows, filters, strides, groups):
    """Beyond arguments and results, 64 MiB at most; no copy of the inputs of a large batch."""
    rank = len(windows)
    options = {
        "strides": (strides,) * rank,
        "padding": tuple((k // 2, k // 2) for k in windows),
        "dilations": (1,) * rank,
        "groups": groups,
    }
    x = np.ones(shape, "f4")
    kernel = np.ones((*windows, shape[-1] // groups, filters), "f4")
    tracemalloc.start()
    try:
        y, pullback = ops.convolution.version("numpy")(x, kernel, needs=(True, True), **options)
        _, forward = tracemalloc.get_traced_memory()
        pullback(y)
        _, both = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert forward - y.nbytes < 64 << 20
    assert both - y.nbytes - x.nbytes - kernel.nbytes < 64 << 20
