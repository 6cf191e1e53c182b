"""What changes between captured steps is seen, and what somebody holds stays as it is."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest
from capture_checks import MIDDLES, Batches, fitted, model_of, runs_of, settled, state_of

from gpulayers import callbacks, layers, metrics, ops, optimizers, random

pytestmark = pytest.mark.usefixtures("same_products")


def check_after(cupy, change, make_middle=MIDDLES["dropout"], steps=3, **options):
    """A change between steps has the same effect with graphs as without."""

    def trained(jit):
        model, data = settled(cupy, model_of(jit, make_middle, **options)), Batches(cupy)
        logs = []
        for i in range(2 * steps):
            if i == steps:
                change(model)
            logs.append(model.train_on_batch(*data.batch(i), return_dict=True))
        return model, logs

    plain, expected = trained(False)
    model, found = trained(True)
    assert found == expected
    for a, b in zip(state_of(plain), state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()
    assert runs_of(model)["train"] > 0
    return model


def zeros(model):
    model.set_weights([0.5 * w for w in model.get_weights()])


def rate(model):
    model.optimizer.learning_rate = 0.5


def schedule(model):
    model.optimizer.learning_rate = optimizers.schedules.CosineDecay(0.1, 3)


def slots(model):
    for variable in model.optimizer.variables[2:]:
        variable.assign(np.full(variable.shape, 0.1, "f4"))


def iterations(model):
    model.optimizer.iterations.assign(100)


def seeds(model):
    for layer in model.layers:
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign(np.array([7, 11]))


def draws(model):
    for layer in model.layers:
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.next()


def dropping(model):
    next(layer for layer in model.layers if hasattr(layer, "rate")).rate = 0.9


def freezing(model):
    model.layers[0].trainable = False


def clipping(model):
    model.optimizer.clipvalue = 1e-3


def eager_steps(model):
    data = Batches.of(model)
    model.train_on_batch(*data.first(7))
    model.predict(data.x.get()[:3])


def random_seed(model):
    random.SeedGenerator(3)
    from gpulayers.utils import set_random_seed

    set_random_seed(99)


CHANGES = [
    zeros, rate, schedule, slots, iterations, seeds, draws, dropping, freezing, clipping,
    eager_steps, random_seed,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_between_steps_are_seen(cupy, change):
    check_after(cupy, change)


def test_draws_without_a_seed(cupy):
    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + random.normal(inputs.shape, like=inputs)

    check_after(cupy, random_seed, lambda: [Noise()])


def test_arrays_that_somebody_holds_stay_as_they_are(cupy):
    model, data = settled(cupy, model_of(True)), Batches(cupy)
    held = []
    for i in range(5):
        model.train_on_batch(*data.batch(i))
        held.append([(w.value, w.numpy()) for w in model.weights])
    assert runs_of(model)["train"] == 4
    for pairs in held:
        for array, value in pairs:
            assert np.array_equal(array.get(), value)


def test_results_of_metrics_that_somebody_holds_stay_as_they_are(cupy):
    class Total(metrics.Metric):
        def __init__(self):
            super().__init__(name="total")
            self.total = self.add_variable((), name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add(ops.sum(y_pred))

        def result(self):
            return self.total

    model, data = settled(cupy, model_of(True, metrics=[Total()])), Batches(cupy)
    step, held = model._silent_function("train"), []
    for i in range(4):
        step(data.batch(i))
        result = model.get_metrics_result()["total"]
        held.append((result, float(result)))
    assert runs_of(model)["train"] == 3
    assert [float(result) for result, _ in held] == [value for _, value in held]
    assert len({value for _, value in held}) == 4


def test_early_stopping_restores_the_best_weights(cupy):
    def trained(jit):
        stop = callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True, patience=9)
        return fitted(cupy, jit, callbacks=[stop], epochs=3)[0]

    for a, b in zip(trained(False).get_weights(), trained(True).get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_memory_of_a_graph_is_its_own(cupy):
    """What others allocate and free between runs never lies where the graph works."""

    def trained(jit):
        model, data = settled(cupy, model_of(jit, MIDDLES["dropout"])), Batches(cupy)
        for i in range(5):
            model.train_on_batch(*data.batch(i))
            gc.collect()
            junk = [cupy.empty((n, 16), "f4") for n in range(1, 30)]
            for array in junk:
                array.fill(np.nan)
        return model.get_weights()

    for a, b in zip(trained(False), trained(True), strict=True):
        assert np.array_equal(a, b)


def test_copies_and_files_of_models_with_graphs(cupy, tmp_path):
    from gpulayers.saving import load_model

    model, _ = fitted(cupy, True)
    twin = copy.deepcopy(model)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    data = Batches(cupy)
    for each in (model, twin, loaded):
        each.train_on_batch(*data.batch(0))
        each.train_on_batch(*data.batch(1))
        for a, b in zip(each.get_weights(), model.get_weights(), strict=True):
            assert np.array_equal(a, b)


def test_two_models_that_share_layers(cupy):
    def trained(jit):
        first = model_of(jit)
        second = model_of(jit, lambda: first.layers[:1])
        data = Batches(cupy)
        for i in range(5):
            first.train_on_batch(*data.batch(i))
            second.train_on_batch(*data.batch(i))
        return [*first.get_weights(), *second.get_weights()]

    for a, b in zip(trained(False), trained(True), strict=True):
        assert np.array_equal(a, b)
