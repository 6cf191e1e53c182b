"""What tests of plans on CuPy arrays share: models, and a comparison with their layers."""

from __future__ import annotations

import numpy as np

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.models.inference_plan import plan_of

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.normal(size=shape).astype("float32")


def randomized(model):
    """A model with weights that are no zeros and ones, so that each of them counts."""
    rng = np.random.default_rng(1)
    for w in model.weights:
        if w.dtype.kind == "f":
            low, high = (0.5, 1.5) if "variance" in w.path else (-0.5, 0.5)
            w.assign(rng.uniform(low, high, w.shape).astype("float32"))
    return model


def model_of(build, shape, policy="float32"):
    gl.config.set_device("gpu")
    before = gl.config.dtype_policy()
    gl.config.set_dtype_policy(policy)
    try:
        inputs = gl.Input(shape)
        return randomized(gl.Model(inputs, build(inputs)))
    finally:
        gl.config.set_dtype_policy(before)


def in_full(model, x):
    """What the layers give one after another, without any plan."""
    return model._call((x,), {"training": False})


def check(cupy, model, *arrays, rtol=1e-5, steps=None):
    """Compare a plan with full calls, and with itself when it runs again; gives the plan."""
    given = [cupy.asarray(a) for a in arrays]
    x = given if len(given) > 1 else given[0]
    plan = plan_of(model, x)
    assert plan is not None
    found, expected = gl.tree.flatten(plan.run(x)), gl.tree.flatten(in_full(model, x))
    copies = gl.tree.map_structure(lambda a: a.copy(), x)
    again = [gl.tree.flatten(plan.run(one)) for one in (x, copies, x)]  # See cuda/replay.py.
    for one in again:
        assert all(a.get().tobytes() == b.get().tobytes() for a, b in zip(one, found, strict=True))
    for a, b in zip(found, expected, strict=True):
        assert (type(a), a.shape, a.dtype) == (cupy.ndarray, b.shape, b.dtype)
        a, b = (part.get().astype("f4") for part in (a, b))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(np.abs(b).max(initial=0), 1e-3))
    assert steps is None or len(plan.steps) == steps, plan
    return plan


def block(x, filters=6, **options):
    x = L.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return L.Activation("relu")(L.BatchNormalization(**options)(x))


def residual(x, filters=4, window=3, around=None, **options):
    y = L.Conv2D(filters, window, padding="same", use_bias=False)(x)
    y = L.BatchNormalization()(y)
    return L.ReLU()(L.Add(**options)([x if around is None else around(x), y]))
