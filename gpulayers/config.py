"""Settings that hold for the whole process: number formats, layouts, devices, names."""

from __future__ import annotations

import os

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")

_settings = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "dtype_policy": None,
    "device": os.environ.get("GPULAYERS_DEVICE") or None,
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
    Raises ValueError for another name, RuntimeError if there is no such device.
    """
    from .arrays import devices

    if name is not None:
        devices.parse(name)
    _settings["device"] = name


def _one_of(who: str, value, allowed: tuple[str, ...]):
    if value not in allowed:
        raise ValueError(f"{who}: expected one of {', '.join(allowed)}, got {value!r}.")
    return value
