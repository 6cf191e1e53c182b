"""Every function of the table: its gradient, its shape rule, over every array library."""

from __future__ import annotations

import numpy as np
import pytest
from checks import check_gradient, check_shape

from gpulayers.arrays import Abstract, dtypes, infer, namespace
from gpulayers.arrays.functions import TABLE

rng = np.random.default_rng(1)


def real(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.5, 2, size=shape)


def inside(*shape):
    return rng.uniform(-0.9, 0.9, size=shape)


def spread(*shape):
    """No two elements near each other: no ties, and finite differences cross no kink."""
    n = int(np.prod(shape))
    return (rng.permutation(n) * 0.37 - n * 0.18 + 0.05).reshape(shape)


def spd(n):
    a = rng.normal(size=(2, n, n))
    return a @ a.swapaxes(-1, -2) + n * np.eye(n)


INDICES = np.array([0, 2, 2, 1])

# name -> list of (arrays, function of (xp, *arrays)).
CASES = {
    "abs": [([spread(3, 4)], lambda xp, x: xp.abs(x)), ([spread(3)], lambda xp, x: abs(x))],
    "acos": [([inside(3, 4)], lambda xp, x: xp.acos(x))],
    "acosh": [([positive(3, 4) + 1], lambda xp, x: xp.acosh(x))],
    "add": [
        ([real(3, 4), real(4)], lambda xp, x, y: x + y),
        ([real(3, 1), real(1, 4)], lambda xp, x, y: xp.add(x, y) + 1),
    ],
    "asin": [([inside(3, 4)], lambda xp, x: xp.asin(x))],
    "asinh": [([real(3, 4)], lambda xp, x: xp.asinh(x))],
    "astype": [([real(3, 4)], lambda xp, x: xp.astype(x, xp.float64) * 2)],
    "atan": [([real(3, 4)], lambda xp, x: xp.atan(x))],
    "atan2": [([spread(3, 4), spread(4)], lambda xp, x, y: xp.atan2(x, y))],
    "atanh": [([inside(3, 4)], lambda xp, x: xp.atanh(x))],
    "broadcast_arrays": [
        ([real(3, 1), real(4)], lambda xp, x, y: list(xp.broadcast_arrays(x, y)))
    ],
    "broadcast_to": [([real(3, 1)], lambda xp, x: xp.broadcast_to(x, (2, 3, 4)))],
    "clip": [
        ([spread(3, 4)], lambda xp, x: xp.clip(x, -0.9, 0.6)),
        ([spread(3, 4)], lambda xp, x: xp.clip(x, min=-0.9)),
        ([spread(3, 4)], lambda xp, x: xp.clip(x, max=0.6)),
    ],
    "concat": [
        ([real(3, 2), real(3, 4)], lambda xp, x, y: xp.concat([x, y], axis=-1)),
        ([real(3, 2), real(1, 2)], lambda xp, x, y: xp.concat([x, y, x])),
        ([real(3, 2), real(4)], lambda xp, x, y: xp.concat([x, y], axis=None)),
    ],
    "copysign": [([spread(3, 4), spread(4)], lambda xp, x, y: xp.copysign(x, y))],
    "cos": [([real(3, 4)], lambda xp, x: xp.cos(x))],
    "cosh": [([real(3, 4)], lambda xp, x: xp.cosh(x))],
    "cumulative_prod": [
        ([real(3, 4)], lambda xp, x: xp.cumulative_prod(x, axis=1)),
        ([real(4)], lambda xp, x: xp.cumulative_prod(x, include_initial=True)),
        ([real(4) * np.array([1, 0, 1, 1])], lambda xp, x: xp.cumulative_prod(x)),
    ],
    "cumulative_sum": [
        ([real(3, 4)], lambda xp, x: xp.cumulative_sum(x, axis=1)),
        ([real(4)], lambda xp, x: xp.cumulative_sum(x, include_initial=True)),
    ],
    "diff": [
        ([real(3, 5)], lambda xp, x: xp.diff(x, axis=1)),
        ([real(5, 2)], lambda xp, x: xp.diff(x, axis=0, n=2)),
    ],
    "divide": [
        ([real(3, 4), positive(4)], lambda xp, x, y: x / y),
        ([positive(3, 4)], lambda xp, x: 1 / x + 2 - 3 * x),
    ],
    "exp": [([real(3, 4)], lambda xp, x: xp.exp(x))],
    "expand_dims": [([real(3, 4)], lambda xp, x: xp.expand_dims(x, axis=1))],
    "expm1": [([real(3, 4)], lambda xp, x: xp.expm1(x))],
    "flip": [
        ([real(3, 4)], lambda xp, x: xp.flip(x, axis=1)),
        ([real(3, 4)], lambda xp, x: xp.flip(x)),
    ],
    "getitem": [
        ([real(3, 4, 5)], lambda xp, x: x[1:, ..., ::2]),
        ([real(3, 4, 5)], lambda xp, x: x[1, :, -1]),
        ([real(3, 4)], lambda xp, x: x[::-1, ...] * 2),
    ],
    "hypot": [([real(3, 4), positive(4)], lambda xp, x, y: xp.hypot(x, y))],
    "log": [([positive(3, 4)], lambda xp, x: xp.log(x))],
    "log10": [([positive(3, 4)], lambda xp, x: xp.log10(x))],
    "log1p": [([positive(3, 4)], lambda xp, x: xp.log1p(x))],
    "log2": [([positive(3, 4)], lambda xp, x: xp.log2(x))],
    "logaddexp": [([real(3, 4), real(4)], lambda xp, x, y: xp.logaddexp(x, y))],
    "matmul": [
        ([real(3, 4), real(4, 5)], lambda xp, x, y: x @ y),
        ([real(2, 3, 4), real(4, 5)], lambda xp, x, y: x @ y),
        ([real(2, 3, 4), real(2, 4, 5)], lambda xp, x, y: xp.matmul(x, y)),
        ([real(1, 3, 4), real(2, 4, 5)], lambda xp, x, y: x @ y),
        ([real(2, 3, 4), real(4)], lambda xp, x, y: x @ y),
        ([real(4), real(2, 4, 3)], lambda xp, x, y: x @ y),
        ([real(4), real(4, 3)], lambda xp, x, y: x @ y),
        ([real(4), real(4)], lambda xp, x, y: x @ y),
    ],
    "matrix_transpose": [
        ([real(2, 3, 4)], lambda xp, x: xp.matrix_transpose(x)),
        ([real(2, 3, 4)], lambda xp, x: x.mT),
    ],
    "max": [
        ([spread(3, 4)], lambda xp, x: xp.max(x, axis=1)),
        ([spread(3, 4)], lambda xp, x: xp.max(x)),
    ],
    "maximum": [([spread(3, 4), inside(4)], lambda xp, x, y: xp.maximum(x, y))],
    "mean": [
        ([real(3, 4, 2)], lambda xp, x: xp.mean(x, axis=(1, 2))),
        ([real(3, 4)], lambda xp, x: xp.mean(x)),
    ],
    "min": [([spread(3, 4)], lambda xp, x: xp.min(x, axis=-1, keepdims=True))],
    "minimum": [([spread(3, 4), inside(4)], lambda xp, x, y: xp.minimum(x, y))],
    "moveaxis": [([real(2, 3, 4)], lambda xp, x: xp.moveaxis(x, 0, -1))],
    "multiply": [([real(2, 3, 4), real(3, 1)], lambda xp, x, y: x * y)],
    "negative": [([real(3, 4)], lambda xp, x: -x)],
    "permute_dims": [
        ([real(2, 3, 4)], lambda xp, x: xp.permute_dims(x, (2, 0, 1))),
        ([real(2, 3, 4)], lambda xp, x: xp.permute_dims(x, (0, -1, 1))),
        ([real(2, 3)], lambda xp, x: x.T),
    ],
    "positive": [([real(3)], lambda xp, x: +x)],
    "pow": [
        ([positive(3, 4), real(4)], lambda xp, x, y: x**y),
        ([real(3, 4)], lambda xp, x: x**3),
        ([positive(3)], lambda xp, x: 2.0**x),
    ],
    "prod": [
        ([real(3, 4)], lambda xp, x: xp.prod(x, axis=0)),
        ([real(3, 4, 2)], lambda xp, x: xp.prod(x, axis=(0, 2), keepdims=True)),
        ([real(4) * np.array([1, 0, 1, 1])], lambda xp, x: xp.prod(x)),
    ],
    "reciprocal": [([positive(3, 4)], lambda xp, x: xp.reciprocal(x))],
    "remainder": [([spread(3, 4), positive(4) + 7], lambda xp, x, y: x % y)],
    "repeat": [
        ([real(3, 4)], lambda xp, x: xp.repeat(x, 2, axis=1)),
        ([real(3, 4)], lambda xp, x: xp.repeat(x, 3)),
    ],
    "reshape": [([real(3, 4)], lambda xp, x: xp.reshape(x, (2, -1)))],
    "roll": [
        ([real(3, 4)], lambda xp, x: xp.roll(x, 2, axis=1)),
        ([real(3, 4)], lambda xp, x: xp.roll(x, (1, -2), axis=(0, 1))),
    ],
    "sin": [([real(3, 4)], lambda xp, x: xp.sin(x))],
    "sinh": [([real(3, 4)], lambda xp, x: xp.sinh(x))],
    "sort": [
        ([spread(3, 4)], lambda xp, x: xp.sort(x, axis=1)),
        ([spread(5)], lambda xp, x: xp.sort(x, descending=True)),
    ],
    "sqrt": [([positive(3, 4)], lambda xp, x: xp.sqrt(x))],
    "square": [([real(3, 4)], lambda xp, x: xp.square(x))],
    "squeeze": [([real(3, 1, 4)], lambda xp, x: xp.squeeze(x, axis=1))],
    "stack": [([real(3, 2), real(3, 2)], lambda xp, x, y: xp.stack([x, y], axis=1))],
    "std": [([real(3, 4)], lambda xp, x: xp.std(x, axis=0))],
    "subtract": [([real(3, 1), real(1, 4)], lambda xp, x, y: x - y)],
    "sum": [
        ([real(3, 4, 2)], lambda xp, x: xp.sum(x, axis=(0, -1), keepdims=True)),
        ([real(3, 4)], lambda xp, x: xp.sum(x) * xp.sum(x, axis=0)),
    ],
    "take": [
        ([real(5, 3)], lambda xp, x: xp.take(x, xp.asarray(INDICES), axis=0)),
        ([real(2, 5, 3)], lambda xp, x: xp.take(x, xp.asarray(INDICES), axis=1)),
    ],
    "take_along_axis": [
        (
            [real(2, 5)],
            lambda xp, x: xp.take_along_axis(x, xp.asarray([[0, 4, 4], [1, 1, 2]]), axis=1),
        )
    ],
    "tan": [([inside(3, 4)], lambda xp, x: xp.tan(x))],
    "tanh": [([real(3, 4)], lambda xp, x: xp.tanh(x))],
    "tensordot": [
        ([real(2, 3, 4), real(3, 4, 5)], lambda xp, x, y: xp.tensordot(x, y)),
        (
            [real(2, 3, 4), real(5, 4, 2)],
            lambda xp, x, y: xp.tensordot(x, y, axes=((2, 0), (1, 2))),
        ),
    ],
    "tile": [([real(2, 3)], lambda xp, x: xp.tile(x, (2, 1, 3)))],
    "tril": [([real(2, 3, 4)], lambda xp, x: xp.tril(x, k=1))],
    "triu": [([real(3, 4)], lambda xp, x: xp.triu(x))],
    "unstack": [
        ([real(3, 4)], lambda xp, x: xp.unstack(x, axis=1)[1] * 2 + xp.unstack(x, axis=1)[3])
    ],
    "var": [([real(3, 4)], lambda xp, x: xp.var(x, axis=-1, correction=1.0))],
    "vecdot": [([real(3, 4), real(3, 4)], lambda xp, x, y: xp.vecdot(x, y))],
    "where": [([spread(3, 4), real(4)], lambda xp, x, y: xp.where(x > 0, x, y))],
    "linalg.cholesky": [([spd(3)], lambda xp, x: xp.linalg.cholesky((x + x.mT) / 2))],
    "linalg.cross": [([real(2, 3), real(2, 3)], lambda xp, x, y: xp.linalg.cross(x, y))],
    "linalg.det": [([real(2, 3, 3)], lambda xp, x: xp.linalg.det(x))],
    "linalg.diagonal": [([real(2, 3, 4)], lambda xp, x: xp.linalg.diagonal(x, offset=1))],
    "linalg.eigh": [
        (
            [spd(3)],
            lambda xp, x: [(r := xp.linalg.eigh((x + x.mT) / 2))[0], xp.square(r[1])],
        )
    ],
    "linalg.inv": [([spd(3)], lambda xp, x: xp.linalg.inv(x))],
    "linalg.matmul": [([real(3, 4), real(4, 2)], lambda xp, x, y: xp.linalg.matmul(x, y))],
    "linalg.matrix_norm": [([real(2, 3, 4)], lambda xp, x: xp.linalg.matrix_norm(x))],
    "linalg.matrix_transpose": [([real(2, 3)], lambda xp, x: xp.linalg.matrix_transpose(x))],
    "linalg.outer": [([real(3), real(4)], lambda xp, x, y: xp.linalg.outer(x, y))],
    "linalg.slogdet": [([spd(3)], lambda xp, x: xp.linalg.slogdet(x)[1])],
    "linalg.solve": [
        ([spd(3), real(2, 3, 4)], lambda xp, a, b: xp.linalg.solve(a, b)),
        ([spd(3)[0], real(3)], lambda xp, a, b: xp.linalg.solve(a, b)),
    ],
    "linalg.tensordot": [
        ([real(3, 4), real(4, 2)], lambda xp, x, y: xp.linalg.tensordot(x, y, axes=1))
    ],
    "linalg.trace": [([real(2, 3, 3)], lambda xp, x: xp.linalg.trace(x))],
    "linalg.vecdot": [([real(3, 4), real(3, 4)], lambda xp, x, y: xp.linalg.vecdot(x, y))],
    "linalg.vector_norm": [
        ([real(3, 4)], lambda xp, x: xp.linalg.vector_norm(x, axis=1)),
        ([spread(3, 4)], lambda xp, x: xp.linalg.vector_norm(x, ord=1)),
    ],
}  # fmt: skip

