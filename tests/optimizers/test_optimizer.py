"""What all optimizers share: learning rates, gradients, custom ones."""

import warnings

import numpy as np
import pytest
from optimizers.samples import make

from gpulayers import optimizers, registry
from gpulayers.arrays import Variable, namespace
from gpulayers.optimizers.clipping import ROW, global_norm


def test_learning_rate_is_a_variable_that_can_be_assigned():
    (w,), (g,) = make((3,))
    sgd = optimizers.SGD(0.1)
    assert [v.path for v in sgd.variables] == ["sgd/iteration", "sgd/learning_rate"]
    before = w.numpy()
    sgd.apply([g], [w])
    sgd.learning_rate = 0.5
    sgd.apply([g], [w])
    sgd.learning_rate.assign(1.0)
    sgd.apply([g], [w])
    np.testing.assert_allclose(w.numpy(), before - 1.6 * g, rtol=1e-5, atol=1e-6)
    assert int(sgd.iterations) == 3
    with pytest.raises(ValueError, match="learning_rate"):
        sgd.learning_rate = -1.0


def test_learning_rate_may_be_zero_a_whole_number_or_a_variable():
    assert float(optimizers.SGD(0.0).learning_rate) == 0.0
    assert float(optimizers.SGD(1).learning_rate) == 1.0
    rate = Variable(0.25)
    sgd = optimizers.SGD(rate)
    assert sgd.learning_rate is rate
    assert sgd.variables[1] is rate


def test_learning_rate_of_a_function():
    (w,), (g,) = make((3,))
    rates = iter((0.1, 0.2))
    sgd, before = optimizers.SGD(lambda: next(rates)), w.numpy()
    assert len(sgd.variables) == 1
    sgd.apply([g], [w])
    sgd.apply([g], [w])
    np.testing.assert_allclose(w.numpy(), before - 0.3 * g, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="cannot be set"):
        sgd.learning_rate = 0.1


def test_setting_a_schedule_drops_the_variable():
    sgd = optimizers.SGD(0.1)
    sgd.learning_rate = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    assert len(sgd.variables) == 1
    assert float(sgd.learning_rate) == 0.5


def test_schedules_see_real_steps_when_gradients_accumulate():
    (w,), _ = make((3,))
    seen = []

    class Watch(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            seen.append(int(step))
            return 0.1

    sgd = optimizers.SGD(Watch(), gradient_accumulation_steps=2)
    for _ in range(4):
        sgd.apply([np.ones(3, np.float32)], [w])
    assert seen == [1, 3]
    assert int(sgd.iterations) == 2


def test_assigned_iterations_count():
    (w,), (g,) = make((3,))
    a, b = optimizers.Adam(), optimizers.Adam()
    v = Variable(w)
    a.build([w])
    b.build([v])
    for optimizer in (a, b):
        optimizer.variables[0].assign(10)
    a.apply([g])
    b.counts_on_device = True
    b.apply([g])
    np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-6)
    assert int(a.iterations) == int(b.iterations) == 11


def test_gradients_that_do_not_fit():
    (w, b), (g, h) = make((4, 3), (3,))
    sgd = optimizers.SGD()
    with pytest.raises(ValueError, match="needs the variables"):
        sgd.apply([g, h])
    sgd.apply([], [])
    assert int(sgd.iterations) == 0
    sgd.build([w, b])
    with pytest.raises(ValueError, match="expected 2 gradients"):
        sgd.apply([g])
    with pytest.raises(ValueError, match=r"shape \(3,\) for w1, got \(4, 3\)"):
        sgd.apply([g, g])
    with pytest.raises(ValueError, match="unknown variables other"):
        sgd.apply([h], [Variable(h, name="other")])
    with pytest.raises(ValueError, match=r"no gradient for any variable \(w0, w1\)"):
        sgd.apply([None, None])


def test_missing_gradients_warn_and_leave_the_weight():
    (w, b), (_, h) = make((4, 3), (3,))
    sgd, before = optimizers.SGD(0.1), w.numpy()
    with pytest.warns(UserWarning, match="no gradient for w0"):
        sgd.apply_gradients([(None, w), (h, b)])
    np.testing.assert_array_equal(w.numpy(), before)
    assert int(sgd.iterations) == 1


def test_gradients_of_other_kinds():
    w = Variable(np.zeros(2, np.float32))
    sgd = optimizers.SGD(1.0)
    sgd.apply([[1.0, 2.0]], [w])
    sgd.apply([np.array([1.0, 2.0])], [w])  # float64.
    sgd.apply([Variable(np.array([1.0, 2.0], np.float32))], [w])
    np.testing.assert_array_equal(w.numpy(), [-3, -6])
    assert w.numpy().dtype == np.float32


@pytest.mark.parametrize("size", [0, 1, ROW - 1, ROW, ROW + 1, 3 * ROW])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_of_gradients_of_any_size(size, dtype):
    g = np.random.default_rng(0).normal(size=size).astype(dtype)
    found = global_norm([g, g.reshape(1, -1)])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.sqrt(2 * np.square(g, dtype="float64").sum()), rtol=1e-6)


