"""Masks that arrays carry."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from gpulayers.arrays import Abstract, KerasTensor, Tape, get_mask, set_mask
from gpulayers.arrays.masks import any_masks


def test_plain_arrays_carry_masks_and_stay_plain(xp):
    x, mask = xp.asarray(np.zeros((2, 3))), xp.asarray(np.ones((2, 3), bool))
    assert get_mask(x) is None
    set_mask(x, mask)
    assert get_mask(x) is mask
    assert get_mask(xp.asarray(np.zeros((2, 3)))) is None
    set_mask(x, None)
    assert get_mask(x) is None


def test_masks_go_with_their_arrays():
    gc.collect()
    before = any_masks()
    x = np.zeros(3)
    set_mask(x, np.ones(3, bool))
    assert any_masks()
    del x
    gc.collect()
    assert any_masks() == before


def test_own_arrays_carry_masks():
    for x in (Abstract((2,)), KerasTensor((2,)), Tape().constant(np.zeros(2))):
        assert get_mask(x) is None
        set_mask(x, "mask")
        assert get_mask(x) == "mask"


def test_only_arrays_carry_masks():
    with pytest.raises(TypeError, match="expected an array, got int"):
        set_mask(1, None or np.ones(1, bool))
