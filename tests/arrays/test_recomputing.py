"""Parts of a record that are computed again, and what must not be."""

import numpy as np
import pytest

from gpulayers import Variable, namespace, ops, primitive, random, stop_gradient
from gpulayers.arrays import Tape, plain
from gpulayers.arrays.recomputing import OF_A_NODE, Apart, Watched, kept_since

X = np.random.default_rng(0).normal(size=(2, 3))


@primitive
def doubled(x, y):
    return x * 2 * y


@pytest.mark.parametrize("mix", [lambda a, b: a + b, doubled], ids=["function", "primitive"])
def test_arrays_of_two_records_do_not_mix(mix):
    """The gradient would be that of something else."""
    with Tape() as first:
        one = first.watch(X) * 2
    with Tape() as second:
        other = second.watch(X)
        with pytest.raises(ValueError, match="recorded by different tapes"):
            mix(other * 1, one)
        out = mix(other * 3, stop_gradient(one))
        back = mix(stop_gradient(one), other * 3)
    assert out.tape is back.tape is second
    assert second.gradient([out, back], other).shape == X.shape


def test_variables_hold_what_they_held():
    kernel = Variable(np.ones((3, 3)))
    calls, seed = Variable(np.asarray(0.0), trainable=False), random.SeedGenerator(3)

    def function(arrays):
        calls.assign_add(1.0)
        noise = random.normal(arrays[0].shape, seed=seed, dtype="float64")
        return [arrays[0] @ kernel.value * noise * calls.value]

    with Tape():
        apart = Apart()
        (found,), variables, held = apart.results(function, [X])
    assert variables == [kernel]
    kernel.assign(kernel.numpy() * 7)
    calls.assign(5.0)
    (of_x,), (of_kernel,) = apart.gradients(
        function, [X], [True], variables, [np.ones((2, 3))], held=held, ends=[found]
    )
    noise = found / (X @ np.ones((3, 3)))
    np.testing.assert_allclose(of_kernel, X.T @ noise)
    np.testing.assert_allclose(of_x, noise @ np.ones((3, 3)))
    assert (float(calls), seed.pair()) == (5.0, (3, 1))
    assert (kernel.numpy() == 7).all()


def watched(function, *given):
    """Whether what a function of recorded arrays does can be repeated."""
    with Watched(given) as found:
        results = function(*given)
    return found.can_be_repeated(results)


def test_what_can_be_repeated():
    weight, kept = Variable(np.ones(3)), []

    def remembering(x):
        kept.append(x * weight)
        return [kept[-1] + 1]

    with Tape() as tape:
        x, other = tape.watch(X), tape.watch(X + 1)
        assert watched(lambda x: [ops.tanh(x * weight), x], x)
        assert watched(lambda x, y: [x * y], x, other)
        assert watched(lambda x: [x * np.ones(3)], x)
        assert not watched(lambda x: [x * other], x)
        assert not watched(remembering, x)
        assert "record" not in vars(tape)


def test_bytes_that_a_record_keeps():
    with Tape() as tape:
        x = tape.watch(X)
        start = tape.position()
        assert kept_since(start) == 0
        y = namespace(x).exp(x)
        assert kept_since(start) == X.nbytes + OF_A_NODE
        y + y
        assert kept_since(start) == 2 * (X.nbytes + OF_A_NODE)
        assert plain(y).shape == X.shape
