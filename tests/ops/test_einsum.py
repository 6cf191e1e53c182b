"""einsum against NumPy's, with gradients, over every library."""

import numpy as np
import pytest
from checks import check_gradient, check_shape
from hypothesis import given, settings
from hypothesis import strategies as st

from gpulayers.arrays import KerasTensor
from gpulayers.ops import einsum

CASES = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk->ki", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ba", (3, 4)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("i,i", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,kl->", (3, 4), (2, 5)),
    ("btd,dhk->bhtk", (2, 3, 4), (4, 2, 3)),
    ("bhtk,bhsk->bhts", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bhts,bhsk->bthk", (2, 2, 3, 4), (2, 2, 4, 3)),
    ("aecd,abcd->acbe", (2, 3, 2, 3), (2, 4, 2, 3)),
    ("ijk,jki->", (3, 4, 2), (4, 2, 3)),
    ("ii", (4, 4)),
    ("ii->i", (4, 4)),
    ("iij->j", (4, 4, 3)),
    ("iiji->ij", (3, 3, 2, 3)),
    ("iij,jk->ik", (3, 3, 4), (4, 2)),
    ("aab,bbc->ac", (2, 2, 3), (3, 3, 4)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i...,i...->...", (3, 2, 4), (3, 4)),
    ("...a,...a", (2, 3), (2, 3)),
    ("...,...", (2, 3), (3,)),
    (",ij->ij", (), (2, 3)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ij,ij,ij->", (3, 4), (3, 4), (3, 4)),
    ("a,b,c,abc->", (2,), (3,), (4,), (2, 3, 4)),
    ("ij,j->i", (3, 4), (1,)),
    ("ij,ij->i", (3, 4), (3, 1)),
    ("ij,jk->ik", (3, 1), (4, 5)),
    ("i,i->i", (1,), (1,)),
    ("i j , j k -> i k", (3, 4), (4, 5)),
]


def arrays_of(shapes, seed=0):
    return [np.random.default_rng(seed + i).normal(size=s) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_shapes_and_gradients(case, xp):
    subscripts, *shapes = case
    arrays = arrays_of(shapes)
    expected = np.einsum(subscripts, *arrays)
    out = einsum(subscripts, *map(xp.asarray, arrays))
    assert tuple(out.shape) == expected.shape
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12, atol=1e-12)
    check_gradient(lambda *xs: einsum(subscripts, *xs), *arrays, xp=xp)
    check_shape(lambda *xs: einsum(subscripts, *xs), *arrays)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_subscripts(data):
    sizes = {"a": 2, "b": 3, "c": 1, "d": 4}
    count = data.draw(st.integers(1, 3))
    terms = [
        "".join(data.draw(st.lists(st.sampled_from("abcd"), max_size=4))) for _ in range(count)
    ]
    known = sorted(set("".join(terms)))
    output = "".join(data.draw(st.permutations(known)))[: data.draw(st.integers(0, 4))]
    subscripts = ",".join(terms) + "->" + output
    arrays = arrays_of([tuple(sizes[c] for c in term) for term in terms])
    out = einsum(subscripts, *arrays)
    np.testing.assert_allclose(out, np.einsum(subscripts, *arrays), rtol=1e-10, atol=1e-10)
    check_gradient(lambda *xs: einsum(subscripts, *xs), *arrays, atol=1e-6)


def test_unknown_sizes():
    out = einsum("btd,dhk->bhtk", KerasTensor((None, 7, 4)), np.ones((4, 2, 3), np.float32))
    assert out.shape == (None, 2, 7, 3)


def test_lists_numbers_and_dtypes():
    assert einsum("i,i", [1.0, 2.0], [3.0, 4.0]) == 11
    np.testing.assert_array_equal(einsum("i,->i", np.ones(3), 2.0), 2)
    mixed = einsum("ij,j->i", np.ones((2, 3), np.int32), np.ones(3, np.float32))
    assert mixed.dtype == np.float32


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk->ik", [(3, 4)], "needs 2 arrays, got 1"),
        ("ij->ik", [(3, 4)], "must name letters of the inputs"),
        ("ij->ii", [(3, 4)], "must name letters of the inputs"),
        ("ij->i", [(3,)], "names 2 axes, the array has 1"),
        ("i->i", [(3, 4)], "names 1 axes, the array has 2"),
        ("ij,jk->ik", [(3, 4), (3, 5)], "axis 'j' has the sizes 4 and 3"),
        ("ii", [(3, 4)], "axis 'i' has the sizes 3 and 4"),
        ("ii", [(1, 3)], "axis 'i' has the sizes 1 and 3"),
        ("i1->i", [(3, 4)], "cannot read 'i1'"),
        ("...i->i", [(2, 3)], "lacks the axes under"),
    ],
)
def test_errors(subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        einsum(subscripts, *arrays_of(shapes))


def test_the_subscripts_come_first():
    with pytest.raises(TypeError, match="the first argument must be a string, got ndarray"):
        einsum(np.ones(3), "i->i")
