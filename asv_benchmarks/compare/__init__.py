"""gpulayers beside PyTorch, Keras on its backends, ONNX Runtime and NumPy by hand.

`python -m asv_benchmarks.compare` measures whole networks; `python -m
asv_benchmarks.compare.convolution`, and so on, single layers and operations.  From the root of the
sources, by an interpreter that has the others and what gpulayers needs.
"""
