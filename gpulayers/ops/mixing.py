"""Images put together from two: weighted sums, and rectangles of one in the other."""

from __future__ import annotations

from ..arrays import Abstract, devices, dtypes, namespace, primitive


@primitive
def mixed(x, order, weight):
    """weight[i] x[i] + (1 - weight[i]) x[order[i]].

    Args:
        x: (N, ...), floats.
        order: (N,), whole numbers.
        weight: (N, 1, ...) of the dtype of `x`.
    """
    return x * weight + namespace(x, order).take(x, order, axis=0) * (1 - weight)


@mixed.shape
def _(x, order, weight):
    return Abstract(tuple(x.shape), x.dtype)


@primitive
def pasted(images, other, boxes, *, first=False):
    """Images with the pixels of others within a box of each.

    Args:
        images: (N, height, width, C), or channels first.
        other: what broadcasts with them, of their dtype.
        boxes: (N, 4): left, right, top and bottom, of pixels from the first on and before the
            second.
        first: whether channels stand first.
    """
    xp = namespace(images, other, boxes)
    height, width = images.shape[2:] if first else images.shape[1:3]
    how = {"dtype": boxes.dtype, "device": devices.device_of(boxes)}
    y = xp.reshape(xp.arange(height, **how), (height, 1) if first else (height, 1, 1))
    x = xp.reshape(xp.arange(width, **how), (width,) if first else (width, 1))
    x0, x1, y0, y1 = (xp.reshape(boxes[:, k], (-1, 1, 1, 1)) for k in range(4))
    return xp.where((y >= y0) & (y < y1) & (x >= x0) & (x < x1), other, images)


@pasted.shape
def _(images, other, boxes, *, first=False):
    return Abstract(tuple(images.shape), dtypes.promote(images, other))
