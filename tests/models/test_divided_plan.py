"""Threads that share the samples of a batch give what one gives, where samples are apart."""

import numpy as np
import pytest
from inference_plan_checks import compare, functional, in_full, randomized

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.cpu import threads
from gpulayers.models import divided_plan
from gpulayers.models.inference_plan import plan_of

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, params=[2, 3])
def several(request, monkeypatch):
    """So many threads, which are used for any batch; calls of parts are noted."""
    monkeypatch.setattr(threads, "available", lambda: request.param)
    monkeypatch.setattr(divided_plan, "LEAST", 0)
    sizes, before = [], threads.by_samples

    def noted(run, parts, operations):
        sizes.append([len(gl.tree.flatten(part)[0]) for part in parts])
        return before(run, parts, threads.ENOUGH)

    monkeypatch.setattr(threads, "by_samples", noted)
    return sizes


def drawn(*shape):
    return RNG.normal(size=shape).astype("float32")


def check(model, x, sizes, divided=True):
    sizes.clear()
    plan = plan_of(model, x)
    plan.programs = None
    compare(plan.run(x), in_full(model, x))
    assert bool(sizes) == divided, plan


def around(x):
    y = L.LeakyReLU()(L.Conv2DTranspose(4, 2, 2)(L.MaxPooling2D(2)(L.Conv2D(4, 3)(x))))
    y = L.Concatenate()([L.Cropping2D(1)(x), y])
    return L.Dense(3, "softmax")(L.GlobalAveragePooling2D()(L.UpSampling2D(2)(y)))


def attending(x):
    y = L.LayerNormalization()(L.Reshape((6, 18))(x))
    y = L.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    return L.Dense(4, "gelu")(L.Permute((2, 1))(y))


APART = {
    "images": around,
    "attention": attending,
    "normalized": lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2D(5, 3, 2)(x))),
    "products": lambda x: L.Multiply()([L.Dense(3)(x), L.Dense(3, "tanh")(x)]),
    "as it comes": lambda x: [L.Dense(2)(x), L.Flatten()(x)],
}


@pytest.mark.parametrize("name", APART)
def test_each_thread_takes_some(name, several):
    model = functional(APART[name], (6, 6, 3))
    for batch in (6, 9):
        check(model, drawn(batch, 6, 6, 3), several)
        assert max(several[0]) - min(several[0]) <= 1 and sum(several[0]) == batch


TOGETHER = {
    "a mean of all samples": lambda x: (
        L.Dense(2)(x) - gl.ops.mean(x, axis=0, keepdims=True)[..., :2]
    ),
    "one of all samples": lambda x: L.Softmax(axis=0)(L.Dense(3)(x)),
    "behind each other": lambda x: L.Concatenate(0)([L.Dense(3)(x), x]),
    "a function of one's own": lambda x: L.Dense(3, activation=lambda y: y - y[:1])(x),
    "a layer of one's own": lambda x: L.Lambda(lambda y: y - y[:1])(L.Dense(3)(x)),
    "constants of all samples": lambda x: L.Add()([L.Dense(3)(x), np.arange(6.0)[:, None, None]]),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_samples_that_belong_together_stay(name, several):
    check(functional(TOGETHER[name], (6, 3)), drawn(6, 6, 3), several, divided=False)


def test_several_inputs_and_outputs(several):
    a, b = gl.Input((4,), name="a"), gl.Input((3, 4), name="b")
    both = L.Add()([L.Dense(6)(a), L.Flatten()(L.Dense(2)(b))])
    model = randomized(gl.Model({"a": a, "b": b}, {"x": both, "y": [L.Dense(2)(b), a]}))
    x = {"a": drawn(6, 4), "b": drawn(6, 3, 4)}
    check(model, x, several)


def test_few_samples_and_little_to_do(several, monkeypatch):
    model = functional(APART["normalized"], (6, 6, 3))
    check(model, drawn(1, 6, 6, 3), several, divided=False)
    check(model, drawn(0, 6, 6, 3), several, divided=False)
    check(model, drawn(4, 6, 6, 3), several, divided=threads.available() == 2)  # Else 2, 1, 1.
    monkeypatch.setattr(divided_plan, "LEAST", 1e12)
    check(model, drawn(6, 6, 6, 3), several, divided=False)


def test_errors_are_raised(several):
    inputs = gl.Input((4,), dtype="int32")
    model = gl.Model(inputs, L.Dense(2)(L.Embedding(5, 3)(inputs)))
    x = np.ones((6, 4), "int32")
    check(model, x, several)
    x[5, 3] = 9
    with pytest.raises(ValueError, match="Embedding"):
        plan_of(model, x).run(x)
    x[5, 3] = 2
    check(model, x, several)


def test_changed_weights_are_noticed(several):
    model = functional(APART["normalized"], (6, 6, 3))
    x = drawn(6, 6, 6, 3)
    plan = plan_of(model, x)
    plan.programs = None
    for weight in model.weights:
        weight.assign(weight * 0.5 + 0.1)
        compare(plan.run(x), in_full(model, x))
