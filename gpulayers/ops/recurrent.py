"""Whole sequences of SimpleRNN, LSTM and GRU; `over_time` has those of any cell.

The three cells have gradients of their own, which keep only the states of all steps: from them
the gates of all steps come again at once, as one product.  Axes: x (N, steps, D), states (N, U).
"""

from __future__ import annotations

from ..arrays import Abstract, dtypes, namespace, primitive
from .dense import FUSED, before_activation
from .over_time import seen

ACTIVATIONS = {None: lambda x: x, **FUSED}  # What the three cells may apply, by name.


# What the three cells share.


def _projected(xp, x, kernel, bias):
    """The inputs' part of all steps, in one product."""
    z = xp.matmul(x, kernel)
    return z if bias is None else z + bias


def _split(z, parts):
    size = z.shape[-1] // parts
    return [z[..., i * size : (i + 1) * size] for i in range(parts)]


def _masks(xp, mask, steps):
    """For each step (N, 1), or None if all are to be computed."""
    return [None] * steps if mask is None else xp.unstack(xp.expand_dims(mask, axis=-1), axis=1)


def _kept(xp, mask, new, before):
    return new if mask is None else xp.where(mask, new, before)


def _parted(xp, mask, g):
    """The gradient `g` of a state: the part for the new state, and that for the kept one."""
    if mask is None:
        return g, None
    zeros = xp.zeros_like(g)
    return xp.where(mask, g, zeros), xp.where(mask, zeros, g)


def _plus(a, b):
    return a if b is None else a + b


def _before(xp, first, states):
    """The states before each step."""
    return xp.concat([xp.expand_dims(first, axis=1), states[:, :-1, :]], axis=1)


def _rows(xp, x):
    return xp.reshape(x, (-1, x.shape[-1]))


def _product_gradient(xp, x, g):
    """The gradient of a matrix that took `x` to what has the gradient `g`, over all steps."""
    return xp.matmul(xp.matrix_transpose(_rows(xp, x)), _rows(xp, g))


def _sum(xp, g):
    return xp.sum(g, axis=(0, 1))


def _backwards(xp, *arrays):
    """The slices of the steps of arrays, side by side, from the last to the first."""
    return list(zip(*(xp.unstack(a, axis=1) for a in arrays), strict=True))[::-1]


def _state_shape(x, state):
    return Abstract((x.shape[0], x.shape[1], state.shape[-1]), dtypes.promote(x, state))


# The cells.


@primitive
def simple_rnn(x, h, kernel, recurrent_kernel, bias=None, mask=None, *, activation="tanh"):
    """The states h = activation(x @ kernel + bias + h @ recurrent_kernel) of all steps.

    Args:
        x: (N, steps, D).
        h: (N, U), the state before the first step.
        kernel, recurrent_kernel, bias: (D, U), (U, U), (U,) or None.
        mask: (N, steps), False where a state stays as it is; None for none.
        activation: a key of `ACTIVATIONS`.

    Gives (N, steps, U).  Elman, "Finding structure in time", Cognitive Science 1990.
    """
    xp, states, act, x = namespace(x, kernel), [], ACTIVATIONS[activation], seen(x, mask)
    z = xp.unstack(_projected(xp, x, kernel, bias), axis=1)
    for z_t, m in zip(z, _masks(xp, mask, len(z)), strict=True):
        h = _kept(xp, m, act(z_t + xp.matmul(h, recurrent_kernel)), h)
        states.append(h)
    return xp.stack(states, axis=1)


@simple_rnn.shape
def _(x, h, *further, **options):
    return _state_shape(x, h)


