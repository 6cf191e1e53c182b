"""Single layers and operations of gpulayers beside other libraries, each by a program of its own:

    python -m asv_benchmarks.compare.layers.convolution     also: normalization attention recurrent
                                                            optimizers; beside PyTorch
    python -m asv_benchmarks.compare.layers.keras_layers    beside Keras on NumPy
    python -m asv_benchmarks.compare.layers.augmentation    colours and mixtures, beside Keras
    python -m asv_benchmarks.compare.layers.images          crops, turns, sizes; Keras and Pillow
    python -m asv_benchmarks.compare.layers.text            beside Keras and TensorFlow
    python -m asv_benchmarks.compare.layers.loading FILE    beside h5py

`--help` says more.  They run from the root of the sources, in an interpreter that has the other
library and what gpulayers needs.  `results.md` holds what they measured.
"""
