"""Windows that slide over up to three axes of CuPy arrays, as kernels are told of them."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

FIELDS = ("batch", "channels", "filters", "groups")
AXES = ("sizes", "counts", "windows", "strides", "low", "dilations")
STRUCT = np.dtype([(name, "i8") for name in FIELDS] + [(name, "i8", 3) for name in AXES])
LARGEST = 2**30  # Of a size, with margins: kernels count places of an axis in 32 bits.


class Geometry(NamedTuple):
    """A convolution over three axes: of those that are missing, one place in front."""

    batch: int
    channels: int  # Of a group, as the filters.
    filters: int
    groups: int
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    windows: tuple[int, ...]
    strides: tuple[int, ...]
    low: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def places(self) -> int:
        """How many elements y has for each of its filters."""
        return self.batch * prod(self.counts)

    @property
    def is_product(self) -> bool:
        """Whether it is a product of matrices, without a window."""
        plain = self.sizes == self.counts and self.strides == (1, 1, 1) and not any(self.low)
        return plain and self.groups == 1 and self.windows == (1, 1, 1)

    @property
    def is_small(self) -> bool:
        """Whether images, places of each axis, and channels can be counted in 32 bits."""
        reach = (k * d for k, d in zip(self.windows, self.dilations, strict=True))
        channels = self.groups * self.channels, self.groups * self.filters
        sizes = (self.batch, *self.sizes, *self.counts, *self.strides, *channels)
        moved = (n * s for n, s in zip(self.counts, self.strides, strict=True))
        residues = prod(self.strides)
        return max(*sizes, *reach, *moved, residues, *map(abs, self.low)) < LARGEST


@lru_cache(maxsize=1024)
def geometry(batch, channels, filters, sizes, counts, windows, strides, padding, dilations, groups):
    """The Geometry of a convolution of arrays with so many channels and filters in all."""
    low = tuple(before for before, _ in padding)
    missing = 3 - len(sizes)
    zeros, ones = (0,) * missing, (1,) * missing
    return Geometry(
        batch, channels // groups, filters // groups, groups,
        ones + sizes, ones + counts, ones + windows, ones + strides, zeros + low, ones + dilations,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def struct(geo: Geometry) -> np.ndarray:
    """A Geometry as the kernels take it."""
    return np.array([tuple(geo)], STRUCT)
