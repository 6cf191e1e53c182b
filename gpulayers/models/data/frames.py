"""pandas frames and series as arrays, without importing pandas."""

from __future__ import annotations

import sys

import numpy as np

from ... import config


def is_frame(x) -> bool:
    """Whether `x` is a pandas DataFrame or Series."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(x, (pandas.DataFrame, pandas.Series))


def to_numpy(x) -> np.ndarray:
    """The values of a DataFrame (rows, columns), or of a Series as one column (rows, 1).

    Columns of numbers and booleans of several kinds become floatx together, missing values NaN;
    a frame with text in it becomes an array of objects.
    """
    columns = [x] if x.ndim == 1 else [x.iloc[:, i] for i in range(x.shape[1])]
    kinds = {column.dtype for column in columns}
    if len(kinds) == 1 and isinstance(columns[0].dtype, np.dtype):
        values = x.to_numpy()
    elif columns and all(_is_number(column.dtype) for column in columns):
        values = np.stack([_numbers(column) for column in columns], axis=1)
    else:
        values = x.to_numpy(dtype=object)
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _is_number(dtype) -> bool:
    return getattr(dtype, "kind", "O") in "iufb"


def _numbers(column) -> np.ndarray:
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy(dtype=config.floatx())
    return column.to_numpy(dtype=config.floatx(), na_value=np.nan)