x34, i34 = spread(3, 4), rng.integers(1, 9, size=(3, 4))
b34 = x34 > 0
PLAIN = {  # Functions without a gradient: only results, shapes and dtypes.
    **{name: ([x34], name) for name in "ceil floor round trunc sign signbit".split()},
    **{name: ([x34], name) for name in "isfinite isinf isnan argmax argmin argsort".split()},
    **{name: ([b34], name) for name in "all any logical_not count_nonzero".split()},
    **{
        name: ([x34, x34[0]], name)
        for name in (
            "equal not_equal less less_equal greater greater_equal floor_divide nextafter".split()
        )
    },
    **{name: ([b34, b34[0]], name) for name in "logical_and logical_or logical_xor".split()},
    **{
        name: ([i34, i34[0]], name)
        for name in (
            "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split()
        )
    },
    "bitwise_invert": ([i34], "bitwise_invert"),
    "searchsorted": ([np.sort(x34[0]), x34[1]], "searchsorted"),
    "meshgrid": ([x34[0], x34[1, :2]], "meshgrid"),
    **{name: ([x34], name) for name in "zeros_like ones_like empty_like".split()},
    **{
        f"linalg.{name}": ([spd(3)], f"linalg.{name}")
        for name in "pinv matrix_rank svdvals eigvalsh qr svd".split()
    },
}
WITH_ARGUMENTS = {  # Functions that need more than arrays.
    "full_like": lambda xp, x: xp.full_like(x, 2.0),
    "linalg.matrix_power": lambda xp, x: xp.linalg.matrix_power(x[:3, :3], 3),
    "nonzero": None,
    "unique_all": None,
    "unique_counts": None,
    "unique_inverse": None,
    "unique_values": None,
}


