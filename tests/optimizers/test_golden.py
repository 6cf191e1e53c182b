"""Twenty steps of every optimizer give what Keras gives (see tests/parity/make_optimizers.py)."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from gpulayers import constraints, optimizers
from gpulayers.arrays import Variable

pytestmark = pytest.mark.usefixtures("loops")

PATHS = ("dense/kernel", "dense/bias", "conv/kernel", "scale")
SEEN = (0, 4, 19)
with np.load(Path(__file__).with_name("golden.npz")) as _file:
    GOLDEN = dict(_file)
CASES = json.loads(str(GOLDEN["cases"]))


def follow(case, asarray):
    """The weights after the steps in SEEN, then the optimizer's variables, flat."""
    optimizer = optimizers.deserialize(case["optimizer"])
    variables = [
        Variable(asarray(GOLDEN[f"weight_{i}"]), name=path.rpartition("/")[2], path=path)
        for i, path in enumerate(PATHS)
    ]
    for i, variable in enumerate(variables):
        variable.constraint = constraints.NonNeg() if case.get("constrained") else None
        variable.overwrite_with_gradient = case.get("overwritten") == i
    if "exclude" in case:
        optimizer.exclude_from_weight_decay(var_names=case["exclude"])
    optimizer.build(variables)
    seen = []
    for step in range(20):
        grads = [GOLDEN[f"gradient_{i}"][step] for i in range(4)]
        if step in case.get("infinite", ()):
            grads[0] = np.full_like(grads[0], np.inf)
        grads = [asarray(g) for g in grads]
        if "missing" in case:
            grads[case["missing"]] = None
        optimizer.apply(grads, variables)
        if step in SEEN:
            seen += [v.numpy() for v in variables]
    return np.concatenate([np.ravel(x) for x in (*seen, *(v.numpy() for v in optimizer.variables))])


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_keras(name, xp):
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # Of gradients that are missing.
        got = follow(CASES[name], xp.asarray)
    expected = GOLDEN[f"/{name}"]
    assert got.shape == expected.shape
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    # With a power of 0.7, what two libraries' float32 powers differ by is divided by the rate.
    assert error.max() <= (2e-6 if name == "Ftrl_1" else 1e-6)


@pytest.mark.parametrize("name", CASES)
def test_config_is_that_of_keras(name):
    described = CASES[name]["optimizer"]
    assert optimizers.serialize(optimizers.deserialize(described)) == described


@pytest.mark.parametrize(
    "name", ["Adam_1", "Nadam_0", "Adafactor_0", "Lamb_0", "Muon_0", "shared_7"]
)
def test_counting_on_the_device_changes_nothing(name, monkeypatch):
    import array_api_strict

    monkeypatch.setattr(optimizers.Optimizer, "counts_on_device", True)
    got = follow(CASES[name], array_api_strict.asarray)
    np.testing.assert_allclose(got, GOLDEN[f"/{name}"], rtol=2e-6, atol=2e-6)
