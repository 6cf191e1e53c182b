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


def _move(typing, like, x, y):
    """Copy a vector of numbers `like` one, from and to pairs of an address and where it begins."""
    from numba import types

    def generate(context, builder, signature, values):
        size = like.bitwidth // 8
        code = Code(builder, context.get_value_type(like), size, shape(size)[1])
        x, y = (code.array(*(builder.extract_value(v, i) for i in range(2))) for v in values[1:])
        builder.store(code.load(x), code.seen(y), align=size)
        return context.get_dummy_value()

    return types.void(like, x, y), generate


def _tile(typing, rows, vectors, a, table, columns, b, start, out, bounds):
    """Add up products, for the rows of a tile and a few vectors of columns.

    out[places[i] + j lanes ...] = start[offsets[i] + j lanes ...] +
    sum over k < count: a[table[i] + columns[k]] * b[(k vectors + j) lanes ...],
    for rows i and vectors j.  Arrays are given as pairs: an address, and where to begin; `b` as
    itself or its address, and where to begin, and, where k vectors are not one behind the other,
    how many numbers one row of it is after the other.

    Args:
        rows: how many there are, a literal; 0 for as many as suit the vectors.
        vectors: 1, 2 or 4, a literal; 0 for one vector that meets a[table[i] + columns[k] ...] lane
            by lane.
        a, b: the factors.
        table: offsets in `a` for the rows.
        columns: a table of offsets in `a`, and as the third entry `count`.
        start: what is added to the rows' sums, and a table of offsets in it: four numbers.
        out: the results, and a table of offsets in them.
        bounds: (least, most) that results may have.
    """
    from numba import types

    given = (rows, vectors, a, table, columns, b, start, out, bounds)
    like = bounds[0]
    most, lanes = shape(like.bitwidth // 8)
    height = rows.literal_value or 2 * most // max(vectors.literal_value, 1)

    def generate(context, builder, signature, values):
        # The last seven are tuples, whose entries are what they are made of here.
        parts = [
            [builder.extract_value(value, i) for i in range(len(kind))]
            for kind, value in zip(given[2:], values[2:], strict=True)
        ]
        code = Code(builder, context.get_value_type(like), like.bitwidth // 8, lanes)
        if isinstance(b[0], types.Array):
            parts[3][0] = context.make_array(b[0])(context, builder, parts[3][0]).data
        else:
            parts[3][0] = builder.inttoptr(parts[3][0], code.number.as_pointer())
        code.tile(height, vectors.literal_value, *parts)
        return context.get_dummy_value()

    return types.void(*given), generate


class Code:
    """What instructions write: with numbers of a type, in vectors of so many lanes."""

    def __init__(self, builder, number, size: int, lanes: int):
        from llvmlite import ir

        self.builder, self.number, self.size, self.lanes = builder, number, size, lanes
        self.whole, self.vector = ir.IntType(64), ir.VectorType(number, lanes)
        self.spreads = ir.VectorType(ir.IntType(32), lanes)([0] * lanes)
        self.none, self.zero = self.vector(ir.Undefined), self.vector([0.0] * lanes)

    def tile(self, height, vectors, a, table, columns, b, start, out, bounds) -> None:
        """All of it: sums in a loop, and what becomes of them."""
        builder, whole, width = self.builder, self.whole, max(vectors, 1)
        tile = [(i, j) for i in range(height) for j in range(width)]
        x, steps, y = self.array(*a), self.array(*columns[:2], whole), self.at(*b[:2])
        further = b[2] if len(b) > 2 else whole(width * self.lanes)
        heads = self.offsets(x, self.array(*table, whole), height)
        before, loop, after = builder.block, *map(builder.append_basic_block, ("loop", "after"))
        builder.cbranch(builder.icmp_signed(">", columns[2], whole(0)), loop, after)
        builder.position_at_end(loop)
        k, row = builder.phi(whole), builder.phi(y.type)
        held = [builder.phi(self.vector) for _ in tile]
        own = [self.load(self.at(row, whole(j * self.lanes))) for j in range(width)]
        offset = builder.load(self.at(steps, k))
        seen = [self.at(head, offset) for head in heads]
        seen = [self.spread(builder.load(one)) if vectors else self.load(one) for one in seen]
        free = {"flags": ("contract", "nsz")}  # A product and a sum may be one.
        found = [
            builder.fadd(builder.fmul(seen[i], own[j], **free), one, **free)
            for (i, j), one in zip(tile, held, strict=True)
        ]
        then, below = builder.add(k, whole(1)), self.at(row, further)
        again = builder.cbranch(builder.icmp_signed("<", then, columns[2]), loop, after)
        again.set_metadata("llvm.loop", as_it_is(builder.module))
        builder.position_at_end(after)
        sums = [builder.phi(self.vector) for _ in tile]
        for one in (*held, *sums):
            one.add_incoming(self.zero, before)
        for ways in (zip(held, found), zip(sums, found), [(k, then), (row, below)]):
            for phi, value in ways:
                phi.add_incoming(value, loop)
        k.add_incoming(whole(0), before)
        row.add_incoming(y, before)
        self.finish(tile, height, sums, start, out, bounds)

    def finish(self, tile, height, sums, start, out, bounds) -> None:
        """Add what sums begin with, keep them within bounds, and write them."""
        builder = self.builder
        # Pointers are made here, for in the loop there are too few registers.
        starts, ends = (
            self.offsets(self.array(*own[:2]), self.array(*own[2:], self.whole), height)
            for own in (start, out)
        )
        least, most = map(self.spread, bounds)
        results = []
        for (i, j), value in zip(tile, sums, strict=True):
            value = builder.fadd(value, self.load(self.at(starts[i], self.whole(j * self.lanes))))
            results.append(self.bounded(value, least, most))
        for (i, j), value in zip(tile, results, strict=True):
            to = self.at(ends[i], self.whole(j * self.lanes))
            builder.store(value, self.seen(to), align=self.size)

    def both(self, matrix, x, y, start, bounds) -> None:
        """Vectors y[i, j] = start + sum over a, b: matrix[i, a] matrix[j, b] x[a, b]."""
        builder, (outer, inner) = self.builder, matrix.shape

        def place(which, i, j):
            base, at, *steps = which
            moved = [
                builder.mul(step, self.whole(n)) for step, n in zip(steps, (i, j), strict=True)
            ]
            return self.at(self.array(base, at), builder.add(*moved))

        seen = [[self.load(place(x, a, b)) for b in range(inner)] for a in range(inner)]
        half = [
            [self.combined(matrix[i], [line[b] for line in seen]) for b in range(inner)]
            for i in range(outer)
        ]
        if start is not None:
            begin, (least, most) = self.load(self.array(*start)), map(self.spread, bounds)
        for i in range(outer):
            for j in range(outer):
                value = self.combined(matrix[j], half[i])
                if start is not None:
                    value = self.bounded(builder.fadd(value, begin), least, most)
                builder.store(value, self.seen(place(y, i, j)), align=self.size)

    def combined(self, factors, vectors):
        """The sum of vectors times constants."""
        builder, free, total = self.builder, {"flags": ("contract", "nsz")}, None
        for factor, vector in zip(factors, vectors, strict=True):
            if abs(factor) < 1e-12:
                continue
            if factor != 1:
                vector = builder.fmul(self.vector([float(factor)] * self.lanes), vector, **free)
            total = vector if total is None else builder.fadd(total, vector, **free)
        return total

    def bounded(self, value, least, most):
        """A vector within bounds; what is no number stays."""
        value = self.builder.select(self.builder.fcmp_ordered("<", value, least), least, value)
        return self.builder.select(self.builder.fcmp_ordered(">", value, most), most, value)

    def array(self, address, at, kind=None):
        """A pointer to where an array begins."""
        kind = self.number if kind is None else kind
        return self.at(self.builder.inttoptr(address, kind.as_pointer()), at)

    def offsets(self, pointer, table, count):
        """Pointers as far behind one as the first entries of a table say."""
        return [
            self.at(pointer, self.builder.load(self.at(table, self.whole(i)))) for i in range(count)
        ]

    def at(self, pointer, offset):
        return self.builder.gep(pointer, [offset])

    def seen(self, pointer):
        """A pointer to a vector that begins at a number."""
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def load(self, pointer):
        return self.builder.load(self.seen(pointer), align=self.size)

    def spread(self, value):
        """A number in all lanes."""
        one = self.builder.insert_element(self.none, value, self.spreads.type.element(0))
        return self.builder.shuffle_vector(one, self.none, self.spreads)


def as_it_is(module):
    """What tells LLVM to leave a loop as it is: unrolled, it would need more registers."""
    from llvmlite import ir

    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([wish, wish])
    loop.operands = loop, wish  # Such a node is known by pointing to itself.
    return loop


def _pointer(number: str):
    """An instruction: where numbers of a kind lie, to be read and written by their index."""

    def read(typing, address):
        from numba import types

        def generate(context, builder, signature, values):
            return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

        return types.CPointer(getattr(types, number))(types.intp), generate

    return Instruction(read)


def _placed(typing, pointer):
    """The address that a pointer is."""
    from numba import types

    def generate(context, builder, signature, values):
        return builder.ptrtoint(values[0], context.get_value_type(types.intp))

    return types.intp(pointer), generate


address, move, tile, placed = map(Instruction, (_address, _move, _tile, _placed))
floats, integers, words = map(_pointer, ("float32", "intp", "int32"))
