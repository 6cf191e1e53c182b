"""Which neighbours in a plan of inference become one piece.

A piece takes in the one that follows it where nothing else reads what lies between them.
"""

from __future__ import annotations

from ..layers.pieces import Activated, ChannelMap, Curve, Margins, Piece, Sum
from ..layers.pooling_pieces import Pooling
from ..layers.product_pieces import Product
from ..ops.activation import sigmoid, softplus
from ..ops.pooling import max_pooling
from ..ops.rectifier import hard_sigmoid, relu, relu6

ABOVE_ZERO = {relu, relu6, sigmoid, hard_sigmoid, softplus}


def joined(first: Piece, second: Piece) -> Piece | None:
    """One piece in the place of two that follow each other; None if they stay two."""
    rule = RULES.get((type(first), type(second)))
    made = None if rule is None else rule(first, second)
    if made is not None:
        made.names = first.names + second.names
    return made


def _product_and_map(product: Product, after: ChannelMap):
    """Batch normalization in a convolution: factors of the filters, and another bias."""
    if product.curve is not None or product.adds:
        return None
    product.maps.append(after)
    product.curve = after.curve
    return product


def _product_and_sum(product: Product, _: Sum):
    """Another array, added where a GPU writes the product."""
    if not product.is_on_gpu or product.curve is not None or product.adds:
        return None
    product.adds = True
    return product


def _map_and_product(before: ChannelMap, product: Product):
    """Factors and offsets of channels in the kernel: not where there are margins of zeros, which
    would have to be others, nor where a kernel is so large that it should not be copied."""
    margins = any(pair != (0, 0) for pair in product.options.get("padding", ()))
    if before.curve or margins or product.options.get("groups", 1) != 1 or not product.is_small:
        return None
    if product.is_transposed:
        return None  # At the edges of its results not all of the kernel counts.
    if product.before is not None or before.constants:
        return None  # Moving means may be much larger than what they leave of x.
    product.before = before
    return product


def _map_and_map(first: ChannelMap, second: ChannelMap):
    if first.curve is not None:
        return None
    first.maps += second.maps
    first.curve = second.curve
    return first


def _and_curve(first, curve: Curve):
    """An activation where results are written."""
    if first.curve is not None:
        return None
    first.curve = curve.function
    return first


def _and_activated(first, after: Activated):
    """The same of functions that only a GPU's kernels have in them."""
    if not first.is_on_gpu or first.curve is not None:
        return None
    from ..cuda.inference import curve

    if curve(after.curve).name is None:
        return None
    first.curve = after.curve
    return first


def _margins_and_product(margins: Margins, product: Product):
    """Margins of zeros as a convolution's own."""
    padding = product.options.get("padding")
    first, *inner, last = margins.widths
    if padding is None or len(inner) != len(padding) or {first, last} != {(0, 0)}:
        return None
    if product.is_transposed:
        return None  # What it cuts from its results.
    if any(min(pair) < 0 for pair in padding) or product.before is not None:
        return None
    both = zip(inner, padding, strict=True)
    product.options["padding"] = tuple((a + low, b + high) for (a, b), (low, high) in both)
    return product


def _product_and_margins(product: Product, margins: Margins):
    """Nothing becomes one, but margins learn what is within them."""
    margins.above_zero = product.is_on_gpu and product.curve in ABOVE_ZERO


def _margins_and_pooling(margins: Margins, pooling: Pooling):
    """Zeros around what is not below them as margins of windows that see something else, too."""
    first, *inner, last = margins.widths
    windows, padding = pooling.options["windows"], pooling.options["padding"]
    if not margins.above_zero or pooling.operation is not max_pooling:
        return None
    if {first, last} != {(0, 0)} or len(inner) != len(windows):
        return None
    both = zip(inner, padding, strict=True)
    wide = tuple((a + low, b + high) for (a, b), (low, high) in both)
    if any(max(pair) >= size or min(pair) < 0 for pair, size in zip(wide, windows, strict=True)):
        return None
    pooling.options = {**pooling.options, "padding": wide}
    return pooling


def _nothing(first, _):
    return first


RULES = {
    (Product, ChannelMap): _product_and_map,
    (Product, Sum): _product_and_sum,
    (ChannelMap, Product): _map_and_product,
    (ChannelMap, ChannelMap): _map_and_map,
    (Product, Curve): _and_curve,
    (ChannelMap, Curve): _and_curve,
    (Sum, Curve): _and_curve,
    (Product, Activated): _and_activated,
    (Margins, Product): _margins_and_product,
    (Product, Margins): _product_and_margins,
    (Margins, Pooling): _margins_and_pooling,
}