def test_every_function_has_a_case():
    arrays = {name for name, entry in TABLE.items() if entry.kind == "array"}
    assert arrays == {*CASES, *PLAIN, *WITH_ARGUMENTS}
    assert len(TABLE) >= 130


ALL = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]


@pytest.mark.parametrize(("name", "i"), ALL)
def test_gradient(name, i, xp):
    arrays, function = CASES[name][i]
    if name == "astype" and xp.name == "array_api_strict":
        arrays = [np.asarray(a) for a in arrays]
    check_gradient(lambda *xs: function(namespace(*xs), *xs), *arrays, xp=xp)


@pytest.mark.parametrize(("name", "i"), ALL)
def test_shape(name, i):
    arrays, function = CASES[name][i]
    check_shape(lambda *xs: function(namespace(*xs), *xs), *arrays)


def _call(xp, name, arrays):
    for part in name.split("."):
        xp = getattr(xp, part)
    return xp(*arrays)


@pytest.mark.parametrize("name", PLAIN)
def test_without_gradient(name, xp):
    arrays, name = PLAIN[name]
    check_shape(lambda *xs: _tuple(_call(namespace(*xs), name, xs)), *arrays)
    from gpulayers.arrays import Tape, is_recorded

    given = [xp.asarray(a) for a in arrays]
    expected = _tuple(_call(namespace(*given), name, given))
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in given]
        found = _tuple(_call(namespace(*watched), name, watched))
    if name == "empty_like":
        return
    for y, e in zip(found, expected, strict=True):
        assert is_recorded(y)
        assert y.index is None  # A constant.
        np.testing.assert_array_equal(xp.to_numpy(y.value), xp.to_numpy(e))


