"""Which namespace arrays have."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

from gpulayers.arrays import Abstract, KerasTensor, Tape, Variable, namespace
from gpulayers.arrays.abstract import ABSTRACT
from gpulayers.arrays.namespace import NUMPY
from gpulayers.arrays.symbolic import SYMBOLIC


def test_plain_arrays():
    assert namespace(np.ones(2), 1.0, None) is NUMPY
    assert namespace(np.float32(1)) is NUMPY
    assert namespace(array_api_strict.ones(2)) is array_api_strict


def test_symbolic_before_abstract_before_recorded_before_plain():
    x, v = np.ones(2), Variable(np.ones(2))
    assert namespace(v, x) is NUMPY
    with Tape():
        assert namespace(x, v).__name__ == "gpulayers.tape[numpy]"
        assert namespace(x, v, Abstract((2,))) is ABSTRACT
        assert namespace(x, v, Abstract((2,)), KerasTensor((2,))) is SYMBOLIC


def test_numpy_has_what_the_standard_asks_for():
    x = np.array([3, 1, 2])
    np.testing.assert_array_equal(NUMPY.sort(x, descending=True), [3, 2, 1])
    np.testing.assert_array_equal(NUMPY.argsort(x, descending=True), [0, 2, 1])


def test_mixed_libraries_are_refused():
    with pytest.raises(TypeError, match="arrays of numpy and of array_api_strict"):
        namespace(np.ones(2), array_api_strict.ones(2))


def test_something_must_be_an_array():
    with pytest.raises(TypeError, match=r"got \(int, NoneType\)"):
        namespace(1, None)
