"""Attention layers against recorded numbers of real Keras 3.15 (see make_attention)."""

from pathlib import Path

import parity
import pytest
from parity.decoding import Cases
from parity.layer_cases import LayerCase

RECORDED = Cases(Path(parity.__path__[0]) / "golden", "attention")


@pytest.mark.parametrize("case", RECORDED.cases, ids=lambda case: case["test"].split("::", 1)[1])
def test_outputs_scores_masks_and_gradients(case):
    """Within 1e-5 of real Keras on JAX, for queries that see no key too."""
    one = LayerCase(RECORDED, case, 1e-5, gradients=1e-5)
    assert one.run() is None
    assert one._compare_gradients() is None
