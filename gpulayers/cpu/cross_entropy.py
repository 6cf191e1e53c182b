"""Cross-entropies of NumPy arrays, which keep no more than probabilities for their gradient."""

from __future__ import annotations

import numpy as np

from .. import config
from ..ops import cross_entropy as ops
from ..ops.cross_entropy import class_labels, require_axis, require_equal_shapes
from .activation import ONE, fits, sigmoid_of, softplus_of


def _are_arrays(target, output):
    return type(output) is np.ndarray and fits(output) and type(target) is np.ndarray


@ops.sparse_categorical_crossentropy.on("numpy")
def _(target, output, from_logits=False, axis=-1, *, needs=None):
    if type(output) is not np.ndarray or not fits(output) or (needs and needs[0]):
        return NotImplemented
    axis = require_axis("sparse_categorical_crossentropy", output, axis)
    labels = class_labels(target, output, axis)
    shape, classes = labels.shape, output.shape[axis]
    if axis != output.ndim - 1:
        output = np.moveaxis(output, axis, -1)
    rows = output.reshape(-1, classes)
    labels = labels.reshape(-1)
    _require_classes(labels, classes)
    at = (np.arange(labels.size), labels)
    loss, pullback = (_of_logits if from_logits else _of_probabilities)(rows, at, needs)
    loss = loss.reshape(shape)
    if needs is None:
        return loss

    def back(g):
        d = pullback(g.reshape(-1)).reshape(*shape, classes)
        return None, d if axis == len(shape) else np.moveaxis(d, -1, axis)

    return loss, back


def _require_classes(labels, classes):
    if labels.size and labels.view(np.uint64).max() >= classes:  # Negative ones become huge.
        raise ValueError(
            "sparse_categorical_crossentropy: expected class numbers from 0 to "
            f"{classes - 1} in y_true, as y_pred has {classes} classes; got numbers from "
            f"{labels.min()} to {labels.max()}."
        )


def _of_logits(rows, at, needs):
    t = rows - np.maximum.reduce(rows, -1, None, None, True)
    picked = t[at]
    np.exp(t, t)
    total = np.add.reduce(t, -1, None, None, True)
    loss = np.log(total[:, 0])
    loss -= picked
    if needs is None:
        return loss, None
    t /= total

    def pullback(g):
        d = t * g[:, None]
        d[at] -= g
        return d

    return loss, pullback


def _of_probabilities(rows, at, needs):
    epsilon = config.epsilon()
    total = np.add.reduce(rows, -1)
    picked = rows[at]
    p = picked / total
    clipped = np.minimum(np.maximum(p, epsilon), 1 - epsilon)
    loss = np.log(clipped)
    np.negative(loss, loss)
    if needs is None:
        return loss, None

    def pullback(g):
        inside = p == clipped
        if not inside.all():
            g = g * inside
        d = np.empty(rows.shape, rows.dtype)
        d[:] = (g / total)[:, None]
        d[at] -= g / np.where(inside, picked, 1)
        return d

    return loss, pullback


@ops.categorical_crossentropy.on("numpy")
def _(target, output, from_logits=False, axis=-1, *, needs=None):
    if not from_logits or not _are_arrays(target, output) or (needs and needs[0]):
        return NotImplemented
    require_equal_shapes("categorical_crossentropy", target, output)
    axis = require_axis("categorical_crossentropy", output, axis)
    target = target.astype(output.dtype, copy=False)
    t = output - np.maximum.reduce(output, axis, None, None, True)
    loss = np.add.reduce(t * target, axis)
    np.exp(t, t)
    total = np.add.reduce(t, axis, None, None, True)
    weight = np.add.reduce(target, axis, None, None, True)
    loss = np.subtract((np.log(total) * weight).reshape(loss.shape), loss)
    if needs is None:
        return loss
    t *= weight / total

    def pullback(g):
        d = t - target
        d *= np.expand_dims(g, axis)
        return None, d

    return loss, pullback


@ops.binary_crossentropy.on("numpy")
def _(target, output, from_logits=False, *, needs=None):
    if not _are_arrays(target, output) or (needs and needs[0]):
        return NotImplemented
    require_equal_shapes("binary_crossentropy", target, output)
    target = target.astype(output.dtype, copy=False)
    if not from_logits:
        return _binary_of_probabilities(target, output, needs)
    loss = softplus_of(output)
    loss -= output * target
    if needs is None:
        return loss

    def pullback(g):
        d = sigmoid_of(output)
        d -= target
        d *= g
        return None, d

    return loss, pullback


def _binary_of_probabilities(target, output, needs):
    epsilon = config.epsilon()
    p = np.clip(output, epsilon, 1 - epsilon)
    loss = np.subtract(ONE, p)
    np.log(loss, loss)
    loss *= target - ONE
    loss -= target * np.log(p)
    if needs is None:
        return loss

    def pullback(g):
        d = p - target
        d /= p * (ONE - p)
        d *= p == output
        d *= g
        return None, d

    return loss, pullback
