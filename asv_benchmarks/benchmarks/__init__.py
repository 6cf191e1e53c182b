"""What gpulayers costs, in time and memory: benchmarks for asv.

    pip install --editable '.[bench]' && cd asv_benchmarks && asv run --python=same --quick

A benchmark of `library` runs on NumPy, and on CuPy where there is a GPU (elsewhere it is shown as
n/a).  asv calls `setup` before each measurement: models and data are made once and kept by
`functools.cache`.  `../compare` measures others in turn with ours.
"""
