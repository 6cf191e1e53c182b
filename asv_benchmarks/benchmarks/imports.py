"""What importing costs, beside what it stands on."""


def timeraw_import_gpulayers():
    return "import gpulayers"


def timeraw_import_layers_and_models():
    return "import gpulayers.layers, gpulayers.models, gpulayers.optimizers"


def timeraw_import_numpy_h5py_rich():
    return "import numpy, h5py, rich"
