"""Weights by themselves: where they stand in files, and what is said when they do not fit."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from saving.models import Scale, X, blocks, compiled, fit, graph, same, sequential

import gpulayers
from gpulayers import layers, models
from gpulayers.saving.weights import walk


def paths(model):
    return [path for path, _ in walk(model)]


def values_of(model):
    return [v.numpy() for v in [*model.weights, *model.optimizer.variables]]


# Paths.


def test_paths_of_a_stack():
    model = compiled()
    assert paths(model) == ["", "layers/dense", "layers/scale", "layers/dense_1", "optimizer"]


def test_paths_of_a_graph():
    assert paths(graph()) == [
        "",
        "layers/input_layer",
        "layers/input_layer_1",
        "layers/functional",
        "layers/functional/layers/dense",
        "layers/functional/layers/dense_1",
        "layers/sequential",
        "layers/sequential/layers/dense",
        "layers/sequential/layers/dense_1",
        "layers/concatenate",
    ]


def test_paths_of_attributes():
    assert paths(blocks()) == [
        "",
        "blocks/dense",
        "blocks/dense_1",
        "first",
        "layers/dense",  # Numbered among all, as Keras does: those before are known already.
        "layers/dense_4",
        "layers/dense_5",
    ]


class Parts(layers.Layer):
    """Layers behind properties, in nested containers, and twice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._dense = layers.Dense(2)
        self.twice = self._dense
        self.many = [[layers.Dense(2)], {"a": (layers.ReLU(), layers.Dense(2))}]
        self._hidden = layers.Dense(2)

    @property
    def shown(self):
        return self._hidden

    @property
    def broken(self):
        raise RuntimeError("not now")


def test_paths_in_a_layer():
    assert paths(Parts()) == [
        "",
        "many/container/dense",
        "many/container_1/container/re_lu",
        "many/container_1/container/dense",
        "shown",
        "twice",
    ]


def test_the_groups_of_a_file(tmp_path):
    model = compiled()
    fit(model, 1)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        assert file["layers/dense/vars"].attrs["name"] == "dense"
        np.testing.assert_array_equal(file["layers/dense_1/vars/0"], model.layers[2].kernel.numpy())
        assert file["optimizer/vars/0"][()] == 4
        assert file["optimizer/vars/0"].dtype == "int32"
        assert len(file["optimizer/vars"]) == len(model.optimizer.variables) == 11
        assert file["vars"].attrs["name"] == "sequential"


# There and back.


def test_weights_and_optimizer_come_back(tmp_path):
    model, other = compiled(1), compiled(2)
    fit(model, 2)
    fit(other, 1)
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    same(values_of(other), values_of(model))
    assert fit(other, 4, 2) == fit(model, 4, 2)


def test_weights_from_a_whole_model(tmp_path):
    model, other = sequential(), sequential()
    model.save(tmp_path / "m.keras")
    other.load_weights(tmp_path / "m.keras")
    same(other.get_weights(), model.get_weights())


def test_layers_too_have_files(tmp_path):
    layer, other = Scale(), Scale()
    for one in (layer, other):
        one(X)
    gpulayers.saving.save_weights(layer, tmp_path / "l.weights.h5")
    gpulayers.saving.load_weights(other, tmp_path / "l.weights.h5")
    same(other.get_weights(), layer.get_weights())


def test_an_optimizer_that_is_not_built_keeps_its_settings(tmp_path):
    model, other = compiled(), sequential()
    fit(model, 1)
    model.save_weights(tmp_path / "m.weights.h5")
    other.compile(gpulayers.optimizers.SGD(0.5), "mse")
    with pytest.warns(UserWarning, match="sgd: its state is not loaded: it has 2 variables"):
        other.load_weights(tmp_path / "m.weights.h5")
    assert float(other.optimizer.learning_rate) == 0.5
    same(other.get_weights(), model.get_weights())


class Counted(layers.Layer):
    """A layer that says itself what it saves."""

    def build(self, input_shape):
        self.total = self.add_weight((), "zeros", name="total")
        self.seen = 3

    def call(self, x):
        return x + self.total

    def save_own_variables(self, store):
        store["sum"] = self.total
        store["seen"] = self.seen

    def load_own_variables(self, store):
        self.total.assign(store["sum"])
        self.seen = int(store["seen"])


def test_own_ways_of_saving(tmp_path):
    def new():
        return models.Sequential([gpulayers.Input((4,)), Counted()])

    model, other = new(), new()
    model.layers[0].total.assign(2.5)
    model.layers[0].seen = 7
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    assert (float(other.layers[0].total), other.layers[0].seen) == (2.5, 7)


def test_a_correction_is_saved_merged(tmp_path):
    def new(**options):
        return models.Sequential([gpulayers.Input((4,)), layers.Dense(3, **options)])

    model, other = new(lora_rank=2), new()
    dense = model.layers[0]
    dense.lora_kernel_b.assign(np.ones((2, 3), "float32"))
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(other(X), model(X), rtol=1e-6)


