"""What all optimizers share: settings, Variables, gradients, learning rates, custom ones."""

import inspect
import warnings

import numpy as np
import pytest

from gpulayers import optimizers, registry
from gpulayers.arrays import Variable, dtypes, namespace
from gpulayers.cpu import optimizer as pieces
from gpulayers.ops import optimizer as rules

KINDS = [
    "SGD", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Ftrl", "Lion",
    "Lamb", "Adafactor", "Muon", "ScheduleFreeAdamW",
]  # fmt: skip


def make(*shapes, dtype="float32", asarray=np.asarray):
    """Weights with values of both signs, and a gradient for each."""
    rng = np.random.default_rng(3)
    draw = lambda s: asarray(rng.normal(size=s).astype(dtypes.numpy_dtype(dtype)))
    return [Variable(draw(s), name=f"w{i}") for i, s in enumerate(shapes)], [
        draw(s) for s in shapes
    ]


# Settings.


def test_signatures_have_the_shared_settings_where_keras_has_them():
    names = list(inspect.signature(optimizers.Adam).parameters)
    assert names == [
        "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay", "clipnorm",
        "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
        "loss_scale_factor", "gradient_accumulation_steps", "name", "kwargs",
    ]  # fmt: skip
    assert list(inspect.signature(optimizers.AdamW).parameters)[:3] == [
        "learning_rate", "weight_decay", "beta_1",
    ]  # fmt: skip
    muon = list(inspect.signature(optimizers.Muon).parameters)
    assert muon.index("name") < muon.index("exclude_layers") < muon.index("rms_rate")


def test_settings_may_be_given_by_position():
    adam = optimizers.Adam(0.1, 0.8, 0.99, 1e-5, True, 0.01, 2.0)
    assert (adam.beta_1, adam.amsgrad, adam.weight_decay, adam.clipnorm) == (0.8, True, 0.01, 2.0)
    assert optimizers.SGD(0.1, 0.9, True, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be 0 or more, got -0.1"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate"),
        ({"learning_rate": float("inf")}, ValueError, "finite"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number"),
        ({"learning_rate": None}, TypeError, "NoneType"),
        ({"learning_rate": True}, TypeError, "bool"),
        ({"learning_rate": optimizers.schedules.CosineDecay}, TypeError, "type"),
        ({"clipnorm": 1.0, "clipvalue": 2.0}, ValueError, "clipnorm=1.0, clipvalue=2.0"),
        ({"clipnorm": -1.0}, ValueError, "clipnorm must be 0 or more"),
        ({"weight_decay": "much"}, TypeError, "weight_decay must be a number"),
        ({"gradient_accumulation_steps": 1}, ValueError, "2 or more"),
        ({"use_ema": True, "ema_momentum": 1.5}, ValueError, "between 0 and 1"),
        ({"use_ema": True, "ema_overwrite_frequency": 0.5}, ValueError, "positive integer"),
        ({"lr": 0.1}, ValueError, "unknown arguments lr"),
        ({"beta_1": 1.5}, ValueError, "Adam: beta_1 must be between 0 and 1, got 1.5"),
    ],
)
def test_settings_that_mean_nothing(settings, error, message):
    with pytest.raises(error, match=message):
        optimizers.Adam(**settings)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("AdamW", {"weight_decay": None}, "weight_decay must be a number"),
        ("SGD", {"momentum": 1.5}, "momentum must be between 0 and 1"),
        ("Lion", {"beta_1": 0.0}, "beta_1 must be above 0"),
        ("Ftrl", {"learning_rate_power": 0.5}, "learning_rate_power"),
        ("Ftrl", {"l1_regularization_strength": -1.0}, "l1_regularization_strength"),
        ("ScheduleFreeAdamW", {"beta_1": 0.0}, "beta_1 must be above 0"),
        ("Adafactor", {"beta_2_decay": 0.5}, "beta_2_decay"),
    ],
)
def test_own_settings_that_mean_nothing(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(optimizers, kind)(**settings)


def test_decay_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="decay"):
        optimizers.SGD(decay=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip(kind):
    schedule = optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.01])
    optimizer = getattr(optimizers, kind)(schedule, clipvalue=0.5, name="mine")
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == pytest.approx(0.1)


