"""What the tests of ONNX files share: a model exported, and run by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from gpulayers import tree

RNG = np.random.default_rng(5)
IMAGE, VOLUME, STEPS = (9, 8, 4), (5, 6, 4, 3), (7, 5)


def outputs_of(path, *xs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    return session.run(None, dict(zip(names, xs, strict=True)))


def agrees(model, path, *xs, **options):
    """Export, and compare what onnxruntime gives with `predict`, for two sizes of batches."""
    for variable in model.weights:
        if variable.dtype == "float32":
            spread = RNG.uniform(0.3, 1.2) if "variance" in variable.name else 0.0
            values = RNG.normal(0.0, 0.4, variable.shape)
            variable.assign((np.abs(values) + spread if spread else values).astype("float32"))
    model.export(path, format="onnx", **options)
    for count in (len(xs[0]), 1):
        given = [x[:count] for x in xs]
        wanted = tree.flatten(model.predict(given if len(given) > 1 else given[0], verbose=0))
        found = outputs_of(path, *given)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def numbers(*shape):
    return RNG.normal(size=(3, *shape)).astype("float32")


def kinds(path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]
