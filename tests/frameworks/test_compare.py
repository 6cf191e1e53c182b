"""The networks of asv_benchmarks/compare are the same in PyTorch: results, and losses of steps."""

from __future__ import annotations

import numpy as np
import pytest

from asv_benchmarks.benchmarks.networks import NETWORKS
from asv_benchmarks.compare.contestants import INFERENCE, STEP, Gpulayers
from asv_benchmarks.compare.racing import CLOSE
from asv_benchmarks.compare.torch_contestant import Torch


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_pytorch(name, tmp_path):
    ours, theirs = Gpulayers(tmp_path), Torch(tmp_path)
    ours.exporting, ours.small = False, True
    here, there = ours.works(name), theirs.works(name)
    assert here.keys() == there.keys()
    right = here[INFERENCE]()
    assert np.abs(there[INFERENCE]() - right).max() <= CLOSE * np.abs(right).max()
    if name == "digits":  # It has noise in training.
        return
    assert there[STEP]() == pytest.approx(here[STEP](), rel=CLOSE)
    # The last statistics of these are those of 8 numbers, here, so that Adam's next step is not the
    # same even for other orders of sums.
    if name not in ("ResNet-50", "MobileNetV2"):
        assert there[STEP]() == pytest.approx(here[STEP](), rel=20 * CLOSE)
