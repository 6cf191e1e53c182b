"""Arrays and lists as indices: as in NumPy, on recorded, abstract and symbolic arrays."""

from __future__ import annotations

import numpy as np
import pytest
from checks import check_shape
from stand_in_arrays import host_copies

import gpulayers as gl
from gpulayers import layers, saving, tree
from gpulayers.arrays import Abstract, KerasTensor, Tape, Variable, infer, namespace, plain

rng = np.random.default_rng(3)
X = rng.normal(size=(4, 5, 6, 3))
ROW, COLUMN = np.array([0, -1, 2, 2]), np.array([[0], [3]])
ALL = slice(None)
MASK = np.array([True, False, True, True])
KEYS = {
    "one": ROW,
    "short integers": ROW.astype("int8"),
    "unsigned": np.array([3, 0], "uint8"),
    "list": [0, -2],
    "no index": [],
    "lists of nothing": [[], []],
    "last axis": (..., np.array([2, 0, 2, 1])),
    "axes of its own": (ALL, COLUMN),
    "neighbours": (ALL, ROW, ROW, slice(None, None, -1)),
    "broadcast": (slice(1, None), COLUMN, ROW, None, ...),
    "apart": (ROW, ALL, ROW),
    "apart and broadcast": (ALL, COLUMN, slice(1, 4), np.array([[1, 2, 0]])),
    "apart by no axis": (ALL, ALL, ROW, ..., np.array([2, 0, 2, 1])),
    "integer beside": (ALL, 1, ROW),
    "integer apart": (-1, ALL, ROW),
    "all axes": (ROW, ROW, ROW, np.array([2, 0, 2, 1])),
    "new axes": (None, ROW, ..., None, 2),
    "no axes": (ALL, np.array(2)),
    "mask": MASK,
    "mask beside a slice": (slice(1, 3), ..., np.array([False, True, True])),
    "mask of two axes": (ALL, X[0, :, :, 0] > 0.2),
    "mask and indices": (MASK, ALL, np.array([0, 1, -1])),
}
EVERY_KEY = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


@EVERY_KEY
def test_values_and_gradient(key, xp):
    given = tree.map_structure(lambda k: xp.asarray(k) if isinstance(k, np.ndarray) else k, key)
    integers = np.asarray(key, np.int64) if isinstance(key, list) else key
    with Tape([]) as outer, Tape([]) as tape:
        x = outer.watch(xp.asarray(X))
        inner = tape.watch(x)
        y = inner[given]
        loss = namespace(y).sum(y**3)
    np.testing.assert_array_equal(xp.to_numpy(plain(y)), X[integers])
    with outer:
        slope = tape.gradient(loss, inner)
        total = namespace(slope).sum(slope)
    expected = np.zeros_like(X)
    np.add.at(expected, integers, 3 * X[integers] ** 2)
    np.testing.assert_allclose(xp.to_numpy(plain(slope)), expected, rtol=1e-12)
    expected = np.zeros_like(X)
    np.add.at(expected, integers, 6 * X[integers])
    np.testing.assert_allclose(xp.to_numpy(outer.gradient(total, x)), expected, rtol=1e-12)


@EVERY_KEY
def test_shape(key):
    check_shape(lambda x: x[key], X)


def test_shapes_where_both_are_only_described():
    x = KerasTensor((None, 5, 6))
    indices = KerasTensor((None, 2), "int32")
    assert x[indices].shape == (None, 2, 5, 6)
    assert x[:, [0, 2, 4]].shape == (None, 3, 6)
    assert x[:, indices, 0].shape == (None, None, 2)
    assert infer(lambda x: x[[1000]], Abstract((None, 3))).shape == (1, 3)  # Of any size.
    mask = np.ones(700, bool)
    assert infer(lambda x: x[mask], Abstract((None, 3))).shape == (700, 3)


def test_variables_by_recorded_indices():
    class Table(gl.Layer):
        def build(self, input_shape):
            self.rows = self.add_weight((10, 4), "uniform", name="rows")

        def call(self, inputs):
            return self.rows[inputs % 10, :2]

    ids = rng.integers(0, 20, (6, 7)).astype("int32")
    inputs = gl.Input((7,), dtype="int32")
    layer = Table()
    outputs = layer(inputs)
    assert outputs.shape == (None, 7, 2)
    model = gl.Model(inputs, outputs)
    np.testing.assert_array_equal(model(ids), layer.get_weights()[0][ids % 10, :2])
    with Tape() as tape:
        y = model(tape.constant(ids))
        loss = namespace(y).sum(y)
    counts = np.bincount(ids.ravel() % 10, minlength=10)[:, None] * [1.0, 1, 0, 0]
    np.testing.assert_allclose(tape.gradient(loss, layer.rows), counts)
    assert Variable(X)[ROW].shape == X[ROW].shape


def test_models_and_files(tmp_path):
    inputs = gl.Input((5, 4))
    outputs = layers.Dense(2)(inputs[:, np.array([0, 2, 4])]), inputs[..., [3, 0]]
    model = gl.Model(inputs, outputs)
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    np.testing.assert_array_equal(model(x)[1], x[..., [3, 0]])
    model.save(tmp_path / "picked.keras")
    same = saving.load_model(tmp_path / "picked.keras")
    for a, b in zip(model(x), same(x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (np.array([0, 4]), "the index 4 is out of range for 4 elements"),
        ((ALL, [-6]), "the index -6 is out of range for 5 elements"),
        ((np.int64(7), ALL, [0]), "the index 7 is out of range for 4 elements"),
        ((7, ALL, [0]), "the index 7 is out of range for 4 elements"),
        (np.array([0.5]), "of integers or booleans, got the dtype float64"),
        ((ROW,) * 5, "5 indices for an array of 4 axes"),
        (np.array([True, False]), "the mask has 2 elements along an axis of 4"),
    ],
)
def test_bad_indices(key, message):
    with Tape([]) as tape:
        x = tape.watch(X)
        with pytest.raises(IndexError, match=message):
            x[key]


def test_masks_that_are_not_known_are_refused():
    with pytest.raises(TypeError, match="depends on the values of the mask"):
        infer(lambda x: x[x > 0], Abstract((3,)))
    x = KerasTensor((None, 3))
    with pytest.raises(TypeError, match="ops.where"):
        x[x > 0]


@pytest.mark.parametrize("key", [(ALL, ROW), (ROW, ALL, COLUMN), (0, ALL, [1, -1])])
def test_on_a_gpu_without_waiting(key, cupy):
    given = tuple(cupy.asarray(k) if isinstance(k, np.ndarray) else k for k in key)
    before = len(host_copies)
    with Tape([]) as tape:
        x = tape.watch(cupy.asarray(X))
        y = x[given]
        loss = namespace(y).sum(y * y)
    slope = tape.gradient(loss, x)
    assert len(host_copies) == before
    expected = np.zeros_like(X)
    np.add.at(expected, key, 2 * X[key])
    np.testing.assert_allclose(slope.get(), expected, rtol=1e-12)
