"""What gpulayers costs, in time and memory: benchmarks for asv.

    pip install --editable '.[bench]' && cd asv_benchmarks && asv run --python=same --quick

There is a file for each family.  Most benchmarks are cases of `layer.LayerBenchmark`, a layer and
its inputs, and measure `time_forward`, `time_training_step` and `track_peak_of_training`; others
have the same names where they can.  `libraries` has what they share, `networks` the models of
`whole_models`.

Each runs on NumPy, and on CuPy where that is installed (n/a where it finds no GPU).  asv calls
`setup` before each measurement: models and data are made once and kept by `functools.cache`.
`../compare` measures others in turn with ours.
"""
