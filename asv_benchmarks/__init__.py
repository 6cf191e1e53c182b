"""What gpulayers costs: benchmarks for asv, comparisons with other libraries, runs on GPUs."""
