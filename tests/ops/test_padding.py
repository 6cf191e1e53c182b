"""Margins: against `numpy.pad`, and the faster version against the reference."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.arrays import Abstract, KerasTensor, infer
from gpulayers.ops.padding import MODES, pad, padded

NUMPY_MODES = [mode for mode in MODES if mode not in ("empty", "circular")]
CASES = [
    ((4,), ((2, 3),)),
    ((1,), ((2, 3),)),
    ((2, 3), ((1, 1), (5, 7))),
    ((2, 3), ((2, 0), (0, 0))),
    ((3, 1, 4), ((0, 2), (1, 0), (3, 9))),
]


def array(shape, dtype="float32"):
    return (np.random.default_rng(3).normal(size=shape) * 10).astype(dtype)


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize(("shape", "widths"), CASES)
def test_as_numpy(xp, shape, widths, mode):
    x = array(shape)
    y = pad(xp.asarray(x), widths, mode)
    assert isinstance(y, xp.kind)
    np.testing.assert_allclose(xp.to_numpy(y), np.pad(x, widths, mode=mode), rtol=1e-6)


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float64"])
def test_dtypes(mode, dtype):
    x = np.abs(array((4, 5), dtype))
    y = pad(x, 3, mode)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.pad(x, 3, mode=mode), rtol=1e-12)


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize(("shape", "widths"), CASES)
def test_versions_and_gradients(shape, widths, mode):
    check_primitive(padded, array(shape, "float64"), widths=widths, mode=mode, value=0.0)


@pytest.mark.parametrize(
    "width", [1, (1,), (1, 2), ((1, 2),), ((1,), (2,)), np.array([[1, 2], [0, 3]])]
)
def test_ways_to_give_widths(width):
    x = array((2, 3))
    np.testing.assert_array_equal(pad(x, width), np.pad(x, width))


def test_constant_values():
    assert pad(np.ones(2, "float32"), 1, constant_values=2.5).tolist() == [2.5, 1, 1, 2.5]
    assert pad(np.ones(2, bool), 1).tolist() == [False, True, True, False]
    assert pad([1.0, 2.0], (0, 1)).tolist() == [1, 2, 0]


def test_aliases():
    x = array((3, 4))
    np.testing.assert_array_equal(pad(x, 2, "circular"), np.pad(x, 2, mode="wrap"))
    np.testing.assert_array_equal(pad(x, 2, "empty"), np.pad(x, 2))


def test_unknown_sizes():
    assert infer(lambda x: pad(x, ((0, 0), (1, 2))), Abstract((None, 5))).shape == (None, 8)
    assert pad(KerasTensor((None, None, 3)), ((0, 0), (2, 2), (1, 0))).shape == (None, None, 4)


@pytest.mark.parametrize(
    ("width", "options", "message"),
    [
        (1, {"mode": "mirror"}, "mode must be one of"),
        (1, {"mode": "edge", "constant_values": 0}, "constant_values goes with"),
        (-1, {}, "pad_width must be"),
        (((1, 2), (1, 2), (1, 2)), {}, "each of the array's 2 axes"),
        ("ab", {}, "pad_width must be"),
        (((1, 2, 3),), {}, "pad_width must be"),
    ],
)
def test_errors(width, options, message):
    with pytest.raises(ValueError, match=message):
        pad(np.ones((2, 3)), width, **options)


def test_nothing_to_repeat():
    assert pad(np.ones((0, 2)), ((1, 1), (0, 0))).shape == (2, 2)
    with pytest.raises(ValueError, match="empty axis"):
        pad(np.ones((0, 2)), ((1, 1), (0, 0)), "edge")
