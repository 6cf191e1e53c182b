"""Products of tall matrices with small ones, in pieces that OpenBLAS multiplies without copies."""

from __future__ import annotations

import numpy as np

from .threads import core

# OpenBLAS copies the factors of a product into an order of its own first, unless it is small, on
# these processors.  Rows of 147 and 256 elements times 64 columns: 160 and 145 instead of 115 and
# 112 billion operations in a second on one core (Sapphire Rapids); with more columns or longer
# rows, pieces this small would be slower than the whole.
WITHOUT_COPIES = ("SkylakeX", "Cooperlake", "SapphireRapids")
SMALL = 10**6  # Products of the three sizes.
COLUMNS, DEPTH, ROWS = 64, 320, 8


def multiply(a, b, out) -> None:
    """out = a @ b for a (..., rows, depth) and b (depth, columns)."""
    *_, rows, depth = a.shape
    columns = b.shape[-1]
    piece = SMALL // (depth * columns)
    if piece >= rows or columns > COLUMNS or depth > DEPTH or piece < ROWS or not without_copies():
        np.matmul(a, b, out=out)
        return
    pieces = -(-rows // piece)
    piece = rows // pieces
    whole = piece * pieces
    lead = a.shape[:-2]
    parts, to = a[..., :whole, :], out[..., :whole, :]
    parts = parts.reshape(*lead, pieces, piece, depth)
    np.matmul(parts, b, out=to.reshape(*lead, pieces, piece, columns))
    if whole < rows:
        np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])


def without_copies() -> bool:
    return core() in WITHOUT_COPIES
