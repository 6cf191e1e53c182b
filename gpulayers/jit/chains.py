"""Moves of a program shared by threads: each looks for a part that may be done now, and does it.

A chain is a move in parts, one after the other.  Any thread may do any part, so that one alone does
all of them if others sleep, and none waits for what nobody has begun; progress lies in the memory
of a run, and is written and read in an order that all threads see.
"""

from __future__ import annotations

from . import Instruction, part
from .tiles import integers, placed

# The table of a thread: how many chains there are, where in memory their progress lies, whether
# another thread has begun, and where it has room for a tile; the chains in the order in which it
# looks for what it may do; and of each chain
CHAINS, PROGRESS, LATE, SCRATCH, ORDER = range(5)
# its first move, how many a part has, how many parts there are; how many chains of those in front
# must be done before, and after which one it comes (or NONE), whether part by part, and after which
# other one; whether who does a part should do the next one, too.
FIRST_MOVE, EACH, PARTS, BEFORE, AFTER, ALIGNED, ALSO, STAYS = range(8)
SIZE = 8
NONE = -1
# Progress: first whether to stop; then of each chain whether a thread has it, and how many parts
# are done; in cache lines of its own.
LINE = 128  # Bytes.
PARTS_DONE = 8
CHANGED, DONE, WAITING = range(3)  # What may come of a run.
PATIENCE = 4000  # Looks after which a thread lets others run: a tenth of a millisecond.


def _seen(typing, address):
    """The number at an address, and all that was written before it was."""
    from numba import types

    def generate(context, builder, signature, values):
        pointer = builder.inttoptr(values[0], context.get_value_type(types.intp).as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.intp(address), generate


def _tell(typing, address, number):
    """Write a number for others, who then see all that was written before."""
    from numba import types

    def generate(context, builder, signature, values):
        whole = context.get_value_type(types.intp)
        pointer = builder.inttoptr(values[0], whole.as_pointer())
        value = context.cast(builder, values[1], signature.args[1], types.intp)
        builder.store_atomic(value, pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(address, number), generate


def _taken(typing, address):
    """Write 1 for the 0 at an address; whether it was 0."""
    from numba import types

    def generate(context, builder, signature, values):
        whole = context.get_value_type(types.intp)
        pointer = builder.inttoptr(values[0], whole.as_pointer())
        both = builder.cmpxchg(pointer, whole(0), whole(1), "acq_rel", "acquire")
        return builder.extract_value(both, 1)

    return types.boolean(address), generate


seen, tell, taken = map(Instruction, (_seen, _tell, _taken))


@part
def ready(chains, progress, c, done):
    """Whether a chain's part may be done, so many being done."""
    line = integers(chains + 8 * SIZE * c)
    if done >= line[PARTS]:
        return False
    for i in range(line[BEFORE]):
        if seen(progress + LINE * i + PARTS_DONE) < integers(chains + 8 * SIZE * i)[PARTS]:
            return False
    if line[AFTER] >= 0:
        least = done + 1
        if line[ALIGNED] == 0:
            least = integers(chains + 8 * SIZE * line[AFTER])[PARTS]
        if seen(progress + LINE * line[AFTER] + PARTS_DONE) < least:
            return False
    other = line[ALSO]
    if other >= 0:
        return (
            seen(progress + LINE * other + PARTS_DONE) >= integers(chains + 8 * SIZE * other)[PARTS]
        )
    return True


@part
def found(order, count, chains, progress):
    """A chain of which a part may be done, now taken; whether a thread should go on with it, as all
    that it would rather do is done; and how many chains are not done.

    The chain is -1 if there is none.
    """
    left = 0
    for i in range(count):
        c = order[i]
        own = progress + LINE * c
        done = seen(own + PARTS_DONE)
        line = integers(chains + 8 * SIZE * c)
        if done >= line[PARTS]:
            continue
        left += 1
        if ready(chains, progress, c, done) and taken(own):
            if ready(chains, progress, c, seen(own + PARTS_DONE)):
                return c, line[STAYS] != 0 and left == 1, left
            tell(own, 0)
    return -1, False, left


@part
def turn(table, memory, chain, stays):
    """The chain of which a thread is to do the next part, and whether it should go on with it then;
    or -1 - DONE, -1 - CHANGED or -1 - WAITING.

    Args:
        table: the thread's.
        memory: its address.
        chain, stays: what this gave the last time, -1 at first.
    """
    count, late = table[CHAINS], table[LATE] != 0
    progress = memory + 4 * table[PROGRESS] + LINE
    order = integers(placed(table) + 8 * ORDER)
    chains = placed(table) + 8 * (ORDER + count)
    if chain >= 0:
        own = progress + LINE * chain
        done = seen(own + PARTS_DONE) + 1
        more = stays and ready(chains, progress, chain, done)
        tell(own + PARTS_DONE, done)
        if more:
            return chain, stays
        tell(own, 0)
    for _ in range(PATIENCE):
        if seen(progress - LINE):
            return -1 - CHANGED, False
        chain, stays, left = found(order, count, chains, progress)
        if chain >= 0:
            return chain, stays
        if left == 0 or (late and left < 3):
            return -1 - DONE, False  # Of what is left, one thread can do no more than one.
    return -1 - WAITING, False


@part
def part_of(table, memory, chain):
    """The first and the last move of a chain's next part."""
    line = integers(placed(table) + 8 * (ORDER + table[CHAINS] + SIZE * chain))
    progress = memory + 4 * table[PROGRESS] + LINE * (1 + chain)
    first = line[FIRST_MOVE] + line[EACH] * seen(progress + PARTS_DONE)
    return first, first + line[EACH]


@part
def stop(table, memory):
    """Say that nothing counts."""
    tell(memory + 4 * table[PROGRESS], 1)
