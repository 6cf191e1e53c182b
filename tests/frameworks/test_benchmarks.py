"""What asv measures beside other frameworks runs where they are installed."""

from __future__ import annotations

import pytest

from asv_benchmarks.benchmarks import frameworks

CASES = [
    (kind, name)
    for kind, names in (
        (frameworks.AsLayers, frameworks.AsLayers.cases),
        (frameworks.InFrameworks, frameworks.STEPS),
    )
    for name in names
]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_benchmarks_run(kind, name):
    benchmark = kind()
    try:
        benchmark.setup("numpy", name)
    except NotImplementedError as missing:
        pytest.skip(str(missing))
    benchmark.time_forward("numpy", name)
    benchmark.time_training_step("numpy", name)
    assert benchmark.track_peak_of_training("numpy", name) > 0


def test_what_is_missing_is_left_out():
    with pytest.raises(NotImplementedError, match="nothing_of_this_name not installed"):
        frameworks.needed("nothing_of_this_name", "numpy")
