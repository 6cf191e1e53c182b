"""Label sequences from the results of connectionist temporal classification.

Layouts: B batch, W paths that a search keeps, C classes, T steps.  All is in logarithms.
Source: A. L. Maas, A. Y. Hannun, D. Jurafsky, A. Y. Ng, First-pass large vocabulary continuous
speech recognition using bi-directional recurrent DNNs, 2014, arXiv:1408.2873, algorithm 1.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from .calling import array_function
from .softmax import log_softmax

__all__ = ["ctc_decode"]

NONE = -1  # What stands behind the last label.
FACTOR = 6364136223846793005  # Of the numbers that tell paths apart (Knuth's, modulo 2**64).


@array_function("inputs", "sequence_lengths", computes=False)
def ctc_decode(
    inputs,
    sequence_lengths,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
):
    """The label sequences that logits stand for, and how likely they are.

    Args:
        inputs: logits of shape (batch, steps, classes).
        sequence_lengths: how many steps count, of shape (batch,).
        strategy: "greedy", the labels of the largest logits; or "beam_search", the most probable
            sequences of labels, over all their alignments.
        beam_width: how many sequences a search keeps from step to step.
        top_paths: how many it gives; no more than `beam_width`.
        merge_repeated: whether a label that follows itself without a blank counts once, if greedy.
            A search always does so.
        mask_index: the class that stands for a blank; the last one for None.

    Returns labels of shape (paths, batch, steps), int32, -1 behind the last; and for each sequence,
    of shape (batch, paths), its log-probability, or, if greedy, minus the sum of its logits. Raises
    ValueError for other shapes or strategies.
    """
    if inputs.ndim != 3 or sequence_lengths.shape != inputs.shape[:1]:
        raise ValueError(
            "ctc_decode: expected logits (batch, steps, classes) and a length for each of the "
            f"batch, got the shapes {inputs.shape} and {sequence_lengths.shape}."
        )
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(
            f"ctc_decode: strategy must be 'greedy' or 'beam_search', got {strategy!r}."
        )
    if not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"ctc_decode: top_paths must be in 1..{beam_width}, the beam_width, got {top_paths}."
        )
    blank = range(inputs.shape[-1])[-1 if mask_index is None else mask_index]
    if dtypes.name(inputs.dtype) not in ("float32", "float64"):
        inputs = cast(inputs, "float32")
    xp = namespace(inputs)
    steps = xp.arange(inputs.shape[1], dtype=sequence_lengths.dtype)
    live = steps < xp.expand_dims(sequence_lengths, axis=-1)
    if strategy == "greedy":
        return _greedy(xp, inputs, live, blank, merge_repeated)
    return _search(xp, inputs, live, blank, beam_width, top_paths)


def _greedy(xp, inputs, live, blank, merge_repeated):
    labels = xp.where(live, xp.astype(xp.argmax(inputs, axis=-1), xp.int32), blank)
    score = xp.sum(xp.where(live, xp.max(inputs, axis=-1), xp.zeros_like(inputs[:, :, 0])), axis=1)
    shown = labels != blank
    if merge_repeated:
        new = labels[:, 1:] != labels[:, :-1]
        shown = shown & xp.concat([xp.ones_like(shown[:, :1]), new], axis=1)
    order = xp.argsort(xp.astype(~shown, xp.int32), axis=1, stable=True)
    labels = xp.take_along_axis(xp.where(shown, labels, NONE), order, axis=1)
    return xp.expand_dims(labels, axis=0), -xp.expand_dims(score, axis=-1)


class _Paths(NamedTuple):
    """The W paths of each of a batch."""

    labels: object  # (B, W, T)
    length: object  # (B, W)
    last: object  # (B, W): the last label.
    name: object  # (B, W): a number for the labels.
    stem: object  # (B, W): that of all labels but the last.
    blank: object  # (B, W): the log-probability of all alignments that end with a blank,
    label: object  # (B, W): and of those that end with the last label.


def _search(xp, inputs, live, blank, width, top_paths):
    inputs = log_softmax(inputs)
    paths = _start(xp, inputs, width)
    for x, counts in zip(xp.unstack(inputs, axis=1), xp.unstack(live, axis=1), strict=True):
        further = _step(xp, paths, x, blank)
        paths = _Paths(
            *(
                xp.where(xp.reshape(counts, (-1,) + (1,) * (new.ndim - 1)), new, old)
                for new, old in zip(further, paths, strict=True)
            )
        )
    score = xp.logaddexp(paths.blank, paths.label)
    order = xp.argsort(score, axis=1, descending=True, stable=True)[:, :top_paths]
    labels = _rows(xp, paths.labels, order)
    return xp.permute_dims(labels, (1, 0, 2)), xp.take_along_axis(score, order, axis=1)


def _start(xp, inputs, width):
    """The path without labels, and others that nothing leads to."""
    batch, steps, _ = inputs.shape
    never = xp.full_like(inputs[:, :1, 0], -float("inf"))
    others = xp.broadcast_to(never, (batch, width - 1))
    zeros = xp.zeros((batch, width), dtype=xp.int64, device=inputs.device)
    return _Paths(
        labels=xp.full((batch, width, steps), NONE, dtype=xp.int32, device=inputs.device),
        length=zeros,
        last=zeros + NONE,
        name=zeros,
        stem=zeros + NONE,
        blank=xp.concat([xp.zeros_like(never), others], axis=1),
        label=xp.broadcast_to(never, (batch, width)),
    )


def _step(xp, paths, x, blank):
    """The W likeliest of all paths after one more step, whose log-probabilities are `x` (B, C)."""
    (batch, classes), width = x.shape, paths.length.shape[1]
    total, never = xp.logaddexp(paths.blank, paths.label), -float("inf")
    each = xp.arange(classes, dtype=xp.int64, device=x.device)
    is_last = each == xp.expand_dims(paths.last, axis=-1)  # (B, W, C)
    longer = xp.where(is_last, xp.expand_dims(paths.blank, axis=-1), xp.expand_dims(total, axis=-1))
    longer = xp.where(each == blank, never, longer + xp.expand_dims(x, axis=1))
    last = xp.maximum(paths.last, 0)
    as_label = paths.label + xp.take_along_axis(x, last, axis=1)
    # A path may also be the longer form of one that is kept, and then counts once.
    stems = xp.expand_dims(paths.stem, axis=2) == xp.expand_dims(paths.name, axis=1)
    stems = stems & xp.expand_dims(xp.isfinite(total), axis=1)
    stem = xp.argmax(xp.astype(stems, xp.int32), axis=2)
    from_stem = xp.take_along_axis(_rows(xp, longer, stem), xp.expand_dims(last, axis=-1), axis=2)
    from_stem = xp.where(xp.any(stems, axis=2), xp.squeeze(from_stem, axis=2), never)
    grown = xp.logaddexp(as_label, from_stem)
    met = xp.astype(xp.matrix_transpose(stems), x.dtype) @ xp.astype(is_last, x.dtype)
    longer = xp.reshape(xp.where(met > 0, never, longer), (batch, -1))
    rest = total + x[:, blank : blank + 1]
    found = xp.concat([xp.logaddexp(rest, grown), longer], axis=1)
    order = xp.argsort(found, axis=1, descending=True, stable=True)[:, :width]
    stays, ahead = order < width, xp.maximum(order - width, 0)
    source = xp.where(stays, order, ahead // classes)
    new = ahead % classes

    def kept(values):
        return xp.take_along_axis(values, source, axis=1)

    length, name = kept(paths.length), kept(paths.name)
    here = xp.arange(paths.labels.shape[2], dtype=xp.int64, device=x.device)
    here = (here == xp.expand_dims(length, axis=-1)) & ~xp.expand_dims(stays, axis=-1)
    label = xp.astype(xp.expand_dims(new, axis=-1), xp.int32)
    return _Paths(
        labels=xp.where(here, label, _rows(xp, paths.labels, source)),
        length=xp.where(stays, length, length + 1),
        last=xp.where(stays, kept(paths.last), new),
        name=xp.where(stays, name, (name + new + 1) * FACTOR),
        stem=xp.where(stays, kept(paths.stem), name),
        blank=xp.where(stays, kept(rest), never),
        label=xp.where(stays, kept(grown), xp.take_along_axis(found, order, axis=1)),
    )


def _rows(xp, x, index):
    """Rows of each of a batch: x (B, W, D) at index (B, V)."""
    index = xp.broadcast_to(xp.expand_dims(index, axis=-1), (*index.shape, x.shape[2]))
    return xp.take_along_axis(x, index, axis=1)
