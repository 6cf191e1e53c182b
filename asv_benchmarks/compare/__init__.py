"""Whole networks of gpulayers beside PyTorch, Keras on its backends, ONNX Runtime and NumPy.

    python -m asv_benchmarks.compare --python PATH      prints tables, and which goals are met

`parts` says what is compared and what the goals are, `racing` how contestants take turns,
`contestants` what each does; `torch_contestant`, `torch_networks` and `torch_weights` have the
networks in PyTorch; `imports` and `memory` are measured in ways of their own.  `layers/` has single
layers and operations.
"""
