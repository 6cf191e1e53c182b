"""Operations on images against recorded numbers of real Keras 3.15 (see make_ops_image)."""

from pathlib import Path

import numpy as np
import pytest
from array_api_strict import asarray as strict
from parity import image_cases
from parity.decoding import Cases, difference

from gpulayers.arrays import KerasTensor, Tape, namespace
from gpulayers.arrays.devices import to_numpy
from gpulayers.ops import image

CASES = list(image_cases.image_cases())
RECORDED = Cases(Path(image_cases.__file__).parent / "golden", "image_ops")


def call(case, first):
    return getattr(image, case.function)(first, *case.arrays[1:], **case.options)


def halves(case):
    """Where the results of integers lie between two: they may be rounded up or down."""
    wide = call(case, case.arrays[0].astype("float32"))
    return np.abs(wide - np.floor(wide) - 0.5) < 1e-3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_result_and_gradient(case):
    recorded = RECORDED.cases[case.key]
    expected = RECORDED.array(recorded["out"])
    for a in case.arrays:
        a.flags.writeable = False
    out = call(case, case.arrays[0])
    assert out.dtype == expected.dtype
    if out.dtype != np.float32:
        assert np.all((out == expected) | halves(case) & (abs(out - 1.0 * expected) <= 1))
        return
    assert difference(out, expected) < 1e-5
    with Tape([]) as tape:
        x = tape.watch(case.arrays[0])
        y = call(case, x)
        total = namespace(y).sum(y * image_cases.cotangent(y.shape))
    gradient = RECORDED.array(recorded["gradient"])
    assert difference(tape.gradient(total, [x])[0], gradient) < 1e-5


FIRSTS = list({(c.function, c.arrays[0].dtype, c.arrays[0].ndim): c for c in CASES}.values())


@pytest.mark.parametrize("case", FIRSTS, ids=lambda case: case.key)
def test_other_libraries_and_shapes(case):
    """Of each function, dtype and rank one case over array_api_strict and as a node of a graph."""
    arrays = [strict(a) for a in case.arrays]
    out = call(case, case.arrays[0])
    options = {k: strict(v) if hasattr(v, "dtype") else v for k, v in case.options.items()}
    over = getattr(image, case.function)(*arrays, **options)
    assert namespace(over) is namespace(arrays[0])
    assert difference(to_numpy(over), out) < 1e-5
    node = call(case, KerasTensor(case.arrays[0].shape, case.arrays[0].dtype.name))
    assert (node.shape, node.dtype) == (out.shape, out.dtype.name)
