"""SimpleRNN of NumPy arrays by compiled loops; without them, the reference does it."""

from __future__ import annotations

from ..jit import simple_rnn as loops
from ..ops.recurrent import simple_rnn
from .recurrent_loops import Loops, worth
from .steps import fits


@simple_rnn.on("numpy")
def _(x, h, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, activation="tanh"):
    arrays = h, kernel, recurrent_kernel, bias
    same = fits(x) and all(a is None or a.dtype == x.dtype for a in arrays)
    if activation != "tanh" or not same or not worth(x, h, SimpleRnnLoops.gates):
        return NotImplemented
    run = SimpleRnnLoops(x, kernel, recurrent_kernel, bias, mask)
    (out,), _kept = run.run((h,), needs is not None)
    if needs is None:
        return out

    def pullback(g):
        wanted = needs[0], needs[2], needs[3], bias is not None and needs[4], False
        *found, _, (dh,) = run.gradients([], [out], (h,), (g,), wanted)
        return found[0], dh, *found[1:], None

    return out, pullback


class SimpleRnnLoops(Loops):
    """The steps of sequences by compiled loops, whose gradient needs the states alone."""

    gates, loops, keeps = 1, loops, False

    def seen_back(self, kept, outputs, before):
        return [outputs[0]]
