"""Settings that hold for the whole process: number formats, layouts, devices, names."""

from __future__ import annotations

import os

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")
_PRECISIONS = ("highest", "high")
_CONVOLUTION_PRECISIONS = ("highest", "high", "medium")

_settings = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "float32_matmul_precision": "highest",
    "float32_convolution_precision": "medium",
    "fused_augmentation": True,
    "all_reduce": None,
    "recurrent_segment": None,
    "jit": {"0": False, "1": True}.get(os.environ.get("GPULAYERS_JIT", "")),
    "flash_attention": None,
    "dtype_policy": None,
    "device": os.environ.get("GPULAYERS_DEVICE") or None,
    "interactive_logging": True,
    "max_epochs": int(os.environ.get("KERAS_MAX_EPOCHS") or 0) or None,
    "max_steps_per_epoch": int(os.environ.get("KERAS_MAX_STEPS_PER_EPOCH") or 0) or None,
}


def floatx() -> str:
    """The name of the default float dtype of weights and results: "float32" unless set."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Set the default float dtype: "float16", "bfloat16", "float32" or "float64".

    Raises ValueError for another name.
    """
    _settings["floatx"] = _one_of("set_floatx", value, _FLOATS)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite: 1e-7 unless set."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the number that `epsilon` gives."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Where images have their channels by default: "channels_last" or "channels_first"."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images.  Raises ValueError for an unknown one."""
    _settings["image_data_format"] = _one_of("set_image_data_format", data_format, _LAYOUTS)


def standardize_data_format(data_format: str | None) -> str:
    """`data_format`, or the default layout for None.  Raises ValueError for an unknown one."""
    if data_format is None:
        return image_data_format()
    return _one_of("data_format", str(data_format).lower(), _LAYOUTS)