def test_global_clipnorm_shows_what_is_not_finite():
    (w, b), _ = make((2,), (2,))
    sgd = optimizers.SGD(1.0, global_clipnorm=1.0)
    sgd.apply([np.array([np.inf, 0], np.float32), np.ones(2, np.float32)], [w, b])
    assert np.isnan(b.numpy()).all()


@pytest.mark.parametrize("setting", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping_leaves_zero_and_short_gradients(setting):
    (w, b), _ = make((2,), (2,))
    before = b.numpy()
    sgd = optimizers.SGD(1.0, **{setting: 10.0})
    sgd.apply([np.zeros(2, np.float32), np.ones(2, np.float32)], [w, b])
    np.testing.assert_allclose(b.numpy(), before - 1)


@registry.register_keras_serializable("tests")
class Signs(optimizers.Optimizer):
    """As Keras's guide writes one: slots, `assign`, a settings dictionary."""

    def __init__(self, learning_rate=0.1, keep=0.5, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.keep = keep

    def build(self, variables):
        super().build(variables)
        self.means = self.add_optimizer_variables(variables, "mean", initializer="ones")
        self.seen = Variable(0.0, trainable=False)

    def update_step(self, gradient, variable, learning_rate):
        mean = self.means[self._get_variable_index(variable)]
        self.assign(mean, mean * self.keep + gradient * (1 - self.keep))
        self.assign_add(self.seen, 1.0)
        self.assign_sub(variable, namespace(mean).sign(mean.value) * learning_rate)

    def get_config(self):
        return {**super().get_config(), "keep": self.keep}


def test_an_optimizer_of_ones_own():
    variables, _ = make((3,), (2, 2))
    before = [v.numpy() for v in variables]
    optimizer = Signs(0.5)
    optimizer.apply([np.full((3,), -4.0, np.float32), np.ones((2, 2), np.float32)], variables)
    np.testing.assert_allclose(variables[0].numpy(), before[0] + 0.5)
    np.testing.assert_allclose(variables[1].numpy(), before[1] - 0.5)
    assert optimizer.variables[-1] is optimizer.seen
    assert float(optimizer.seen) == 2
    again = optimizers.deserialize(optimizers.serialize(Signs(0.25, keep=0.75)))
    assert (type(again), again.keep, float(again.learning_rate)) == (Signs, 0.75, 0.25)


def test_a_subclass_may_change_the_step_of_an_optimizer():
    class Half(optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate / 2)

    variables, grads = make((3,), (2, 2))
    before = variables[0].numpy()
    Half(1.0).apply(grads, variables)
    np.testing.assert_allclose(variables[0].numpy(), before - grads[0] / 2, rtol=1e-6)


def test_an_optimizer_without_a_step():
    (w,), (g,) = make((3,))
    with pytest.raises(NotImplementedError, match="update_step"):
        optimizers.Optimizer(0.1).apply([g], [w])


def test_initializers_of_slots():
    (w,), _ = make((3,))
    sgd = optimizers.SGD()
    a, b = sgd.add_optimizer_variables([w], ["a", "b"], initializer=["ones", "zeros"])
    assert (a[0].path, a[0].numpy().sum(), b[0].numpy().sum()) == ("sgd/w0_a", 3, 0)
    with pytest.raises(ValueError, match="one initializer for each"):
        sgd.add_optimizer_variables([w], ["a", "b"], initializer=["ones"])


def test_slots_that_share_an_array_part_before_they_change():
    """A large slot is rewritten in place, but never an array that somebody else gave."""
    (a, b), (g, h) = make((400, 400), (400, 400))
    first, second = optimizers.SGD(0.1, momentum=0.9), optimizers.SGD(0.1, momentum=0.9)
    first.apply([g], [a])
    second.build([b])
    second.variables[2].assign(first.variables[2])
    expected = first.variables[2].numpy()
    second.apply([h])
    np.testing.assert_array_equal(first.variables[2].numpy(), expected)


def test_gradients_that_come_and_go():
    """Whichever gradients are there, the slots of the others wait as they are."""
    variables, grads = make((3,), (4,), (5,))
    together, alone = optimizers.Adam(0.1), [optimizers.Adam(0.1) for _ in variables]
    copies = [Variable(v) for v in variables]
    together.build(variables)
    for optimizer, copy in zip(alone, copies, strict=True):
        optimizer.build([copy])
    for step in range(12):
        given = [g if (step >> i) & 1 or i == 2 else None for i, g in enumerate(grads)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            together.apply(given)
        for optimizer, g in zip(alone, given, strict=True):
            optimizer.iterations.assign(step)
            if g is not None:
                optimizer.apply([g])
    for v, copy in zip(variables, copies, strict=True):
        np.testing.assert_allclose(v.numpy(), copy.numpy(), rtol=1e-6)
