"""Choices, loops and maps."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import real, same

from gpulayers import models, ops
from gpulayers.arrays import Abstract, KerasTensor, Tape, Variable, infer
from gpulayers.layers import Input

x = real(4, 3)


def of_graph(function, *arrays):
    """What a model that is the graph of `function` gives for arrays."""
    tensors = [Input(batch_shape=a.shape, dtype=str(a.dtype)) for a in arrays]
    model = models.Model(tensors, function(*tensors))
    return model(list(arrays))


def test_cond():
    assert ops.cond(True, lambda: 1, lambda: 2) == 1
    assert ops.cond(np.array(False), lambda: 1, lambda: 2) == 2
    function = lambda a: ops.cond(ops.sum(a) > 0, lambda: a * 2, lambda: a)
    same(function(np.abs(x)), 2 * np.abs(x))
    same(function(-np.abs(x)), -np.abs(x))
    check_gradient(function, np.abs(x))
    for a in (np.abs(x), -np.abs(x)):
        same(of_graph(function, a.astype("f4")), function(a.astype("f4")))


def test_switch():
    branches = [lambda a: a, lambda a: a * 10, lambda a: -a]
    for index, factor in ((0, 1), (1, 10), (2, -1), (-3, 1), (9, -1)):
        same(ops.switch(index, branches, x), factor * x)
        same(ops.switch(np.array(index), branches, x), factor * x)
        graph = lambda a, i: ops.switch(i[0], branches, a)
        same(of_graph(graph, x.astype("f4"), np.array([index], "i4")), factor * x.astype("f4"))


def test_while_loop():
    halve = lambda a, n: (a / 2, n + 1)
    large = lambda a, n: ops.max(a) > 0.5
    a, n = ops.while_loop(large, halve, (np.array([8.0, 4.0]), 0))
    assert (a.tolist(), int(n)) == ([0.5, 0.25], 4)
    a = ops.while_loop(lambda a: True, lambda a: a + 1, 0.0, maximum_iterations=3)
    assert a == 3
    check_gradient(lambda a: ops.while_loop(large, halve, (a, 0))[0], np.array([8.1, 4.0]))
    out = ops.while_loop(large, halve, (KerasTensor((None,)), KerasTensor((), "int32")))
    assert [t.shape for t in out] == [(None,), ()]
    double = lambda a: ops.while_loop(lambda a: ops.max(a) < 100, lambda a: a * 2, a)
    start = np.array([3.0], "f4")
    same(of_graph(double, start), double(start))


def test_fori_loop():
    assert ops.fori_loop(2, 5, lambda i, v: v + i, 0) == 9
    check_gradient(lambda a: ops.fori_loop(0, 3, lambda i, v: v * a + i, a), x)


def running(carry, a):
    return carry + a, carry * a


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse):
    rows = x[::-1] if reverse else x
    carries = np.cumsum(rows, axis=0)
    products = np.concatenate([np.zeros((1, 3)), carries[:-1]]) * rows
    expected = carries[-1], products[::-1] if reverse else products
    call = lambda a: ops.scan(running, np.zeros(3), a, reverse=reverse)
    same(call(x), expected)
    check_gradient(call, x)
    spec = infer(call, Abstract((4, 3), "float64"))
    assert [s.shape for s in spec] == [(3,), (4, 3)]
    carry, outputs = ops.scan(running, KerasTensor((3,)), KerasTensor((4, 3)), reverse=reverse)
    assert (carry.shape, outputs.shape) == ((3,), (4, 3))


def test_scan_of_structures():
    def step(carry, pair):
        return {"n": carry["n"] + 1}, (pair["a"] + pair["b"], None)

    xs = {"a": x, "b": 2 * x}
    carry, (total, nothing) = ops.scan(step, {"n": 0}, xs)
    assert carry["n"] == 4
    assert nothing is None
    same(total, 3 * x)
    carry, outputs = ops.scan(lambda c, _: (c + 1, c), 0, length=3)
    assert (int(carry), outputs.tolist()) == (3, [0, 1, 2])
    carry, outputs = ops.scan(lambda c, a: (c + a, None), 0.0, x[:, 0])
    assert outputs is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.scan(3, 0, x), TypeError, "scan: f must be callable"),
        (lambda: ops.scan(running, 0), ValueError, "length must be given"),
        (lambda: ops.scan(running, 0, x, unroll=0), ValueError, "unroll"),
        (lambda: ops.associative_scan(3, x), TypeError, "f must be callable"),
        (lambda: ops.associative_scan(ops.add, [x, x[1:]]), ValueError, "sizes along axis 0"),
        (lambda: ops.vectorize(ops.add, signature="(n)->()")(x, x), ValueError, "is for 1 arrays"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_map():
    same(ops.map(lambda a: a * 2, x), 2 * x)
    same(ops.map(lambda p: p[0] + p[1], (x, x)), 2 * x)
    same(ops.vectorized_map(lambda a: ops.sum(a), x), x.sum(1))
    same(ops.vectorized_map(lambda p: {"d": ops.dot(*p)}, (x, x))["d"], (x * x).sum(1))
    check_gradient(lambda a: ops.map(ops.sin, a), x)


def test_vectorize():
    dot = ops.vectorize(lambda a, b: ops.sum(a * b), signature="(n),(n)->()")
    same(dot(x, x[0]), x @ x[0])
    same(dot(x[:, None], x), x @ x.T)
    assert dot(x[0], x[0]).shape == ()
    power = ops.vectorize(lambda a, n: a**n, excluded={1})
    same(power(x, 2), x**2)
    both = ops.vectorize(lambda a: (a, -a))
    same(both(x), (x, -x))
    check_gradient(dot, x, x[0])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(count, reverse):
    a = real(count, 2)
    expected = np.cumsum(a[::-1], 0)[::-1] if reverse else np.cumsum(a, 0)
    same(ops.associative_scan(ops.add, a, reverse), expected, 1e-12)
    same(ops.associative_scan(ops.add, a.T, reverse, axis=-1), expected.T, 1e-12)
    check_gradient(lambda a: ops.associative_scan(ops.multiply, a, reverse), a)


def test_associative_scan_of_pairs():
    """Of the maps v -> a v + b, which do not commute."""
    a, b = real(6), real(6) + 1

    def then(p, q):
        return p[0] * q[0], p[1] * q[0] + q[1]

    values, v = [], 0.0
    for i in range(6):
        v = a[i] * v + b[i]
        values.append(v)
    same(ops.associative_scan(then, (a, b))[1], np.array(values), 1e-12)


@pytest.mark.parametrize("by_name", [False, True])
def test_custom_gradients(by_name):
    @ops.custom_gradient
    def softened(a, b):
        """A product whose gradient is another."""
        e = ops.exp(a)
        if by_name:
            return a * b, lambda *args, upstream: (upstream * 2, upstream * e)
        return a * b, lambda g: (g * 2, g * e)

    a, b = Variable(x), Variable(2 * x)
    with Tape() as tape:
        y = ops.sum(softened(a, b) * 3)
    da, db = tape.gradient(y, [a, b])
    same(softened(a, b), 2 * x * x)
    same(da, np.full_like(x, 6))
    same(db, 3 * np.exp(x))
    assert softened(KerasTensor((None, 3)), KerasTensor((3,))).shape == (None, 3)
    assert softened.__doc__ == "A product whose gradient is another."


def test_custom_gradients_with_weights_inside():
    v = Variable(x)

    @ops.custom_gradient
    def scaled(a):
        return a * v, lambda g: g

    with Tape() as tape:
        y = ops.sum(scaled(v))
    same(tape.gradient(y, v), np.ones_like(x))


def test_custom_gradients_of_several_results():
    @ops.custom_gradient
    def both(a):
        return (a, -a), lambda gs: gs[0] * 10 + gs[1]

    v = Variable(x)
    with Tape() as tape:
        p, q = both(v)
        y = ops.sum(p) + ops.sum(q * 2)
    same(tape.gradient(y, v), np.full_like(x, 12))
