"""Models, and plans of inference beside what their layers give one after another."""

import threading

import numpy as np

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.models.inference_plan import InferencePlan, plan_of

RNG = np.random.default_rng(0)


def randomized(model, seed=1):
    """A model with weights that are no zeros and ones, so that each of them counts."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        if w.dtype.kind == "f":
            low, high = (0.5, 1.5) if "variance" in w.path else (-0.5, 0.5)
            w.assign(rng.uniform(low, high, w.shape).astype("float32"))
    return model


def in_full(model, x):
    """What the layers give one after another, without any plan."""
    return model._call((x,), {"training": False})


def check(model, x, rtol=1e-5, steps=None):
    """Compare a plan with full calls; gives the plan."""
    plan = plan_of(model, x)
    assert isinstance(plan, InferencePlan)
    compare(plan.run(x), in_full(model, x), rtol)
    assert steps is None or len(plan.steps) == steps, plan
    return plan


def compare(found, expected, rtol=1e-5):
    gl.tree.assert_same_structure(found, expected)
    for a, b in zip(gl.tree.flatten(found), gl.tree.flatten(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.abs(b[np.isfinite(b)]).max(initial=0)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(finite, 1e-3))


def images(batch=3, size=8, channels=4):
    return RNG.normal(size=(batch, size, size, channels)).astype("float32")


def functional(build, shape):
    inputs = gl.Input(shape)
    return randomized(gl.Model(inputs, build(inputs)))


def block(x, filters=6, **options):
    x = L.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return L.Activation("relu")(L.BatchNormalization(**options)(x))


def at_once(work, calls):
    """Call a function with several arguments, each in a thread of its own, and wait."""
    threads = [threading.Thread(target=work, args=args) for args in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
