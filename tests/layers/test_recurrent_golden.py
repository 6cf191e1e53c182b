"""Recurrent layers against recorded numbers of real Keras 3.15 (see make_recurrent)."""

from pathlib import Path

import numpy as np
import pytest
from parity import own_cells, recurrent_cases
from parity.decoding import Cases

from gpulayers import layers, tree
from gpulayers.arrays import Tape, namespace
from gpulayers.ops import over_time

CASES, OWN = list(recurrent_cases.recurrent_cases()), list(own_cells.own_cases())
GOLDEN = Path(recurrent_cases.__file__).parent / "golden"
RECORDED, RECORDED_OWN = Cases(GOLDEN, "recurrent"), Cases(GOLDEN, "own_cells")


def check_close(found, expected) -> None:
    """Within 1e-5 of the largest value."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def dropout_masks(cell, drops) -> dict:
    several = cell.dropout_mask_count is not None
    pairs = zip(("inputs", "states"), drops, strict=True)
    return {key: masks if several else masks[0] for key, masks in pairs if masks}


def built(case):
    """The layer with the weights of the case, and the other arrays of it, read-only."""
    layer = case.make(layers)
    first = (case.shape[0], case.pieces()[0].stop, *case.shape[2:])
    layer(np.zeros(first, "float32"))
    x, mask, states, drops, weights = case.arrays([w.shape for w in layer.trainable_weights])
    for variable, weight in zip(layer.trainable_weights, weights, strict=True):
        variable.assign(weight)
    for array in (x, *tree.flatten(states)):
        array.flags.writeable = False
    if case.calls > 1:
        layer.reset_state()
    return layer, x, mask, states, drops


def outputs_of(layer, case, x, mask, states, drops):
    """The outputs and states of all calls, in one list."""
    given = {"initial_state": states} if states else {}
    if drops:
        given["training"] = True
        layer.cell.exchange_masks(dropout_masks(layer.cell, drops))
    found = []
    for call, piece in enumerate(case.pieces()):
        if call and call == case.calls - 1:
            layer.reset_state()
        if mask is not None:
            given["mask"] = mask[:, piece]
        found += tree.flatten(layer(x[:, piece], **given))
    return found


def by_key(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.key.replace(", ", "-"))


@by_key(CASES)
def test_outputs_states_and_gradients(case):
    check_case(case, RECORDED)


@by_key(OWN)
@pytest.mark.parametrize("kept", [over_time.KEPT, 0])
def test_cells_of_users(case, kept, monkeypatch):
    """Whether steps are kept for the gradient or computed again."""
    monkeypatch.setattr(over_time, "KEPT", kept)
    check_case(case, RECORDED_OWN)


def check_case(case, golden):
    recorded = golden.cases[case.key]
    layer, x, mask, states, drops = built(case)
    with Tape() as tape:
        x, states = tree.map_structure(tape.watch, [x, states])
        found = outputs_of(layer, case, x, mask, states, drops)
        total = [
            namespace(y).sum(y * recurrent_cases.cotangent(y.shape, i)) for i, y in enumerate(found)
        ]
    assert len(found) == len(recorded["outputs"])
    for y, expected in zip(found, recorded["outputs"], strict=True):
        check_close(y.value, golden.array(expected))
    watched = [x, *tree.flatten(states), *layer.trainable_weights]
    gradients = tape.gradient(total, watched)
    for gradient, expected in zip(gradients, recorded["gradients"], strict=True):
        check_close(gradient, golden.array(expected))
