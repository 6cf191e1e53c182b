"""What gpulayers costs, in time and memory.

    benchmarks/          for asv, from commit to commit: every family of layers, and whole models
    asv.conf.json        how asv builds and runs them
    compare/             whole networks beside PyTorch, Keras and ONNX Runtime, in turns
    compare/layers/      single layers and operations beside those, and what was measured
    gpu.py               kernels on a GPU, beside what it can do and beside PyTorch; `gpu_cases` and
                         its like say what is timed, `gpu_timing` how, `gpu_table` prints it

The README says how to run each; `ci/bench.sh` compares two commits, `ci/scaling.py` draws how costs
grow, `ci/gpu_check.sh` does all that needs a GPU.
"""