def float32_matmul_precision() -> str:
    """How exact products of float32 matrices are on GPUs: "highest" unless set, or "high"."""
    return _settings["float32_matmul_precision"]


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how exact products of float32 matrices are on GPUs.

    precision: "highest" for float32 throughout; "high" to let tensor cores round factors to TF32
        (10 bits behind the point instead of 23) and sum in float32, several times faster. Named as
        in PyTorch, with its default; on CPUs float32 is always exact.

    Raises ValueError for another name.
    """
    _settings["float32_matmul_precision"] = _one_of(
        "set_float32_matmul_precision", precision, _PRECISIONS
    )


def float32_convolution_precision() -> str:
    """How exact convolutions of float32 arrays are on CPUs: "medium" unless set."""
    return _settings["float32_convolution_precision"]


def set_float32_convolution_precision(precision: str) -> None:
    """Choose how exact convolutions of float32 arrays are on CPUs.

    precision: "highest" for sums of products as the definition has them; "high" to let windows of
        3 x 3 on many channels go through Winograd's minimal filtering by tiles of 2 x 2 outputs,
        as exact; "medium" by tiles of 4 x 4, and windows of 5 x 5 likewise, two to three times as
        fast as "highest". Largest errors of outputs and gradients, as a part of the largest value,
        with 64 to 512 channels: "highest" and "high" 7e-7, "medium" 3e-6. All of them keep what
        is promised, outputs and gradients within 1e-5 of Keras's.

    Raises ValueError for another name.
    """
    _settings["float32_convolution_precision"] = _one_of(
        "set_float32_convolution_precision", precision, _CONVOLUTION_PRECISIONS
    )


def all_reduce():
    """The function that sums arrays over all processes that train together: None unless set."""
    return _settings["all_reduce"]


def set_all_reduce(function) -> None:
    """Choose how processes that train one model together add up arrays.

    function: takes an array and gives the sum of those that all processes call it with, a new array
        of that shape, dtype and library, such as one around MPI's Allreduce or NCCL's; None for one
        process on its own. `BatchNormalization(synchronized=True)` calls it twice going forward in
        training, and twice for the gradient of its inputs: in the same order everywhere.

    Raises TypeError for what is no function.
    """
    if function is not None and not callable(function):
        raise TypeError(f"set_all_reduce: expected a function or None, got {function!r}.")
    _settings["all_reduce"] = function


def jit() -> bool | None:
    """Whether loops compiled by Numba are used on CPUs: None, where they pay, unless set."""
    return _settings["jit"]


def set_jit(wanted: bool | None) -> None:
    """Choose whether NumPy arrays go through loops that Numba compiles.

    wanted: None for large arrays, and for small models that have been called 16 times on arrays of
        a shape, if Numba is installed (`pip install gpulayers[numba]`); False for NumPy's
        functions alone; True for arrays of any size at once, which is of use in tests. The
        environment variable GPULAYERS_JIT (0 or 1) sets the same before the process starts.
        Results differ in their last bits.

    Raises TypeError for anything else, ModuleNotFoundError for True without Numba.
    """
    if wanted not in (None, False, True):
        raise TypeError(f"set_jit: expected None, True or False, got {wanted!r}.")
    if wanted:
        from importlib import import_module

        import_module("numba")
    _settings["jit"] = wanted


def enable_flash_attention() -> None:
    """Let attention layers use flash attention, as they do by default.

    Here attention is computed block by block in any case, and results do not depend on this.
    """
    _settings["flash_attention"] = None


def disable_flash_attention() -> None:
    """Undo `enable_flash_attention`: see there."""
    _settings["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """False after `disable_flash_attention`, else None, as in Keras."""
    return _settings["flash_attention"]


def fused_augmentation() -> bool:
    """Whether a `Pipeline` puts image layers together in few passes: True unless set."""
    return _settings["fused_augmentation"]


def set_fused_augmentation(fused: bool) -> None:
    """Choose how a `Pipeline` of image layers computes.

    fused: True to put layers together that move images or change their colours, so that images
        are read, interpolated and written once; False for one layer after the other, as in Keras.
        Flips, crops and colours give the same either way; see `layers/image_passes.py` for what
        differs where several layers interpolate.

    Raises TypeError unless it is True or False.
    """
    if not isinstance(fused, bool):
        raise TypeError(f"set_fused_augmentation: expected True or False, got {fused!r}.")
    _settings["fused_augmentation"] = fused


def recurrent_segment() -> int | str | None:
    """How many steps recurrent layers compute again at a time: as memory allows if None."""
    return _settings["recurrent_segment"]


def set_recurrent_segment(steps: int | str | None) -> None:
    """Choose how much recurrent layers keep in memory for their gradients.

    steps: None to keep states, and about 128 MiB of what steps compute (of SimpleRNN, LSTM and GRU
        64 MiB of gates); what takes more memory is computed again for the gradient, which takes
        about a third more time. A number to keep only the states between segments of so many
        steps, and to compute each segment again; "auto" for the square root of the number of steps,
        with which memory grows like that, too: of 10,000 steps it is that of 200. "whole" to
        compute nothing again.

    A cell that is to be computed again must depend on its inputs, its states and Variables alone.
    It may assign Variables, and draw random numbers by a SeedGenerator: they are the same the
    second time, as is the dropout of the cells here. By default a cell that does something else
    (counts its steps in an attribute, adds losses, uses arrays of the model around it) is found at
    its second step, and all it computes is kept.

    Raises ValueError for anything else.
    """
    if steps not in ("auto", "whole"):
        steps = _limit("set_recurrent_segment", steps)
    _settings["recurrent_segment"] = steps


def dtype_policy():
    """The dtype policy of layers that are given none: `floatx` unless set."""
    from .arrays.policy import DTypePolicy

    return _settings["dtype_policy"] or DTypePolicy(floatx())


def set_dtype_policy(policy) -> None:
    """Set the default dtype policy: a name such as "mixed_float16", or a `DTypePolicy`."""
    from .arrays.policy import DTypePolicy

    _settings["dtype_policy"] = None if policy is None else DTypePolicy.of(policy)


def device() -> str:
    """The device on which models live that no array has placed yet: "cpu", "gpu" or "gpu:1"."""
    from .arrays import devices

    return devices.name(devices.default())


def set_device(name: str | None) -> None:
    """Choose the default device: "cpu", "gpu", "gpu:1"; None for the GPU if one is usable.

    The environment variable GPULAYERS_DEVICE sets the same before the process starts.
    Models launch their work on their own GPU. CuPy itself works on its current device, the first
    one by default: in a loop of your own on the second GPU, make arrays and call functions within
    `with cupy.cuda.Device(1):`.
    Raises ValueError for another name, RuntimeError if there is no such device.
    """
    from .arrays import devices

    if name is not None:
        devices.parse(name)
    _settings["device"] = name


def backend() -> str:
    """What new weights are arrays of: "numpy" or "cupy", by the default device."""
    return "numpy" if device() == "cpu" else "cupy"


def enable_interactive_logging() -> None:
    """Let progress and messages of training be written to the standard output (the default)."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Let progress and messages of training go to the logger named "gpulayers" instead."""
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages of training are written to the standard output."""
    return _settings["interactive_logging"]


def max_epochs() -> int | None:
    """The most epochs that any `fit` makes; None, for no limit, unless set.

    The environment variable KERAS_MAX_EPOCHS sets it before the process starts.
    """
    return _settings["max_epochs"]


def set_max_epochs(max_epochs: int | None) -> None:
    """Let no `fit` make more epochs than this, to try a long script; None for no limit."""
    _settings["max_epochs"] = _limit("set_max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most batches that `fit`, `evaluate` and `predict` take in an epoch; None unless set.

    The environment variable KERAS_MAX_STEPS_PER_EPOCH sets it before the process starts.
    """
    return _settings["max_steps_per_epoch"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Let no epoch have more batches than this, to try a long script; None for no limit."""
    limit = _limit("set_max_steps_per_epoch", max_steps_per_epoch)
    _settings["max_steps_per_epoch"] = limit


def _limit(who: str, value) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{who}: expected a positive integer or None, got {value!r}.")
    return int(value)


def _one_of(who: str, value, allowed: tuple[str, ...]):
    if value not in allowed:
        raise ValueError(f"{who}: expected one of {', '.join(allowed)}, got {value!r}.")
    return value
