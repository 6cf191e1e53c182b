"""Tiles of products of matrices, summed up in registers.

LLVM makes vectors of simple loops, but keeps a tile of sums in registers only if it is told to: so
the instruction `tile` is written in its language.  It reads both factors where they lie, the first
by tables of offsets, so that what windows see needs no copy; a convolution, its gradients, and
products of matrices differ in their tables only.
"""

from __future__ import annotations

from functools import cache

from . import Instruction


@cache
def shape(itemsize: int) -> tuple[int, int]:
    """Rows of a tile with two vectors to a row, and the numbers in a vector of this machine's.

    Sums, the second factor and one of the first for each row fit into its registers: 32, or 16 of
    half the length or less.  With one vector to a row, there are twice as many rows.
    """
    from llvmlite.binding import get_host_cpu_features, get_process_triple

    features, arm = get_host_cpu_features(), get_process_triple().startswith(("aarch64", "arm64"))
    size = 64 if features.get("avx512f") else 32 if features.get("avx") else 16
    return (8 if size == 64 or arm else 4), size // itemsize


def _address(typing, array):
    """Where an array begins: a number, which LLVM need not count references of."""
    from numba import types

    def generate(context, builder, signature, values):
        (value,) = values
        data = context.make_array(array)(context, builder, value).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


def _tile(typing, vectors, a, rows, columns, b, start, out, bounds):
    """Add up products, for the rows of a tile and one or two vectors of columns.

    out[places[i] + j lanes ...] = start[offsets[i] + j lanes ...] +
    sum over k < count: a[rows[i] + columns[k]] * b[(k vectors + j) lanes ...],
    for rows i and vectors j.  Arrays are given as pairs: an address, and where to begin; `b` as
    itself, and where to begin.

    Args:
        vectors: 1 or 2, a literal.
        a, b: the factors.
        rows: a table of offsets in `a`, for as many rows as a tile has.
        columns: a table of offsets in `a`, and as the third entry `count`.
        start: what is added to the rows' sums, and a table of offsets in it: four numbers.
        out: the results, and a table of offsets in them.
        bounds: (least, most) that results may have.
    """
    from llvmlite import ir
    from numba import types

    signature = types.void(vectors, a, rows, columns, b, start, out, bounds)
    dtype, width = b[0].dtype, vectors.literal_value
    height, lanes = shape(dtype.bitwidth // 8)
    height *= 2 // width
    free = {"flags": ("contract", "nsz")}  # A product and a sum may be one.

    def generate(context, builder, signature, values):
        number, whole = context.get_value_type(dtype), ir.IntType(64)
        vector, last = ir.VectorType(number, lanes), ir.IntType(32)

        def entry(which, i):
            return builder.extract_value(values[which], i)

        def pointer(which, i, kind=number):
            """To where an array begins, at entries i and i + 1 of an argument."""
            return at(builder.inttoptr(entry(which, i), kind.as_pointer()), entry(which, i + 1))

        def at(pointer, *offsets):
            for offset in offsets:
                pointer = builder.gep(pointer, [offset])
            return pointer

        def seen(pointer):
            return builder.bitcast(pointer, vector.as_pointer())

        def load(pointer):
            return builder.load(seen(pointer), align=dtype.bitwidth // 8)

        def spread(value):
            none = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(none, value, last(0))
            return builder.shuffle_vector(one, none, ir.VectorType(last, lanes)([0] * lanes))

        tile = [(i, j) for i in range(height) for j in range(width)]
        x, table, steps = pointer(1, 0), pointer(2, 0, whole), pointer(3, 0, whole)
        heads = [at(x, builder.load(at(table, whole(i)))) for i in range(height)]
        y, count = context.make_array(b[0])(context, builder, entry(4, 0)).data, entry(3, 2)
        y = at(y, entry(4, 1))

        before, loop, after = builder.block, *map(builder.append_basic_block, ("loop", "after"))
        builder.cbranch(builder.icmp_signed(">", count, whole(0)), loop, after)
        builder.position_at_end(loop)
        k, row, held = builder.phi(whole), builder.phi(y.type), [builder.phi(vector) for _ in tile]
        offset = builder.load(at(steps, k))
        own = [load(at(row, whole(j * lanes))) for j in range(width)]
        wide = [spread(builder.load(at(head, offset))) for head in heads]
        found = [
            builder.fadd(builder.fmul(wide[i], own[j], **free), one, **free)
            for (i, j), one in zip(tile, held, strict=True)
        ]
        then = builder.add(k, whole(1))
        zero = ir.Constant(vector, [0.0] * lanes)
        ways = [(one, zero, summed) for one, summed in zip(held, found, strict=True)]
        ways += [(k, whole(0), then), (row, y, at(row, whole(width * lanes)))]
        for phi, entering, again in ways:
            phi.add_incoming(entering, before)
            phi.add_incoming(again, builder.block)
        again = builder.cbranch(builder.icmp_signed("<", then, count), loop, after)
        again.set_metadata("llvm.loop", as_it_is(builder.module))
        builder.position_at_end(after)
        results = [builder.phi(vector) for _ in tile]
        for result, summed in zip(results, found, strict=True):
            result.add_incoming(zero, before)
            result.add_incoming(summed, loop)
        starts, ends = (
            [at(z, builder.load(at(places, whole(i))), whole(j * lanes)) for i, j in tile]
            for z, places in ((pointer(own, 0), pointer(own, 2, whole)) for own in (5, 6))
        )
        results = [
            builder.fadd(result, load(start)) for result, start in zip(results, starts, strict=True)
        ]
        least, most = (spread(entry(7, i)) for i in range(2))
        results = [clipped(builder, result, least, most) for result in results]
        for end, result in zip(ends, results, strict=True):
            builder.store(result, seen(end), align=dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate


def as_it_is(module):
    """What tells LLVM to leave a loop as it is: unrolled, it would need more registers."""
    from llvmlite import ir

    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([wish, wish])
    loop.operands = loop, wish  # Such a node is known by pointing to itself.
    return loop


def clipped(builder, value, least, most):
    """A vector within bounds; what is no number stays."""
    value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
    return builder.select(builder.fcmp_ordered(">", value, most), most, value)


address, tile = Instruction(_address), Instruction(_tile)