@simple_rnn.vjp
def _(xp, out, x, h, kernel, recurrent_kernel, bias=None, mask=None, *, activation="tanh"):
    x = seen(x, mask)

    def pullback(g):
        turned, dh, dz = xp.matrix_transpose(recurrent_kernel), xp.zeros_like(h), []
        masks = _masks(xp, mask, x.shape[1])[::-1]
        for (g_t, h_t), m in zip(_backwards(xp, g, out), masks, strict=True):
            own, kept = _parted(xp, m, dh + g_t)
            dz.append(before_activation(xp, own, h_t, activation))
            dh = _plus(xp.matmul(dz[-1], turned), kept)
        dz = xp.stack(dz[::-1], axis=1)
        return (
            xp.matmul(dz, xp.matrix_transpose(kernel)),
            dh,
            _product_gradient(xp, x, dz),
            _product_gradient(xp, _before(xp, h, out), dz),
            None if bias is None else _sum(xp, dz),
            None,
        )

    return pullback


@primitive
def lstm(
    x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *,
    activation="tanh", recurrent_activation="sigmoid",
):  # fmt: skip
    """The states (h, c) of a long short-term memory at all steps.

    With z = x @ kernel + h @ recurrent_kernel + bias in four parts i, f, n, o:
    c = s(f) c + s(i) a(n), h = s(o) a(c), where a is the activation and s the recurrent one.

    Args:
        x: (N, steps, D).
        h, c: (N, U), the states before the first step.
        kernel, recurrent_kernel, bias: (D, 4 U), (U, 4 U), (4 U,) or None.
        mask: (N, steps), False where the states stay as they are; None for none.
        activation, recurrent_activation: keys of `ACTIVATIONS`.

    Gives two arrays (N, steps, U).  Hochreiter and Schmidhuber, "Long short-term memory", Neural
    Computation 1997; the gate f is of Gers, Schmidhuber, Cummins, "Learning to forget", 2000.
    """
    xp, outputs, carries, x = namespace(x, kernel), [], [], seen(x, mask)
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    z = xp.unstack(_projected(xp, x, kernel, bias), axis=1)
    for z_t, m in zip(z, _masks(xp, mask, len(z)), strict=True):
        i, f, n, o = _split(z_t + xp.matmul(h, recurrent_kernel), 4)
        carry = gate(f) * c + gate(i) * act(n)
        h, c = _kept(xp, m, gate(o) * act(carry), h), _kept(xp, m, carry, c)
        outputs.append(h)
        carries.append(c)
    return xp.stack(outputs, axis=1), xp.stack(carries, axis=1)


@lstm.shape
def _(x, h, c, *further, **options):
    return _state_shape(x, h), _state_shape(x, c)


@lstm.vjp
def _(
    xp, out, x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *,
    activation="tanh", recurrent_activation="sigmoid",
):  # fmt: skip
    act, gate, x = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation], seen(x, mask)

    def pullback(grads):
        h_before, c_before = _before(xp, h, out[0]), _before(xp, c, out[1])
        z = _projected(xp, x, kernel, bias) + xp.matmul(h_before, recurrent_kernel)
        i, f, n, o = _split(z, 4)
        i, f, n, o = gate(i), gate(f), act(n), gate(o)
        a = act(f * c_before + i * n)

        def before(g, of, name=recurrent_activation):
            return before_activation(xp, g, of, name)

        # What the gradient of a state is multiplied by on its way into z, and into the carry.
        through_c = [before(n, i), before(c_before, f), before(i, n, activation)]
        steps = _backwards(
            xp, *grads, xp.concat(through_c, axis=-1), before(a, o), before(o, a, activation), f
        )
        turned, dz = xp.matrix_transpose(recurrent_kernel), []
        dh, dc, masks = xp.zeros_like(h), xp.zeros_like(c), _masks(xp, mask, x.shape[1])[::-1]
        for (g_h, g_c, into_ifn, into_o, into_c, f_t), m in zip(steps, masks, strict=True):
            own_h, kept_h = _parted(xp, m, dh + g_h)
            own_c, kept_c = _parted(xp, m, dc + g_c)
            own_c = own_c + own_h * into_c
            three = xp.concat([own_c, own_c, own_c], axis=-1) * into_ifn
            dz.append(xp.concat([three, own_h * into_o], axis=-1))
            dh, dc = _plus(xp.matmul(dz[-1], turned), kept_h), _plus(own_c * f_t, kept_c)
        dz = xp.stack(dz[::-1], axis=1)
        return (
            xp.matmul(dz, xp.matrix_transpose(kernel)),
            dh,
            dc,
            _product_gradient(xp, x, dz),
            _product_gradient(xp, h_before, dz),
            None if bias is None else _sum(xp, dz),
            None,
        )

    return pullback


