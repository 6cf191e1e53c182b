"""Images read at other places and in other colours, in one pass: what augmentation consists of."""

from __future__ import annotations

from typing import Any, NamedTuple


class Geometry(NamedTuple):
    """Where the pixels of a batch of images are read.

    matrix: (N, 3, 3) float32 on the CPU. Pixel (x, y) of result i is read at (u / w, v / w), with
        (u, v, w) = matrix[i] (x, y, 1).
    exact: whether these places are pixels, so that nothing is interpolated: flips and crops.
    size: (height, width) of the results; None for that of the images.
    interpolation, fill_mode, fill_value: as for `ops.image.affine_transform`.
    """

    matrix: Any
    exact: bool = False
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    fill_mode: str = "constant"
    fill_value: float = 0.0


class Colour(NamedTuple):
    """What becomes of each pixel of a batch of images of C channels.

    matrix: (N, C, C + 1) float32 on the CPU: colour c becomes matrix[i, :, :C] c + matrix[i, :, C].
    low, high: what results are clipped to; None not to clip.
    mean: None, or (N,) float32: mean[i] times the mean colour of image i, before this, is added.
    """

    matrix: Any
    low: float | None = None
    high: float | None = None
    mean: Any = None
