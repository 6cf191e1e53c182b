"""The tape: what is recorded, what gradients it gives, and what it refuses."""

from __future__ import annotations

import gc
import threading
import weakref

import array_api_strict as strict
import numpy as np
import pytest

import gpulayers as gl
from gpulayers.arrays import Tape, Variable, is_recorded, namespace, plain, value_and_grad
from gpulayers.ops.batch_normalization import normalized_in_batch


def test_gradient_of_variables_and_watched_arrays():
    w, b = Variable(np.array([[1.0, 2.0]])), Variable(np.array([3.0, 4.0]))
    x = np.array([[0.5], [2.0]])
    with Tape() as tape:
        watched = tape.watch(x)
        loss = namespace(watched).sum((watched @ w + b) ** 2)
    grads = tape.gradient(loss, {"w": w, "b": b, "x": x})
    y = x @ w.numpy() + b.numpy()
    np.testing.assert_allclose(grads["w"], x.T @ (2 * y))
    np.testing.assert_allclose(grads["b"], (2 * y).sum(0))
    np.testing.assert_allclose(grads["x"], (2 * y) @ w.numpy().T)
    assert type(grads["w"]) is np.ndarray


def test_value_and_grad_gives_plain_arrays():
    v = Variable(np.array([1.0, 2.0]))
    value, (grad,) = value_and_grad(lambda k: namespace(v).sum(v**2) * k, [v])(3.0)
    assert not is_recorded(value)
    assert float(value) == 15.0
    np.testing.assert_allclose(grad, [6.0, 12.0])


def test_only_wanted_variables_are_recorded():
    a, b = Variable(np.ones(2)), Variable(np.ones(2))
    with Tape([a]) as tape:
        loss = namespace(a).sum(a * b)
    assert tape.gradient(loss, [a, b])[1] is None


def test_frozen_variables_get_no_gradient():
    a, b = Variable(np.ones(2), trainable=False), Variable(np.ones(2))
    with Tape() as tape:
        loss = namespace(a).sum(a * b)
    assert tape.gradient(loss, a) is None


def test_integer_variables_are_constants():
    n = Variable(np.array([1, 2]))
    with Tape() as tape:
        assert n.value.index is None
        assert tape.gradient(namespace(n).sum(n.value), n) is None


def test_second_order():
    v = Variable(np.array([1.0, 2.0, 3.0]))
    with Tape() as outer:
        with Tape() as inner:
            loss = namespace(v).sum(v**3)
        grad = inner.gradient(loss, v)
        penalty = namespace(grad).sum(grad**2)
    np.testing.assert_allclose(plain(grad), 3 * v.numpy() ** 2)
    np.testing.assert_allclose(outer.gradient(penalty, v), 36 * v.numpy() ** 3)


def test_second_order_through_indexing_and_products():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 4)), Variable(rng.normal(size=(4, 2)))

    def penalty(values):
        w.assign(values)
        with Tape([]) as tape:
            watched = tape.watch(x)
            xp = namespace(watched)
            y = xp.tanh(watched @ w)[:, 0]
            y = xp.take(y, xp.asarray([0, 2, 2]), axis=0)
            loss = xp.sum(y * y)
        grad = tape.gradient(loss, watched)
        return namespace(grad).sum(grad * grad)

    start = w.numpy()
    with Tape() as outer:
        total = penalty(start)
    found = outer.gradient(total, w)
    expected = np.zeros_like(start)
    for at in np.ndindex(*start.shape):
        step = np.zeros_like(start)
        step[at] = 1e-6
        expected[at] = (penalty(start + step) - penalty(start - step)) / 2e-6
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_a_tape_is_used_up_unless_persistent():
    v = Variable(np.array(2.0))
    with Tape() as tape:
        loss = v * v
    assert tape.gradient(loss, v) == 4.0
    with pytest.raises(ValueError, match="persistent=True"):
        tape.gradient(loss, v)
    with Tape(persistent=True) as tape:
        loss = v * v
    assert tape.gradient(loss, v) == tape.gradient(loss, v) == 4.0


def test_target_must_be_recorded():
    with Tape() as tape:
        pass
    with pytest.raises(TypeError, match="not recorded by this tape"):
        tape.gradient(np.array(1.0), [])