@primitive
def lstm_step(
    seen, weighed, carry, *, axis=-1, activation="tanh", recurrent_activation="sigmoid"
):  # fmt: skip
    """The state and the carry of a long short-term memory after one step, as in `lstm`.

    Args:
        seen, weighed: the inputs' and the state's part of z, with i, f, n, o behind each other
            along an axis.
        carry: the carry before; that axis is a quarter as long.
        axis: the last one, or 1.
        activation, recurrent_activation: keys of `ACTIVATIONS`.

    Gives two arrays of the carry's shape.
    """
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    i, f, n, o = _quarters(seen + weighed, axis)
    carry = gate(f) * carry + gate(i) * act(n)
    return gate(o) * act(carry), carry


def _quarters(z, axis):
    size = z.shape[axis] // 4
    parts = [slice(i * size, (i + 1) * size) for i in range(4)]
    return [z[:, part, ...] if axis == 1 else z[..., part] for part in parts]


@lstm_step.shape
def _(seen, weighed, carry, **options):
    new = Abstract(carry.shape, dtypes.promote(seen, carry))
    return new, new


@lstm_step.vjp
def _(
    xp, out, seen, weighed, carry, *,
    axis=-1, activation="tanh", recurrent_activation="sigmoid",
):  # fmt: skip
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]

    def pullback(grads):
        g_state, g_carry = grads
        i, f, n, o = _quarters(seen + weighed, axis)
        i, f, n, o, a = gate(i), gate(f), act(n), gate(o), act(out[1])
        dc = g_carry + before_activation(xp, g_state * o, a, activation)
        dz = [
            before_activation(xp, g, of, name)
            for g, of, name in (
                (dc * n, i, recurrent_activation),
                (dc * carry, f, recurrent_activation),
                (dc * i, n, activation),
                (g_state * a, o, recurrent_activation),
            )
        ]
        dz = xp.concat(dz, axis=axis)
        return dz, dz, dc * f

    return pullback


@primitive
def gru(
    x, h, kernel, recurrent_kernel, bias=None, mask=None, *,
    activation="tanh", recurrent_activation="sigmoid", reset_after=True,
):  # fmt: skip
    """The states of a gated recurrent unit at all steps.

    With y = x @ kernel + input bias in three parts z, r, n, and likewise the recurrent part v of
    h: z = s(y_z + v_z), r = s(y_r + v_r), h = z h + (1 - z) a(y_n + r v_n), where a is the
    activation and s the recurrent one.  Unless `reset_after`, r v_n is (r h) @ recurrent_kernel_n,
    as in the paper.

    Args:
        x: (N, steps, D).
        h: (N, U), the state before the first step.
        kernel, recurrent_kernel: (D, 3 U), (U, 3 U).
        bias: (2, 3 U) of inputs and of states if `reset_after`, else (3 U,); None for none.
        mask: (N, steps), False where the state stays as it is; None for none.
        activation, recurrent_activation: keys of `ACTIVATIONS`.

    Gives (N, steps, U).  Cho et al., "Learning phrase representations using RNN encoder-decoder
    for statistical machine translation", 2014, arXiv:1406.1078.
    """
    xp, states, x = namespace(x, kernel), [], seen(x, mask)
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    of_x, of_h = _gru_biases(bias, reset_after)
    y = xp.unstack(_projected(xp, x, kernel, of_x), axis=1)
    for y_t, m in zip(y, _masks(xp, mask, len(y)), strict=True):
        z, _, n, _ = _gru_gates(xp, y_t, h, recurrent_kernel, of_h, act, gate, reset_after)
        h = _kept(xp, m, z * h + (1 - z) * n, h)
        states.append(h)
    return xp.stack(states, axis=1)