def _tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


@pytest.mark.parametrize("name", [n for n, f in WITH_ARGUMENTS.items() if f])
def test_with_arguments(name):
    function = WITH_ARGUMENTS[name]
    check_shape(lambda x: function(namespace(x), x), real(3, 4))


@pytest.mark.parametrize("name", [n for n, f in WITH_ARGUMENTS.items() if not f])
def test_sizes_that_depend_on_values_are_refused(name):
    with pytest.raises(TypeError, match="depends on the values"):
        infer(lambda x: getattr(namespace(x), name)(x), Abstract((3, 4)))


CREATION = {
    "zeros": lambda xp: xp.zeros((2, 3)),
    "ones": lambda xp: xp.ones((2, 3), dtype=xp.float32),
    "full": lambda xp: xp.full((2,), 3),
    "empty": lambda xp: xp.empty((2, 0)),
    "arange": lambda xp: xp.arange(2, 9, 3),
    "linspace": lambda xp: xp.linspace(0, 1, 5),
    "eye": lambda xp: xp.eye(3, 4, k=1),
    "asarray": lambda xp: xp.asarray([1.0, 2.0]),
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(name, xp):
    from gpulayers.arrays import Tape, is_recorded
    from gpulayers.arrays.abstract import ABSTRACT

    make = CREATION[name]
    plain_xp = namespace(xp.asarray(np.zeros(1)))
    expected = make(plain_xp)
    with Tape([]) as tape:
        inner = make(namespace(tape.watch(xp.asarray(np.zeros(1)))))
    assert is_recorded(inner)
    np.testing.assert_array_equal(xp.to_numpy(inner.value), xp.to_numpy(expected))
    ghost = make(ABSTRACT)
    assert (ghost.shape, dtypes.name(ghost.dtype)) == (
        tuple(expected.shape),
        dtypes.name(expected.dtype),
    )


def test_queries_pass_through():
    from gpulayers.arrays import Tape

    with Tape([]) as tape:
        x = tape.watch(np.zeros(3, np.float32))
        xp = namespace(x)
        assert xp.result_type(x, xp.float64) == np.float64
        assert xp.isdtype(x.dtype, "real floating")
        assert xp.finfo(x.dtype).bits == 32


def test_unknown_functions_say_what_to_do():
    from gpulayers.arrays import Tape

    with Tape([]) as tape:
        x = tape.watch(np.zeros(3))
        with pytest.raises(NotImplementedError, match="stop_gradient"):
            namespace(x).interp(x, x, x)