def test_stop_gradient():
    v = Variable(np.array([1.0, 2.0]))
    with Tape() as tape:
        loss = namespace(v).sum(v * gl.stop_gradient(v))
    np.testing.assert_allclose(tape.gradient(loss, v), v.numpy())


def test_numpy_functions_of_recorded_arrays_are_refused():
    v = Variable(np.ones(3))
    with Tape():
        with pytest.raises(TypeError):
            np.sum(v.value)
        with pytest.raises(TypeError, match="the array's own namespace"):
            np.asarray(v.value)
        with pytest.raises(TypeError, match=r"gpulayers\.ops"):
            np.asarray(v)
    assert np.sum(v) == 3.0


def test_item_assignment_is_refused():
    v = Variable(np.ones(3))
    with Tape():
        value = v.value
        with pytest.raises(TypeError, match=r"xp\.where"):
            value[0] = 2.0


def test_plain_arrays_stand_beside_recorded_ones():
    v, x = Variable(np.ones(3)), np.arange(3.0)
    with Tape() as tape:
        loss = namespace(v).sum(x * v.value + v.value * x)
    np.testing.assert_allclose(tape.gradient(loss, v), 2 * x)


def test_stock_array_namespace_agrees():
    from array_api_compat import array_namespace

    v = Variable(np.ones(3))
    with Tape():
        assert array_namespace(v.value, v.value * 2).__name__ == "gpulayers.tape[numpy]"


def test_assigning_inside_a_tape():
    v = Variable(np.array([1.0, 2.0]))
    with Tape() as tape:
        v.assign(v.value * 2)
        loss = namespace(v).sum(v**2)
    np.testing.assert_allclose(v.numpy(), [2.0, 4.0])
    np.testing.assert_allclose(tape.gradient(loss, v), [4.0, 8.0])


def test_gradients_have_the_dtype_and_shape_of_their_source():
    v = Variable(np.ones((1, 3), np.float32))
    with Tape() as tape:
        xp = namespace(v)
        loss = xp.sum(xp.astype(v.value, xp.float64) * np.ones((4, 3)))
    grad = tape.gradient(loss, v)
    assert grad.shape == (1, 3)
    assert grad.dtype == np.float32
    np.testing.assert_allclose(grad, 4.0)


def test_several_targets_and_output_gradients():
    v = Variable(np.array([1.0, 2.0]))
    with Tape() as tape:
        a, b = v * 2, v * v
    found = tape.gradient([a, b], v, output_gradients=[np.array([1.0, 0.0]), np.array([0.0, 1.0])])
    np.testing.assert_allclose(found, [2.0, 4.0])


def test_threads_do_not_see_each_other():
    v, seen = Variable(np.ones(2)), []

    def serve():
        seen.append(type(v.value))

    with Tape():
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
    assert seen == [np.ndarray]


def test_arrays_are_freed_while_gradients_are_computed():
    v = Variable(np.ones(1000))
    with Tape() as tape:
        middle = namespace(v).exp(v.value)
        kept = weakref.ref(middle.value)
        loss = namespace(v).sum(middle * 2)
    del middle
    gc.collect()
    assert kept() is not None
    tape.gradient(loss, v)
    assert kept() is None


def test_values_are_kept_only_where_a_pullback_names_them():
    v = Variable(np.ones(1000))
    with Tape():
        middle = v.value + 1
        gone = weakref.ref(middle.value)
        loss = middle + 1
    del middle
    gc.collect()
    assert gone() is None
    assert loss.shape == (1000,)


def test_a_tape_cannot_be_entered_twice():
    with Tape() as tape, pytest.raises(RuntimeError, match="already recording"), tape:
        pass


def test_missing_gradients_of_several_results_lie_beside_the_others():
    device = strict.Device("device1")
    x = strict.asarray([1.0, -2.0], device=device)
    with Tape() as tape:
        watched = tape.watch(x)
        column = namespace(watched).expand_dims(watched, axis=1)
        out, *_ = normalized_in_batch(column, axis=-1, epsilon=1.0)
    grad = tape.gradient(out, watched)
    assert grad.device == device