# What does not fit.


def misfitting(tmp_path):
    """A file of other sizes, and a model whose first layer fits it."""

    def new(units):
        first, last = layers.Dense(3, name="first"), layers.Dense(2, name="last")
        return models.Sequential(
            [gpulayers.Input((4,)), first, layers.Dense(units, name="wide"), last]
        )

    new(5).save_weights(tmp_path / "m.weights.h5")
    model = new(6)
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    return model, tmp_path / "m.weights.h5"


def test_what_does_not_fit_is_listed_and_nothing_changes(tmp_path):
    model, path = misfitting(tmp_path)
    before = values_of(model)
    with pytest.raises(ValueError) as caught:
        model.load_weights(path)
    assert str(caught.value) == (
        f"{path}: the weights of 2 layers do not fit:\n"
        "  layers/dense_1 (Dense 'wide'): expected (3, 6), (6,); found (3, 5), (5,)\n"
        "  layers/dense_2 (Dense 'last'): expected (6, 2), (2,); found (5, 2), (2,)"
    )
    same(values_of(model), before)


def test_what_does_not_fit_can_be_skipped(tmp_path):
    model, path = misfitting(tmp_path)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="the weights of 2 layers do not fit:") as caught:
        model.load_weights(path, skip_mismatch=True)
    assert caught[0].filename == __file__
    same(model.get_weights()[2:], before[2:])
    with h5py.File(path) as file:
        same(model.get_weights()[:2], [file["layers/dense/vars/0"], file["layers/dense/vars/1"]])


def test_missing_and_further_layers(tmp_path):
    small = models.Sequential([gpulayers.Input((4,)), layers.Dense(3)])
    large = models.Sequential([gpulayers.Input((4,)), layers.Dense(3), layers.Dense(2)])
    small.save_weights(tmp_path / "small.weights.h5")
    large.save_weights(tmp_path / "large.weights.h5")
    with pytest.raises(ValueError, match=r"layers/dense_1 .* expected \(3, 2\), \(2,\); found no"):
        large.load_weights(tmp_path / "small.weights.h5")
    with pytest.warns(
        UserWarning, match="the file has weights for layers/dense_1, which"
    ) as caught:
        small.load_weights(tmp_path / "large.weights.h5")
    assert caught[0].filename == __file__


def test_an_error_of_an_own_layer(tmp_path):
    class Picky(Scale):
        def load_own_variables(self, store):
            self.scale.assign(store["0"] * 0)
            raise RuntimeError("not mine")

    def new(kind):
        return models.Sequential([gpulayers.Input((4,)), kind(name="it")])

    new(Scale).save_weights(tmp_path / "m.weights.h5")
    model = new(Picky)
    with pytest.raises(ValueError, match=r"layers/picky \(Picky 'it'\): expected"):
        model.load_weights(tmp_path / "m.weights.h5")
    new(Picky).save_weights(tmp_path / "m.weights.h5")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"layers/picky \(Picky 'it'\): not mine"):
        model.load_weights(tmp_path / "m.weights.h5")
    same(model.get_weights(), before)


@pytest.mark.parametrize("way", ["save_weights", "load_weights"])
def test_a_model_that_is_not_built(tmp_path, way):
    model = models.Sequential([layers.Dense(2)], name="empty")
    with pytest.raises(ValueError, match=f"{way}: 'empty' has no weights yet: build it"):
        getattr(model, way)(tmp_path / "m.weights.h5")


def test_wrong_names(tmp_path):
    model = sequential()
    with pytest.raises(ValueError, match=r"must end in \.weights\.h5 or .*, got '.*m\.h5'"):
        model.save_weights(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"m\.npz: expected a file that ends in \.weights\.h5, "):
        model.load_weights(tmp_path / "m.npz")
    with pytest.raises(FileNotFoundError, match=r"m\.weights\.h5"):
        model.load_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="by_name is for .h5 files"):
        model.load_weights(tmp_path / "m.weights.h5", by_name=True)
    (tmp_path / "m.weights.h5").write_bytes(b"no HDF5")
    with pytest.raises(OSError, match=r"m\.weights\.h5: .*signature"):
        model.load_weights(tmp_path / "m.weights.h5")
    with pytest.raises(FileExistsError, match="overwrite=False"):
        model.save_weights(tmp_path / "m.weights.h5", overwrite=False)
    model.save_weights(tmp_path / "m.weights.h5")
    assert os.listdir(tmp_path) == ["m.weights.h5"]


def test_what_is_no_number_is_not_saved(tmp_path):
    class Worded(Counted):
        def save_own_variables(self, store):
            store["0"] = np.array(["a", None], dtype=object)

    model = models.Sequential([gpulayers.Input((4,)), Worded()])
    with pytest.raises(TypeError, match="layers/worded/vars/0: expected an array of numbers"):
        model.save_weights(tmp_path / "m.weights.h5")
    assert os.listdir(tmp_path) == []
