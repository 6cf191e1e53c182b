"""The state of optimizers: saved, assigned, averaged, swapped."""

import numpy as np
import pytest
from optimizers.samples import KINDS, make

from gpulayers import optimizers
from gpulayers.arrays import Variable


@pytest.mark.parametrize("kind", KINDS)
def test_saved_state_goes_on_where_it_was(kind):
    variables, grads = make((6, 4), (4,), (2, 3, 2))
    first = getattr(optimizers, kind)(0.05)
    for _ in range(3):
        first.apply(grads, variables)
    store = {}
    first.save_own_variables(store)
    assert list(store) == [str(i) for i in range(len(first.variables))]
    copies = [Variable(v) for v in variables]
    second = getattr(optimizers, kind)(0.05)
    second.build(copies)
    second.load_own_variables(store)
    first.apply(grads)
    second.apply(grads)
    for a, b in zip(variables, copies, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    second.set_weights([v.numpy() for v in first.variables])


def test_state_that_does_not_fit():
    (w,), _ = make((3,))
    adam = optimizers.Adam()
    with pytest.warns(UserWarning, match="not built yet"):
        adam.load_own_variables({"0": 1})
    with pytest.raises(ValueError, match="build"):
        adam.set_weights([1])
    adam.build([w])
    with pytest.raises(ValueError, match="shape"):
        adam.set_weights([1, 0.1, np.zeros(4), np.zeros(3)])


def test_assigned_slots_count():
    variables, grads = make((6, 4), (4,))
    sgd = optimizers.SGD(0.1, momentum=0.5)
    sgd.apply(grads, variables)
    for slot in sgd.variables[2:]:
        slot.assign(np.zeros(slot.shape))
    variables[1].assign(np.zeros(4))
    sgd.apply(grads)
    np.testing.assert_allclose(variables[1].numpy(), -0.1 * grads[1], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_stateless_apply_is_apply_without_effects(kind, xp):
    variables, grads = make((6, 4), (4,), asarray=xp.asarray)
    optimizer = getattr(optimizers, kind)(0.05)
    with pytest.raises(ValueError, match="build"):
        optimizer.stateless_apply([], grads, [])
    optimizer.build(variables)
    optimizer.apply(grads)
    weights, state = [v.value for v in variables], [v.value for v in optimizer.variables]
    copies = [v.numpy() for v in (*variables, *optimizer.variables)]
    new = optimizer.stateless_apply(state, grads, weights)
    for array, copy in zip((*weights, *state), copies, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(array), copy)
    assert all(v.value is w for v, w in zip(variables, weights, strict=True))
    optimizer.apply(grads)
    for mine, own in zip((*new[0], *new[1]), (*variables, *optimizer.variables), strict=True):
        np.testing.assert_allclose(xp.to_numpy(mine), own.numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="expected 2 trainable_variables, got 1"):
        optimizer.stateless_apply(state, grads, weights[:1])


def test_averages_at_the_end():
    (w,), (g,) = make((3,))
    adam = optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5)
    values = []
    for _ in range(3):
        adam.apply([g], [w])
        values.append(w.numpy())
    adam.finalize_variable_values([w])
    np.testing.assert_allclose(
        w.numpy(), values[0] * 0.25 + values[1] * 0.25 + values[2] * 0.5, rtol=1e-6
    )
    with pytest.raises(ValueError, match="unknown"):
        adam.finalize_variable_values([Variable(g)])


def test_excluded_by_variable_and_by_name():
    variables, grads = make((3,), (3,), (3,))
    variables[2].name = "layer_bias"
    before = [v.numpy() for v in variables]
    sgd = optimizers.SGD(0.5, weight_decay=0.1)
    sgd.exclude_from_weight_decay(var_list=[variables[1]], var_names=["bias$"])
    sgd.apply([np.zeros_like(g) for g in grads], variables)
    for v, old, share in zip(variables, before, (0.95, 1, 1), strict=True):
        np.testing.assert_allclose(v.numpy(), old * share, rtol=1e-6)