def test_get():
    for name in ("adam", "Adam", "ADAM"):
        assert type(optimizers.get(name)) is optimizers.Adam
    assert type(optimizers.get("rmsprop")) is optimizers.RMSprop
    assert type(optimizers.get("rm_sprop")) is optimizers.RMSprop
    assert optimizers.get(None) is None
    adam = optimizers.Adam()
    assert optimizers.get(adam) is adam
    torch_file = {
        "module": "keras.src.backend.torch.optimizers.torch_adam",
        "class_name": "Adam",
        "config": {"learning_rate": 0.5},
        "registered_name": "Adam",
    }
    assert float(optimizers.get(torch_file).learning_rate) == 0.5
    with pytest.raises(ValueError, match="adamax"):
        optimizers.get("adamaxx")
    with pytest.raises(TypeError, match="int"):
        optimizers.get(3)


# Learning rates and steps.


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


# Gradients.


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


# Arrays.


@pytest.mark.parametrize("kind", KINDS)
def test_steps_leave_arrays_that_were_taken_as_they_were(kind):
    variables, grads = make((40, 30), (200, 700), (3,), ())
    optimizer = getattr(optimizers, kind)(0.1)
    optimizer.build(variables)
    for _ in range(2):
        taken = [v.value for v in variables]
        copies = [x.copy() for x in taken]
        optimizer.apply(grads)
        for x, copy, v in zip(taken, copies, variables, strict=True):
            np.testing.assert_array_equal(x, copy)
            assert type(v.value) is np.ndarray
            assert v.value.dtype == np.float32
            assert np.isfinite(v.value).all()
            assert not np.shares_memory(x, v.value)
    for v in optimizer.variables:
        assert type(v.value) is np.ndarray


@pytest.mark.parametrize("kind", KINDS)
def test_together_as_alone(kind):
    """Small weights go through a rule as one array, large ones in pieces: nothing shows of it."""
    shapes = [(300, 500), (7, 5), (5,), (), (130, 130)]
    variables, grads = make(*shapes)
    together = getattr(optimizers, kind)(0.01, weight_decay=0.01, use_ema=True)
    alone = [Variable(v) for v in variables]
    singles = [getattr(optimizers, kind)(0.01, weight_decay=0.01, use_ema=True) for _ in shapes]
    assert variables[0].size >= 4 * pieces.PIECE > variables[4].size
    for step in range(3):
        together.apply([g * (step - 1.5) for g in grads], variables)
        for optimizer, g, v in zip(singles, grads, alone, strict=True):
            optimizer.apply([g * (step - 1.5)], [v])
    for a, b in zip(variables, alone, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("size", [4 * pieces.PIECE + d for d in (-1, 0, 1)])
def test_pieces_are_the_rule(size):
    rng = np.random.default_rng(0)
    w, g, m, v = (rng.random(size, dtype=np.float32) for _ in range(4))
    numbers = {"learning_rate": 0.1, "step": 3, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    expected = rules.adam.reference(w, g, m, v, None, **numbers)
    got = rules.adam(w, g, m, v, None, **numbers)
    for a, b in zip(got[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert got[3] is None
    assert (got[1] is m) == (size >= 4 * pieces.PIECE)


def test_views_and_read_only_arrays():
    rng = np.random.default_rng(0)
    start, g = rng.random((500, 300), dtype=np.float32).T, rng.random((300, 500), dtype=np.float32)
    start.flags.writeable = False
    w, v = Variable(start), Variable(np.ascontiguousarray(start))
    for variable, gradient in ((w, np.asfortranarray(g)), (v, g)):
        optimizers.Adam(0.1).apply([gradient], [variable])
    np.testing.assert_array_equal(w.numpy(), v.numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_dtypes(kind, dtype):
    """16-bit weights are computed in float32 and stored in their dtype; float64 stays exact."""
    variables, grads = make((6, 4), (4,), dtype=dtype)
    wide = [Variable(v.numpy().astype("float64")) for v in variables]
    a, b = (getattr(optimizers, kind)(0.01) for _ in range(2))
    a.apply(grads, variables)
    b.apply([g.astype("float64") for g in grads], wide)
    for x, y in zip(variables, wide, strict=True):
        assert dtypes.name(x.dtype) == dtype
        tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-14}[dtype]
        np.testing.assert_allclose(x.numpy().astype("float64"), y.numpy(), atol=tolerance)


def test_float64_is_not_rounded_to_float32():
    w = Variable(np.array([1.0]))
    optimizers.Adam(0.001).apply([np.array([0.5])], [w])
    rate = float(np.float32(0.001))  # The learning rate is a Variable of floatx.
    assert w.numpy()[0] == pytest.approx(1 - rate / (1 + 1e-7 / 0.5 / 0.001**0.5), abs=1e-12)


def test_empty_weights():
    variables, grads = make((0, 3), (2,))
    optimizers.Adam().apply(grads, variables)
    assert variables[0].shape == (0, 3)


# State.


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


# Optimizers of users.


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
