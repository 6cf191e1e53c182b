"""How functions take their arguments."""

import numpy as np
import pytest

from gpulayers import ops
from gpulayers.arrays import Abstract, KerasTensor, Tape, Variable, infer
from gpulayers.ops.calling import array_function

x = np.arange(6, dtype=np.float32).reshape(2, 3)


@array_function("a", "b")
def weighted(a, axis=0, b=None):
    """For these tests."""
    assert hasattr(a, "dtype")
    assert b is None or hasattr(b, "dtype")
    out = a.__array_namespace__().sum(a, axis=axis)
    return out if b is None else out * b


def test_arrays_by_position_and_by_name():
    for call in (
        lambda: weighted(x, 0, x[0]),
        lambda: weighted(x, b=x[0]),
        lambda: weighted(a=x, b=x[0]),
        lambda: weighted(b=[0.0, 1.0, 2.0], axis=0, a=x.tolist()),
        lambda: weighted(Variable(x), 0, Variable(x[0])),
    ):
        np.testing.assert_array_equal(call(), [0, 5, 14])
    np.testing.assert_array_equal(weighted(x, axis=1), [3, 12])
    with pytest.raises(TypeError, match="argument"):
        weighted()
    with pytest.raises(TypeError, match="c"):
        weighted(x, c=1)


def test_a_symbolic_call_is_one_node():
    tensor = KerasTensor((None, 3))
    out = weighted(x, b=KerasTensor((3,)))
    assert out.node.operation is weighted
    out = ops.quantile(tensor, 0.5, axis=1)
    assert out.shape == (None,)
    assert out.node.operation is ops.quantile
    for name in ("logsumexp", "cumsum", "bitwise_and", "ldexp", "concatenate", "average", "clip"):
        args = {"cumsum": (tensor, 1), "concatenate": ([tensor, tensor],), "clip": (tensor, 0, 1)}
        whole = KerasTensor((None, 3), "int32")
        args |= {"bitwise_and": (whole, whole), "ldexp": (tensor, whole)}
        out = getattr(ops, name)(*args.get(name, (tensor,)))
        assert out.node.operation is getattr(ops, name)
        assert out.node.operation.__name__ == name


def test_short_floats_in_any_argument():
    half = x.astype(np.float16)
    assert weighted(half).dtype == np.float16
    assert weighted(half, b=half[0]).dtype == np.float16
    assert weighted(half, b=x[0]).dtype == np.float32
    assert ops.dtype(weighted(ops.cast(x, "bfloat16"), b=half[0])) == "float32"
    assert infer(weighted, Abstract((2, 3), "bfloat16")).dtype.name == "bfloat16"


def test_gradients_of_short_floats():
    v = Variable(np.linspace(0.1, 1, 5), dtype="bfloat16")
    with Tape() as tape:
        y = ops.sum(ops.exp(v) * ops.logsumexp(v))
    found = tape.gradient(y, v)
    assert ops.dtype(y) == ops.dtype(found) == "bfloat16"
    e = np.exp(v.numpy().astype(np.float64))
    expected = e * np.log(e.sum()) + e
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0.02)


def test_gradients_through_variables_and_lists():
    v = Variable(x)
    with Tape() as tape:
        y = ops.sum(ops.stack([v, ops.ones((2, 3))])[0, ...] * ops.add(v, [1.0, 2.0, 3.0]))
    np.testing.assert_allclose(tape.gradient(y, v), 2 * x + [1, 2, 3])


def test_what_is_no_array_is_refused():
    for wrong in (None, "one", ["a", "b"]):
        with pytest.raises((TypeError, ValueError)):
            ops.add(wrong, 1.0)
        with pytest.raises((TypeError, ValueError, AttributeError)):
            ops.mean(wrong)


def test_two_libraries_are_not_mixed():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="arrays of .* meet"):
        ops.matmul(strict.ones((2, 2)), np.ones((2, 2)))


def test_arrays_of_primitives_by_name():
    np.testing.assert_array_equal(ops.softmax(x=x, axis=0), ops.softmax(x, 0))
    np.testing.assert_array_equal(ops.stack(x=[x, x], axis=1), np.stack([x, x], 1))
    v = Variable(x / 10 + 0.1)
    with Tape() as tape:
        y = ops.sum(ops.binary_crossentropy(target=np.ones_like(x), output=v))
    np.testing.assert_allclose(tape.gradient(y, v), -1 / v.numpy(), rtol=1e-6)
    tensor = KerasTensor((None, 3))
    out = ops.binary_crossentropy(target=tensor, output=tensor)
    assert out.node.operation is ops.binary_crossentropy
    assert ops.logsumexp(axis=1, x=tensor).shape == (None,)
