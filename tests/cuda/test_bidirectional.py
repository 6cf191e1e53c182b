"""Recurrent layers from both ends on the GPU: both directions in the same launches."""

from __future__ import annotations

import pytest
from kernel_checks import check_version
from recurrent_checks import CELLS, TOLERANCE, arrays_for

from gpulayers.cuda import recurrent as kernels
from gpulayers.cuda import recurrent_scan
from gpulayers.ops.bidirectional import both_ways

WAYS = ["products", "steps", "block", "cluster", "grid"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each way, for whatever there is to compute."""
    name = request.param
    if name in recurrent_scan.MOST:
        monkeypatch.setattr(recurrent_scan, "MOST", {name: {2: 1024, 4: 1024}})
    else:
        monkeypatch.setattr(kernels, "way", lambda run: name)
    return name


@pytest.mark.parametrize(("count", "units"), [(3, 5), (17, 33)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("cell", CELLS)
def test_both_ways(cupy, way, cell, dtype, count, units):
    one, other = (arrays_for(cell, count, 3, 4, units, seed=seed, masked=True) for seed in (0, 1))
    options = CELLS[cell][3]
    atol = 2 * TOLERANCE[dtype] * max(1, (3 * count) ** 0.5 / 4)
    check_version(
        cupy, both_ways, *one[:-1], *other[:-1], one[-1], cell=cell.partition(",")[0],
        dtype=dtype, atol=atol, rtol=atol, **options,
    )  # fmt: skip


def test_no_bias_no_mask(cupy):
    one, other = (arrays_for("lstm", 2, 3, 4, 5, seed=seed, bias=False) for seed in (0, 1))
    check_version(cupy, both_ways, *one[:-1], *other, cell="lstm", atol=1e-5)


def test_layers_that_differ_are_left_to_the_reference(cupy):
    one, other = (arrays_for("gru", 2, 3, 4, units) for units in (5, 6))
    given = [cupy.asarray(a.astype("f4")) for a in (*one[:-1], *other[:-1])]
    assert both_ways.version("cupy")(*given, None, cell="gru") is NotImplemented
    there, back = both_ways(*given, None, cell="gru")
    assert (there.shape, back.shape) == ((2, 3, 5), (2, 3, 6))
