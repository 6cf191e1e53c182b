"""How the kernels of attention share their work among blocks and warps."""

from __future__ import annotations

from . import products
from .module import blocks, c_type

# On tensor cores: (largest size, lines of mine, others at once, fragments of 16 lines in a warp)
# for each pass, so that no architecture spills registers.  Later ones of a size are for GPUs of
# little shared memory.
TILES = {
    "FORWARD": ((128, 128, 64, 1), (128, 64, 32, 1), (256, 64, 32, 1), (256, 64, 16, 1)),
    "QUERY": (
        (64, 128, 64, 1), (128, 128, 32, 1), (128, 64, 32, 1), (256, 64, 16, 1), (256, 32, 16, 1),
    ),
    "KEY": (
        (64, 128, 64, 1), (128, 128, 32, 1), (128, 64, 32, 1), (256, 64, 32, 1), (256, 32, 16, 1),
    ),
    "BIAS": ((128, 64, 64, 1), (128, 64, 32, 1), (256, 64, 32, 1), (256, 32, 16, 1)),
}  # fmt: skip
STATIC = 20 * 1024  # Bytes of shared memory, at most, of a kernel with extras beside its tiles.
LEAN = (64, 128, 64, 2)  # Forward, without extras: products read less.


def constants(way: str, dtype, size: int, limit: int, extras: bool) -> dict:
    """PASS, TENSOR, ROWS, COLUMNS, SIZE, WIDTH and M of attention.cu.

    Args:
        way: the pass.
        dtype: of queries, keys and values.
        size: of a head's lines, the largest.
        limit: bytes of shared memory.
        extras: EXTRAS there.
    """
    size = padded(size)
    if products.path(dtype) == products.TENSOR:
        lean = (LEAN,) if way == "FORWARD" and not extras else ()
        for most, rows, columns, fragments in (*lean, *TILES[way]):
            width = size // 2 if way == "KEY" and size > 128 else size
            how = {
                "PASS": way, "TENSOR": True, "ROWS": rows, "COLUMNS": columns,
                "SIZE": size, "WIDTH": width, "M": fragments,
            }  # fmt: skip
            if size <= most and shared_memory(how) <= limit:
                return how
    if c_type(dtype) == "double":
        return _plain(way, 32, size, 32 if way == "KEY" else 64)
    return _plain(way, 64, size, 128)


def decode_constants(dtype, size: int, rows: int, limit: int) -> dict | None:
    """The same for attention_decode.cu and so many rows; None if these are too many."""
    size = padded(size)
    if products.path(dtype) == products.TENSOR and rows <= 64:
        how = {
            "PASS": "DECODE", "TENSOR": True, "ROWS": next(n for n in (16, 32, 64) if rows <= n),
            "COLUMNS": 32, "SIZE": size, "WIDTH": size, "M": 1,
        }  # fmt: skip
        if shared_memory(how) <= limit:
            return how
    if rows <= 32:
        return _plain("DECODE", 32, size, 64 if c_type(dtype) == "double" else 128)
    return _plain("DECODE", 64, size, 128) if rows <= 64 and c_type(dtype) != "double" else None


def _plain(way: str, rows: int, size: int, most: int) -> dict:
    """Without tensor cores, in slices of at most so many columns."""
    width = max(n for n in range(16, most + 1, 16) if size % n == 0)
    return {
        "PASS": way, "TENSOR": False, "ROWS": rows, "COLUMNS": 64, "SIZE": size, "WIDTH": width,
        "M": 0,
    }  # fmt: skip


def padded(size: int) -> int:
    """SIZE for a head's lines of this size."""
    step = 16 if size <= 128 else 32
    return blocks(size, step) * step


def threads(how: dict) -> int:
    """How many threads a block has."""
    if how["TENSOR"]:
        return how["ROWS"] // (16 * how["M"]) * 32
    return how["ROWS"] * how["COLUMNS"] // 16


def shared_memory(how: dict) -> int:
    """How many bytes of dynamic shared memory a block needs."""
    if not how["TENSOR"]:
        return 0
    mine = 1 if how["PASS"] in ("FORWARD", "DECODE") else 2
    return (mine * how["ROWS"] + 4 * how["COLUMNS"]) * (how["SIZE"] + 8) * 2
