"""The runner of recorded cases: that it passes what is right, and notices what is not."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from parity import recorded
from parity.decoding import Cases, asserted, difference
from parity.layer_cases import LayerCase

GOLDEN = Path(__file__).parent / "golden"
LAYERS = Cases(GOLDEN, "keras_golden")
DENSE = next(c for c in LAYERS.cases if c["class_name"] == "Dense" and len(c["losses"]) > 1)
MASKED = next(c for c in LAYERS.cases if c["class_name"] == "Masking")


def run(case, **changes):
    return LayerCase(LAYERS, {**copy.deepcopy(case), **changes}, 1e-5, 1e-5).run()


def test_folder(capsys):
    table = recorded.run_folder(GOLDEN, only={"Dense"})
    assert table.total() == {"pass": 5}
    assert recorded.main([str(GOLDEN), "--only", "Dense,Masking", "--grads"]) == 0
    shown = capsys.readouterr().out
    assert "layer Dense" in shown
    assert "layer Masking" in shown
    with pytest.raises(FileNotFoundError, match="neither keras_golden nor function_cases"):
        recorded.run_folder(GOLDEN.parent)


def test_wrong_results_are_noticed():
    assert run(DENSE) is None
    config = {**DENSE["config"], "activation": "relu"}
    assert run(DENSE, config=config).startswith("output 0: off by")
    assert run(DENSE, losses=DENSE["losses"][1:]).startswith("losses: shape")
    config = {**DENSE["config"], "units": 4}
    assert run(DENSE, config=config).startswith("weight dense")
    config = {**DENSE["config"], "use_bias": False}
    assert run(DENSE, config=config).startswith("1 weights, Keras has 2")
    gradients = {**DENSE["grad"], "weights": DENSE["grad"]["weights"][::-1]}
    assert run(DENSE, grad=gradients).startswith("gradient of weight 0: shape")
    gradients = {**DENSE["grad"], "inputs": [None]}
    assert run(DENSE, grad=gradients) == "gradient of input 0: Keras has none"
    changed = [{**v, "after": DENSE["vars"][0]["value"]} for v in DENSE["vars"][:1]]
    assert run(DENSE, vars=[*changed, *DENSE["vars"][1:]]) is None
    changed = [{**DENSE["vars"][0], "after": DENSE["vars"][1]["value"]}, DENSE["vars"][1]]
    assert run(DENSE, vars=changed).startswith("state")


def test_masks_are_compared():
    assert run(MASKED) is None
    plain = {key: part for key, part in MASKED["out"].items() if key != "mask"}
    assert run(MASKED, out=plain) == "output 0: mask not expected"


def test_what_does_not_exist_is_absent_and_what_raises_fails():
    table = recorded.Table()
    for name in ("Dense", "Sparse", "Add"):
        case = LayerCase(LAYERS, {**copy.deepcopy(DENSE), "class_name": name}, 1e-5, None)
        table.add("layer", name, DENSE, case.run)
    assert [dict(table.rows["layer", name]) for name in ("Dense", "Sparse", "Add")] == [
        {"pass": 1},
        {"absent": 1},
        {"fail": 1},
    ]
    assert table.failures[0][0] == "layer Add"


def test_difference():
    assert difference([1.0, np.nan], [1.0, np.nan]) == 0
    assert difference([1.0], [np.nan]) == "NaN in other places"
    assert difference([110.0], [100.0]) == pytest.approx(0.1)
    assert difference(np.zeros(2), np.zeros(3)) == "shape (2,) is not (3,)"
    assert difference(np.array(["a"]), np.array([b"a"], dtype=object)) == 0
    assert asserted({"how": "assertAllClose", "opts": {"atol": 0.1}}, [1.05], [1.0])
    assert not asserted({"how": "assertAllClose", "opts": {}}, [1.05], [1.0])
    assert asserted({"how": "assertAlmostEqual", "opts": {"decimal": 1}}, 1.05, 1.0)
