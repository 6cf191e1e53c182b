"""The kernel of optimizers' steps: each rule, and whole optimizers, against float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from kernel_checks import kind
from optimizers.samples import KINDS, make
from stand_in_arrays import host_copies
from stand_in_cupy import installed, memory_limit

from gpulayers import config, constraints, optimizers
from gpulayers.arrays import Variable, devices
from gpulayers.cuda import module
from gpulayers.cuda.optimizer import THREADS, TURNS, WORDS
from gpulayers.ops import optimizer as rules
from gpulayers.optimizers import LossScaleOptimizer, MultiOptimizer, OptimizerMap

BETAS = {"beta_1": 0.9, "beta_2": 0.99}
RATE = {"learning_rate": 0.1}
MOMENTS = {**RATE, **BETAS, "epsilon": 1e-7, "step": 3}
SQUARES = {**RATE, "rho": 0.9, "epsilon": 1e-3}
LEADER = {**RATE, "l1": 0.3, "l2": 0.2, "shrinkage": 0.1}
CASES = {
    "shrink": (rules.shrink, "w-", {"rate": 0.25}),
    "average": (rules.moving_average, "wg", {"momentum": 0.9}),
    "descent": (rules.gradient_descent, "wg", RATE),
    "momentum": (rules.momentum, "wgs", {**RATE, "nesterov": False, "momentum": 0.5}),
    "nesterov": (rules.momentum, "wgs", {**RATE, "momentum": 0.5, "nesterov": True}),
    "adam": (rules.adam, "wgsp-", MOMENTS),
    "amsgrad": (rules.adam, "wgspp", MOMENTS),
    "adamax": (rules.adamax, "wgsp", MOMENTS),
    "nadam": (rules.nadam, "wgsp", MOMENTS | {"product": 0.5}),
    "rmsprop": (rules.rmsprop, "wgp--", SQUARES | {"momentum": 0.0}),
    "centered": (rules.rmsprop, "wgp-z", SQUARES | {"momentum": 0.0}),
    "moving": (rules.rmsprop, "wgps-", SQUARES | {"momentum": 0.5}),
    "both": (rules.rmsprop, "wgpsz", SQUARES | {"momentum": 0.5}),
    "adagrad": (rules.adagrad, "wgp", {**RATE, "epsilon": 1e-7}),
    "adadelta": (rules.adadelta, "wgpp", {**RATE, "rho": 0.95, "epsilon": 1e-7}),
    "ftrl": (rules.ftrl, "wgps", LEADER | {"exponent": 0.5}),
    "ftrl by another power": (rules.ftrl, "wgps", LEADER | {"exponent": 0.7}),
    "lion": (rules.lion, "wgs", {**RATE, **BETAS}),
    "schedule-free": (rules.schedule_free_adamw, "wgsp", MOMENTS | {"warmup_steps": 5}),
    "lamb": (rules.lamb, "wgsp", MOMENTS),
}
CHUNK = THREADS * TURNS * 4  # Elements of float32 that a block takes.


def arrays(pattern, shape):
    """w, g, s: of both signs; p: positive; z: zeros; -: none."""
    rng = np.random.default_rng(3)
    made = {"p": lambda: rng.random(shape) + 0.5, "z": lambda: np.zeros(shape), "-": lambda: None}
    return [made.get(letter, lambda: rng.normal(size=shape))() for letter in pattern]


def check(cupy, name, shape=(300,), dtype="float32", rtol=1e-5, place=lambda x: x):
    """A rule gives what its reference gives in float64; what it was given stays as it was."""
    rule, pattern, numbers = CASES[name]
    rounded = [None if a is None else a.astype(kind(dtype)) for a in arrays(pattern, shape)]
    there = [None if a is None else place(cupy.asarray(a)) for a in rounded]
    wide = [None if a is None else a.astype("f8") for a in rounded]
    given = dict(numbers)
    if "product" in given:
        product = np.asarray(given["product"], "f8" if dtype == "float64" else "f4")
        given["product"] = cupy.asarray(product)
    out = rule.version("cupy")(*there, **given)
    expected = rule.reference(*wide, **numbers)
    for a, b in zip(out, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.dtype, a.shape) == (kind(dtype), shape)
            np.testing.assert_allclose(a.get().astype("f8"), b, rtol=rtol, atol=rtol)
    for a, b in zip(there, rounded, strict=True):
        assert a is None or a.get().tobytes() == b.tobytes()


@pytest.mark.parametrize("name", CASES)
def test_rules(cupy, name):
    check(cupy, name)


@pytest.mark.parametrize("name", ["adam", "lamb", "average"])
@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float16", 2e-3), ("bfloat16", 1.6e-2), ("float64", 1e-12)]
)
def test_dtypes(cupy, name, dtype, rtol):
    if dtype == "float64" and name != "lamb":
        rtol = 1e-11  # Powers by repeated multiplication.
    check(cupy, name, dtype=dtype, rtol=rtol)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (CHUNK - 1,), (CHUNK,), (2, CHUNK + 1)])
def test_sizes(cupy, shape):
    check(cupy, "adam", shape)


@pytest.mark.parametrize("name", ["adam", "lamb"])
def test_threads_in_any_order(cupy, order, name):
    check(cupy, name, (CHUNK + 5,))


def test_views(cupy):
    check(cupy, "adam", (30, 20), place=lambda x: cupy.asarray(x.get().T.copy()).T)
    check(cupy, "adam", (70,), place=lambda x: cupy.asarray(np.append(0, x.get()).astype("f4"))[1:])


def test_more_weights_than_a_launch_takes(cupy, launches):
    rng = np.random.default_rng(0)
    count = WORDS // 7 + 3
    values = [rng.normal(size=i % 5 + 1).astype("f4") for i in range(count)]
    values[7] = np.zeros((0, 3), "f4")
    kinds = [kind("float32" if i % 9 else "bfloat16") for i in range(count)]
    weights = [Variable(cupy.asarray(v.astype(k))) for v, k in zip(values, kinds)]
    with devices.scope(devices.CPU):
        copies = [Variable(v.astype("f8")) for v in values]
    for one, g in ((weights, cupy.asarray), (copies, lambda x: x.astype("f8"))):
        adam = optimizers.Adam(0.1, global_clipnorm=0.5)
        for step in (1, 2):
            adam.apply([g((v * step + 0.1).astype(k)) for v, k in zip(values, kinds)], one)
    for w, copy, k in zip(weights, copies, kinds, strict=True):
        assert w.value.dtype == k
        np.testing.assert_allclose(w.numpy(), copy.numpy(), atol=2e-6 if k == "f4" else 2e-2)
    names = [*["optimizer_measure"] * 2, "optimizer_decide", *["optimizer_step"] * 2]
    assert launches == names * 2


@pytest.fixture
def launches(monkeypatch):
    """The names of all kernels that are launched."""
    seen, launch = [], module.Kernel.__call__

    def noted(self, *args, **options):
        seen.append(self.name)
        return launch(self, *args, **options)

    monkeypatch.setattr(module.Kernel, "__call__", noted)
    return seen


@pytest.fixture
def stand_in():
    """The stand-in for CuPy, with two small GPUs, also where there is a real one."""
    with installed(kernels=True) as cupy:
        config.set_device(None)
        yield cupy


SHAPES = ((40, 30), (7,), (), (5000,))


def course(optimizer, asarray, dtype="f4", steps=5, shapes=SHAPES, faults=(), **of_variables):
    """The weights after some steps."""
    variables, grads = make(*shapes)
    variables = [Variable(asarray(v.numpy().astype(dtype)), name=v.name) for v in variables]
    for v in variables:
        v.constraint = of_variables.get("constraint")
    optimizer.build(variables)
    grads = [[(g * (np.cos(i) + 0.5) * 2).astype(dtype) for g in grads] for i in range(steps)]
    for i in faults:
        grads[i][1][2] = np.nan
    grads = [[asarray(g) for g in some] for some in grads]
    optimizer.apply(grads[0])  # Which asks for the count and the rate, once.
    host_copies.clear()
    for some in grads[1:]:
        optimizer.apply(some)
    assert host_copies == []
    return variables


def same(cupy, make_optimizer, steps=5, atol=5e-6, **options):
    """An optimizer leads to the same weights and averages on the GPU as NumPy in float64."""
    with devices.scope(devices.CPU), np.errstate(invalid="ignore"):
        here = make_optimizer()
        expected = course(here, np.asarray, "f8", steps, **options)
    there = make_optimizer()
    got = course(there, cupy.asarray, "f4", steps, **options)
    pairs = [*zip(got, expected), *zip(there.variables, here.variables)]
    for a, b in pairs:
        assert type(a.value) is cupy.ndarray
        assert type(b.value) is np.ndarray
        scale = np.maximum(1, np.abs(b.numpy()))
        np.testing.assert_allclose(a.numpy() / scale, b.numpy() / scale, atol=atol)
    return there


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer(cupy, kind):
    same(cupy, lambda: getattr(optimizers, kind)(0.01))


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_with_counts_on_the_device(cupy, kind, monkeypatch):
    monkeypatch.setattr(optimizers.Optimizer, "counts_on_device", True)
    got = course(getattr(optimizers, kind)(0.01, weight_decay=0.1), cupy.asarray)
    monkeypatch.undo()
    expected = course(getattr(optimizers, kind)(0.01, weight_decay=0.1), cupy.asarray)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


SURROUNDINGS = {
    "decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.7},
    "clipvalue": {"clipvalue": 0.5},
    "global_clipnorm": {"global_clipnorm": 2.0, "loss_scale_factor": 4.0},
    "averages": {"use_ema": True, "ema_momentum": 0.6},
    "averages taken": {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 2},
    "sums": {"gradient_accumulation_steps": 2, "clipnorm": 0.7, "loss_scale_factor": 2.0},
    "all": {
        "gradient_accumulation_steps": 2, "global_clipnorm": 1.0, "weight_decay": 0.1,
        "use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SURROUNDINGS)
@pytest.mark.parametrize("kind", ["Adam", "Lamb"])
@pytest.mark.parametrize("on_device", [False, True])
def test_surroundings(cupy, kind, name, on_device):
    def make_optimizer():
        made = getattr(optimizers, kind)(0.01, **SURROUNDINGS[name])
        made.exclude_from_weight_decay(var_names=["w1"])
        return made

    if not on_device:
        same(cupy, make_optimizer, constraint=constraints.MaxNorm(1.5))
        return
    first, second = make_optimizer(), make_optimizer()
    first.counts_on_device = True
    got, expected = (course(one, cupy.asarray) for one in (first, second))
    for a, b in zip([*got, *first.variables], [*expected, *second.variables], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


LAUNCHES = {
    "sgd": (lambda: optimizers.SGD(0.1), ["optimizer_step"]),
    "AdamW": (lambda: optimizers.AdamW(0.1, use_ema=True), ["optimizer_step"]),
    "by value": (lambda: optimizers.RMSprop(0.1, clipvalue=1.0), ["optimizer_step"]),
    "clipped": (
        lambda: optimizers.Adam(0.1, global_clipnorm=1.0),
        ["optimizer_measure", "optimizer_decide", "optimizer_step"],
    ),
    "each clipped": (
        lambda: optimizers.Adam(0.1, clipnorm=1.0),
        ["optimizer_measure", "optimizer_factors", "optimizer_step"],
    ),
    "lamb": (lambda: optimizers.Lamb(), ["optimizer_step", "optimizer_factors", "optimizer_step"]),
    "scaled": (
        lambda: LossScaleOptimizer(optimizers.AdamW(0.1, global_clipnorm=1.0)),
        ["optimizer_measure", "optimizer_decide", "optimizer_step"],
    ),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_one_launch_for_all_weights(cupy, launches, name):
    make_optimizer, expected = LAUNCHES[name]
    course(make_optimizer(), cupy.asarray, steps=1)
    assert launches == expected


INNER = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.01, global_clipnorm=1.0, use_ema=True, ema_momentum=0.5),
    "sums": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2, clipnorm=1.0),
    "lamb": lambda: optimizers.Lamb(0.01, weight_decay=0.1),
    "nadam": lambda: optimizers.Nadam(0.01),
    "muon": lambda: optimizers.Muon(0.01),
    "adafactor": lambda: optimizers.Adafactor(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.01, beta=0.1),
    "several": lambda: MultiOptimizer(
        OptimizerMap(optimizers.SGD(0.1, momentum=0.9), {"w1": optimizers.Adam(0.01)})
    ),
}


@pytest.mark.parametrize("name", INNER)
def test_a_loss_scale_on_the_device(cupy, name):
    scaled = same(
        cupy, lambda: LossScaleOptimizer(INNER[name](), 4.0, dynamic_growth_steps=2),
        steps=6, faults=(2,), atol=1e-5,
    )  # fmt: skip
    assert float(scaled.dynamic_scale) == 4.0 * 2 / 2 * 2
    assert int(scaled.step_counter) == 1
    if name != "several":
        assert int(scaled.inner_optimizer._iterations) == 5


def test_a_loss_scale_with_constraints(cupy):
    same(
        cupy, lambda: LossScaleOptimizer(optimizers.Adam(0.1), 4.0), steps=4, faults=(1,),
        constraint=constraints.NonNeg(),
    )  # fmt: skip


def test_a_norm_that_is_not_finite_shows(cupy):
    (w,) = course(optimizers.SGD(0.1, global_clipnorm=1.0), cupy.asarray, shapes=((9,),), steps=1)
    assert np.isfinite(w.numpy()).all()
    variables, grads = make((4,), (3,), asarray=cupy.asarray)
    grads[0] = cupy.asarray(np.array([1, np.inf, 1, 1], "f4"))
    optimizers.SGD(0.1, global_clipnorm=1.0).apply(grads, variables)
    assert all(np.isnan(v.numpy()).all() for v in variables)


@pytest.mark.parametrize("every", [None, 2])
def test_gradients_that_come_and_go(cupy, every):
    """Averages follow all weights, and sums of gradients are emptied together."""
    results = []
    for home, asarray in ((devices.CPU, np.asarray), (None, cupy.asarray)):
        with devices.scope(home or devices.default()):
            variables, grads = make((30,), (4, 5), (5,), asarray=asarray)
        adam = optimizers.Adam(
            0.01, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=every
        )
        adam.build(variables)
        for step in range(7):
            given = [g if step % (i + 1) == 0 else None for i, g in enumerate(grads)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                adam.apply(given)
        results.append([v.numpy() for v in (*variables, *adam.variables)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_of_other_layouts_and_dtypes(cupy):
    (w,), (g,) = make((30, 20), asarray=cupy.asarray)
    (v,), _ = make((30, 20), asarray=cupy.asarray)
    optimizers.Adam(0.1).apply([g], [w])
    transposed = cupy.asarray(g.get().T.copy()).T
    optimizers.Adam(0.1).apply([transposed.astype("f8")], [v])
    np.testing.assert_array_equal(v.numpy(), w.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_steps_leave_arrays_that_were_taken_as_they_were(cupy, kind):
    variables, grads = make((40, 30), (5000,), (), asarray=cupy.asarray)
    optimizer = getattr(optimizers, kind)(0.1, use_ema=True)
    for _ in range(2):
        taken = [v.value for v in variables]
        copies = [x.get() for x in taken]
        optimizer.apply(grads, variables)
        for x, copy in zip(taken, copies, strict=True):
            np.testing.assert_array_equal(x.get(), copy)
    optimizer.finalize_variable_values(variables)
    copies = [v.numpy() for v in variables]
    for average in optimizer._averages:
        average.assign_add(1.0)
    optimizer._average()
    for v, copy in zip(variables, copies, strict=True):
        np.testing.assert_array_equal(v.numpy(), copy)


def test_slots_given_to_another_optimizer_part(cupy):
    (a, b), (g, h) = make((40,), (40,), asarray=cupy.asarray)
    first, second = (optimizers.SGD(0.1, momentum=0.9) for _ in range(2))
    first.apply([g], [a])
    second.build([b])
    second.variables[2].assign(first.variables[2])
    expected = first.variables[2].numpy()
    second.apply([h])
    np.testing.assert_array_equal(first.variables[2].numpy(), expected)
    assert (second.variables[2].numpy() != expected).all()


def test_out_of_memory_leaves_everything_as_it_was(stand_in):
    variables, grads = make((3,), (500,), asarray=stand_in.asarray)
    adam = optimizers.Adam(0.1)
    adam.apply(grads, variables)
    before = [v.numpy() for v in (*variables, *adam.variables)]
    with memory_limit(1000), pytest.raises(MemoryError, match="optimizer: no GPU memory for 2,000"):
        adam.apply(grads, variables)
    for v, old in zip((*variables, *adam.variables), before, strict=True):
        np.testing.assert_array_equal(v.numpy(), old)


def test_weights_of_another_device_are_refused(stand_in):
    with stand_in.cuda.Device(1):
        variables, grads = make((3,), asarray=stand_in.asarray)
    with pytest.raises(ValueError, match="on the current device, GPU 0, got one on GPU 1"):
        optimizers.SGD(0.1).apply(grads, variables)
