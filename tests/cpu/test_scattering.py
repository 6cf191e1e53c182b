"""Values combined into NumPy arrays against the references."""

import numpy as np
import pytest

from gpulayers import ops
from gpulayers.arrays import Tape
from gpulayers.arrays.scatter import scatter_add, scatter_add_along_axis
from gpulayers.ops.scattering import combine

pytestmark = pytest.mark.usefixtures("loops")

rng = np.random.default_rng(5)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "complex128"])


def values(dtype, *shape):
    return rng.integers(-9, 9, shape).astype(dtype)  # Their sums are exact in any order.


@DTYPES
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("places", [(7,), (2, 3), (0,), ()])
def test_slices_are_added(dtype, axis, places):
    lead, tail = (3, 2)[:axis], (4, 5)[axis:]
    x = np.asfortranarray(values(dtype, *lead, *places, *tail))
    indices = rng.integers(-6, 6, places)
    out = scatter_add(x, indices, axis=axis, size=6)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(out, scatter_add.reference(x, indices, axis=axis, size=6))


@DTYPES
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["int64", "int8"])
def test_elements_are_added_along_an_axis(dtype, axis, kind):
    x = values(dtype, 3, 4, 2)
    indices = rng.integers(-5, 5, x.shape).astype(kind)
    out = scatter_add_along_axis(x, indices, axis=axis, size=5)
    expected = scatter_add_along_axis.reference(x, indices, axis=axis, size=5)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("how", ["set", "add", "maximum", "minimum", "multiply"])
def test_rows_are_combined(how):
    rows, new = values("float32", 6, 3), values("float32", 9, 3)
    places = rng.integers(0, 6, 9)
    rows.flags.writeable = new.flags.writeable = places.flags.writeable = False
    out = combine(rows, places, new, how=how)
    np.testing.assert_array_equal(out, combine.reference(rows, places, new, how=how))


@pytest.mark.parametrize("place", [-7, 6])
@pytest.mark.parametrize("axis", [0, 1])
def test_places_that_do_not_exist(place, axis):
    x, places = values("float32", 2, 2), np.array([0, place])
    with pytest.raises(IndexError, match=f"{place}.*out of range for 6"):
        scatter_add(x, places, axis=axis, size=6)
    with pytest.raises(IndexError, match="out of range"):
        combine(values("float32", 6, 2), places, x, how="maximum")


def test_a_graph_of_many_edges_learns_by_its_nodes():
    """Gathered, and added up again: the gradient of each is the other."""
    nodes, edges = rng.normal(size=(50, 16)).astype("f4"), rng.integers(0, 50, (3000, 2))
    with Tape([]) as tape:
        x = tape.watch(nodes)
        messages = ops.take(x, edges[:, 1], axis=0)
        total = ops.segment_sum(messages, edges[:, 0], num_segments=50)
        loss = ops.sum(total * total)
    adjacency = np.zeros((50, 50))
    np.add.at(adjacency, (edges[:, 0], edges[:, 1]), 1)
    expected = 2 * adjacency.T @ (adjacency @ nodes)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=2e-4, atol=1e-2)
