"""Functions that move elements, against NumPy's."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor

x, v = real(2, 3, 4), real(4)
m = real(3, 4)

# Name, array, arguments, and NumPy's arguments where these differ.
CASES = [
    ("broadcast_to", v, ((2, 3, 4),)),
    ("diag", m, ()),
    ("diag", m, (1,)),
    ("diag", v, (-2,)),
    ("diagflat", m, ()),
    ("diagflat", v, (2,)),
    ("diagflat", v, (-1,)),
    ("diagonal", x, ()),
    ("diagonal", x, (1, 2, 0)),
    ("expand_dims", x, (1,)),
    ("expand_dims", x, ((-1, 0),)),
    ("flip", x, ()),
    ("flip", x, ((0, -1),)),
    ("flip", x, (1,)),
    ("fliplr", x, ()),
    ("flipud", x, ()),
    ("matrix_transpose", x, ()),
    ("moveaxis", x, (0, -1)),
    ("moveaxis", x, ((0, 1), (2, 0))),
    ("permute_dims", x, ((1, 2, 0),)),
    ("ravel", x, ()),
    ("repeat", x, (2, 1)),
    ("repeat", x, (2,)),
    ("repeat", x, ([2, 0, 1], 1)),
    ("reshape", x, ((4, -1),)),
    ("reshape", x, (24,)),
    ("roll", x, (2,)),
    ("roll", x, ((1, -1), (0, 2))),
    ("rot90", x, ()),
    ("rot90", x, (2,)),
    ("rot90", x, (-1, (2, 1))),
    ("squeeze", real(1, 3, 1), ()),
    ("squeeze", real(1, 3, 1), (-1,)),
    ("squeeze", real(1, 3, 1), ((0, 2),)),
    ("swapaxes", x, (0, -1)),
    ("tile", x, ((2, 1, 2, 1),)),
    ("tile", x, (2,)),
    ("trace", x, ()),
    ("trace", x, (1, 1, 2)),
    ("transpose", x, ()),
    ("transpose", x, ((-1, 0, 1),)),
    ("tril", m, ()),
    ("tril", x, (1,)),
    ("triu", x, (-1,)),
]


@pytest.mark.parametrize(("name", "array", "args"), CASES)
def test_against_numpy(name, array, args):
    function, reference = getattr(ops, name), getattr(np, name)
    check_function(lambda a: function(a, *args), [array], reference(array, *args))
    for dtype in ("bool", "bfloat16", "int8"):
        a = ops.cast(array, dtype)
        assert function(a, *args).dtype == ("int32" if (name, dtype) in SUMS else a.dtype)


SUMS = {("trace", "bool"), ("trace", "int8")}


def test_shapes_as_arrays_and_lists():
    same(ops.reshape(x, [6, 4]), x.reshape(6, 4))
    same(ops.reshape(x, np.array([6, 4])), x.reshape(6, 4))
    same(ops.tile(x, np.array([1, 2])), np.tile(x, [1, 2]))
    same(ops.repeat(x, np.array([2, 0]), 0), np.repeat(x, [2, 0], 0))


def test_unknown_sizes():
    tensor = KerasTensor((None, 3, 4))
    assert ops.reshape(tensor, (-1, 12)).shape == (None, 12)
    assert ops.transpose(tensor).shape == (4, 3, None)
    assert ops.ravel(tensor).shape == (None,)
    assert ops.expand_dims(tensor, 1).shape == (None, 1, 3, 4)
    assert ops.concatenate([tensor, tensor], axis=-1).shape == (None, 3, 8)
    assert [t.shape for t in ops.split(tensor, 2, axis=-1)] == [(None, 3, 2)] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.rot90(v), "rot90: needs two axes"),
        (lambda: ops.rot90(m, axes=(0, 0)), "two different axes"),
        (lambda: ops.rot90(m, axes=(0, 5)), "rot90: axis 5 is out of bounds"),
        (lambda: ops.reshape(m, (-2, 3)), r"sizes must be -1 or more, got \(-2, 3\)"),
        (lambda: ops.norm(m, axis=2), "norm: axis 2 is out of bounds"),
        (lambda: ops.take(m, [0], axis=-3), "axis -3 is out of bounds"),
        (lambda: ops.normalize(m, axis=2), "axis 2 is out of bounds"),
        (lambda: ops.vecdot(m, m, axis=2), "vecdot: axis 2 is out of bounds"),
        (lambda: ops.space_to_depth(x, 1), "space_to_depth: block_size must be 2 or more, got 1"),
        (lambda: ops.extract_sequences(m, 2, 0), "sequence_stride must be a positive integer"),
        (lambda: ops.diag(x), "diag: needs a vector or a matrix"),
        (lambda: ops.diagonal(v), "diagonal: needs two axes"),
        (lambda: ops.expand_dims(m, (0, 9)), "expand_dims: axis 9 is out of bounds"),
        (lambda: ops.split(m, 2, axis=0), r"split: axis 0 of the shape \(3, 4\) has no 2"),
        (lambda: ops.unstack(m, 2), "unstack: axis 0 has 3 slices, not 2"),
        (lambda: ops.meshgrid(v, v, indexing="yx"), "indexing must be"),
        (lambda: ops.concatenate([]), "at least one"),
        (lambda: ops.select([m > 0], [m, m]), "select: 1 conditions"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Joining and splitting.


@pytest.mark.parametrize(
    ("name", "arrays", "options"),
    [
        ("concatenate", [m, real(2, 4)], {}),
        ("concatenate", [m, real(3, 2)], {"axis": -1}),
        ("concatenate", [m, v], {"axis": None}),
        ("stack", [m, m + 1, m + 2], {}),
        ("stack", [m, m + 1], {"axis": -1}),
        ("hstack", [m, m], {}),
        ("hstack", [v, v], {}),
        ("vstack", [m, v], {}),
        ("vstack", [v, v], {}),
        ("dstack", [m, m], {}),
        ("dstack", [v, v], {}),
        ("dstack", [x, x], {}),
    ],
)
def test_joining(name, arrays, options):
    function, reference = getattr(ops, name), getattr(np, name)
    expected = reference(arrays, **options)
    check_function(lambda *xs: function(list(xs), **options), arrays, expected)
    mixed = [a.astype(np.int32 if i else np.float32) for i, a in enumerate(arrays)]
    assert function(mixed, **options).dtype == np.float32


def test_joining_other_things():
    same(ops.concatenate([[1.0, 2.0], np.array([3.0])]), np.array([1.0, 2, 3]))
    same(ops.stack(x), x)
    same(ops.concatenate(x), np.concatenate(x))
    check_function(ops.append, [m, v], np.append(m, v))
    check_function(lambda a, b: ops.append(a, b, axis=0), [m, m], np.append(m, m, axis=0))


@pytest.mark.parametrize(
    ("name", "array", "args"),
    [
        ("split", x, (2, -1)),
        ("split", x, ([1, 3], 2)),
        ("array_split", v, (3,)),
        ("array_split", x, (2, 1)),
        ("array_split", v, ([1],)),
        ("hsplit", m, (2,)),
        ("hsplit", v, ([1, 3],)),
        ("vsplit", m, (3,)),
        ("dsplit", x, ([1],)),
    ],
)
def test_splitting(name, array, args):
    function, reference = getattr(ops, name), getattr(np, name)
    check_function(lambda a: function(a, *args), [array], reference(array, *args))


def test_slices():
    check_function(ops.unstack, [m], list(m))
    check_function(lambda a: ops.unstack(a, 4, axis=-1), [m], list(m.T))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_grids(indexing, count):
    arrays = [real(2), real(3), real(4)][:count]
    expected = list(np.meshgrid(*arrays, indexing=indexing))
    check_function(lambda *xs: ops.meshgrid(*xs, indexing=indexing), arrays, expected)


def test_broadcasting():
    arrays = [real(3, 1), v]
    check_function(ops.broadcast_arrays, arrays, list(np.broadcast_arrays(*arrays)))


def test_select():
    conditions, choices = [m > 1, m > 0], [m, 2 * m]
    same(ops.select(conditions, choices, -1.0), np.select(conditions, choices, -1.0))
    check_gradient(lambda a, b: ops.select(conditions, [a, b]), m, m)


@pytest.mark.parametrize("size", [3.0, np.float32(3), "3"])
def test_sizes_of_matrices_are_integers(size):
    with pytest.raises(TypeError, match="integer"):
        ops.eye(size)
    with pytest.raises(TypeError, match="integer"):
        ops.eye(3, size)