def _gru_biases(bias, reset_after):
    if bias is None or not reset_after:
        return bias, None
    return bias[0, :], bias[1, :]


def _gru_gates(xp, y, h, recurrent_kernel, bias, act, gate, reset_after):
    """The gates z, r, n, and what r is multiplied by, for one step or for all."""
    size = h.shape[-1]
    if reset_after:
        v_z, v_r, v_n = _split(_projected(xp, h, recurrent_kernel, bias), 3)
    else:
        v_z, v_r = _split(xp.matmul(h, recurrent_kernel[:, : 2 * size]), 2)
    y_z, y_r, y_n = _split(y, 3)
    z, r = gate(y_z + v_z), gate(y_r + v_r)
    if reset_after:
        return z, r, act(y_n + r * v_n), v_n
    return z, r, act(y_n + xp.matmul(r * h, recurrent_kernel[:, 2 * size :])), h


@gru.shape
def _(x, h, *further, **options):
    return _state_shape(x, h)


@gru.vjp
def _(
    xp, out, x, h, kernel, recurrent_kernel, bias=None, mask=None, *,
    activation="tanh", recurrent_activation="sigmoid", reset_after=True,
):  # fmt: skip
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    of_x, of_h = _gru_biases(bias, reset_after)
    size, x = h.shape[-1], seen(x, mask)

    def pullback(g):
        h_before, y = _before(xp, h, out), _projected(xp, x, kernel, of_x)
        z, r, n, reset = _gru_gates(xp, y, h_before, recurrent_kernel, of_h, act, gate, reset_after)
        into_z = before_activation(xp, h_before - n, z, recurrent_activation)
        into_n = before_activation(xp, 1 - z, n, activation)
        into_r = before_activation(xp, reset, r, recurrent_activation)
        turned, dh, dy, dv = xp.matrix_transpose(recurrent_kernel), xp.zeros_like(h), [], []
        masks = _masks(xp, mask, x.shape[1])[::-1]
        steps = _backwards(xp, g, into_z, into_n, into_r, z, r)
        for (g_t, z_to, n_to, r_to, z_t, r_t), m in zip(steps, masks, strict=True):
            own, kept = _parted(xp, m, dh + g_t)
            dz, dn = own * z_to, own * n_to
            if reset_after:
                dr, at_h = dn * r_to, dn * r_t
                dv.append(xp.concat([dz, dr, at_h], axis=-1))
                back = xp.matmul(dv[-1], turned)
            else:
                at_reset = xp.matmul(dn, turned[2 * size :, :])
                dr = at_reset * r_to
                zr = xp.concat([dz, dr], axis=-1)
                back = at_reset * r_t + xp.matmul(zr, turned[: 2 * size, :])
            dy.append(xp.concat([dz, dr, dn], axis=-1))
            dh = _plus(own * z_t + back, kept)
        dy = xp.stack(dy[::-1], axis=1)
        d_bias = None
        if reset_after:
            dv = xp.stack(dv[::-1], axis=1)
            d_recurrent = _product_gradient(xp, h_before, dv)
            if bias is not None:
                d_bias = xp.stack([_sum(xp, dy), _sum(xp, dv)])
        else:
            zr, dn = dy[:, :, : 2 * size], dy[:, :, 2 * size :]
            parts = [(h_before, zr), (r * h_before, dn)]
            d_recurrent = xp.concat([_product_gradient(xp, *p) for p in parts], axis=-1)
            if bias is not None:
                d_bias = _sum(xp, dy)
        d_x = xp.matmul(dy, xp.matrix_transpose(kernel))
        return d_x, dh, _product_gradient(xp, x, dy), d_recurrent, d_bias, None

    return pullback
