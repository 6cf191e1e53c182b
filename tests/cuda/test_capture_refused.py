"""Steps that cannot be captured, or not wholly: they go on as usual, and say why."""

from __future__ import annotations

import numpy as np
import pytest
from capture_checks import MIDDLES, Batches, fitted, model_of, runs_of, settled, state_of

from gpulayers import Sequential, Tape, callbacks, layers, metrics, ops, optimizers, random
from gpulayers.arrays import Abstract, Variable, capturing, devices, namespace, plain
from gpulayers.cuda import capture as kernels

pytestmark = pytest.mark.usefixtures("same_products")


class Looks(layers.Layer):
    """Looks at its inputs in a way that needs their values."""

    def call(self, inputs):
        if isinstance(inputs, Abstract):
            return inputs * 1.0
        return inputs * self.look(plain(inputs))


class Asks(Looks):
    def look(self, x):
        return 1.0 if float(x[0, 0]) > 0 else 2.0


class Fetches(Looks):
    def look(self, x):
        return float(x.get()[0, 0])


class Uploads(Looks):
    def look(self, x):
        return namespace(x).asarray(np.arange(x.shape[-1], dtype="f4"))


class Finds(Looks):
    def look(self, x):
        return float(len(namespace(x).nonzero(x)[0]))


class Picks(Looks):
    def look(self, x):
        return 1.0 * x[x > 0].shape[0]


class Multiplies(Looks):
    def look(self, x):
        return (x @ x.T)[:, :1]  # CuPy's own product: that of `namespace(x)` is ours.


class Counts(layers.Layer):
    """Counts its calls on the CPU."""

    def build(self, input_shape):
        with devices.scope(devices.CPU):
            self.count = Variable(0, dtype="int32", trainable=False)

    def call(self, inputs):
        self.count.assign_add(1)
        return inputs * 2.0


class Draws(layers.Layer):
    def call(self, inputs):
        return inputs * ops.cast(random.randint((1,), 1, 3, like=inputs, seed=SEEDS), "float32")


SEEDS = random.SeedGenerator(3)


@pytest.mark.parametrize("kind", [Asks, Fetches, Uploads, Finds, Picks, Multiplies, Counts, Draws])
def test_layers_that_cannot_be_captured_are_named(cupy, kind):
    """The model learns what it would, and the warning comes once."""

    def make():
        SEEDS.state.assign(np.array([3, 0]))
        return [kind(name="culprit"), layers.Dropout(0.2)]

    plain, history = fitted(cupy, False, make)
    with pytest.warns(UserWarning, match=rf"captured.*{kind.__name__} 'culprit': ") as caught:
        model, other = fitted(cupy, True, make)
    assert len(caught) == 1
    assert runs_of(model)["train"] == 0
    assert history.history == other.history
    for a, b in zip(state_of(plain), state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()
    assert not capturing.ACTIVE


def test_metrics_that_compute_on_the_host_are_named(cupy):
    class Host(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.last = float(ops.sum(y_pred))

        def result(self):
            return self.last

    with pytest.warns(UserWarning, match="captured.*Host 'host': "):
        model, _ = fitted(cupy, True, metrics=[Host(name="host")])
    assert runs_of(model)["train"] == 0


def test_rates_from_python_functions_are_not_captured(cupy):
    with pytest.warns(UserWarning, match="learning rate comes from a Python function"):
        model, _ = fitted(cupy, True, make_optimizer=lambda: optimizers.SGD(lambda: 0.1))
    assert runs_of(model)["train"] == 0


def test_logs_must_be_arrays(cupy):
    class Own(Sequential):
        def train_step(self, data):
            return {**super().train_step(data), "number": 3.0}

    with pytest.warns(UserWarning, match="gives a float, which would always be the same"):
        _, history = fitted(cupy, True, kind=Own)
    assert history.history["number"] == [3.0, 3.0]


def test_layers_that_change_all_the_time(cupy):
    class Restless(layers.Layer):
        def call(self, inputs):
            self.calls = getattr(self, "calls", 0) + 1
            return inputs * 2.0

    class Touch(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.layers[1].mark = batch

    with pytest.warns(UserWarning, match="change all the time") as caught:
        fitted(cupy, True, lambda: [Restless()], callbacks=[Touch()])
    assert len(caught) == 1


def test_interruption_while_capturing(cupy):
    """Ctrl-C during capture leaves everything as the step before it made it."""

    class Stops(layers.Layer):
        def call(self, inputs, training=False):
            if training and capturing.ACTIVE:
                raise KeyboardInterrupt
            return inputs * 2.0

    model, data = settled(cupy, model_of(True, lambda: [Stops()])), Batches(cupy)
    plain = settled(cupy, model_of(False, lambda: [Stops()]))
    plain.make_train_function()(data.batch(0))
    with pytest.raises(KeyboardInterrupt):
        model.make_train_function()(data.batch(0))
    for a, b in zip(state_of(plain), state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()
    assert not cupy.cuda.get_current_stream().is_capturing()
    assert not capturing.ACTIVE


def test_too_little_memory_for_a_graph(cupy, monkeypatch):
    def full(x):
        raise cupy.cuda.memory.OutOfMemoryError(x.nbytes, 0, 0)

    monkeypatch.setattr(kernels, "empty_like", full)
    with pytest.warns(UserWarning, match="captured.*Out of memory allocating"):
        model, history = fitted(cupy, True)
    plain, expected = fitted(cupy, False)
    assert history.history == expected.history
    for a, b in zip(state_of(plain), state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_run_that_fails_changes_nothing(cupy, monkeypatch):
    model, data = settled(cupy, model_of(True, MIDDLES["dropout"])), Batches(cupy)
    model.train_on_batch(*data.batch(0))
    model.train_on_batch(*data.batch(1))
    before = state_of(model)
    graph = next(g for (verb, *_), g in model._compiled.captured._graphs.items() if verb == "train")

    class Broken:
        def launch(self):
            raise RuntimeError("cudaErrorUnknown")

    step = model.make_train_function()
    with monkeypatch.context() as patch:
        patch.setattr(graph.recording, "_graph", Broken())
        with pytest.raises(RuntimeError, match="cudaErrorUnknown"):
            step(data.batch(2))
    for a, b in zip(before, state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()
    step(data.batch(2))
    assert graph.recording.runs == 2


def test_steps_of_ones_own_with_a_second_optimizer(cupy):
    """Variables and optimizers that the model does not list are found when they change."""

    class Own(Sequential):
        def train_step(self, data):
            if not hasattr(self, "second"):
                self.second = optimizers.Adam(0.02)
                self.second.counts_on_device = True
                self.second.build(self.layers[-1].trainable_variables)
            x, y = data
            with Tape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            mine, rest = self.layers[-1].trainable_variables, self.layers[0].trainable_variables
            gradients = tape.gradient(loss, [*mine, *rest])
            self.second.apply(gradients[: len(mine)], mine)
            self.optimizer.apply(gradients[len(mine) :], rest)
            LOSSES.assign_add(loss)
            return {"loss": loss}

    def trained(jit):
        global LOSSES
        LOSSES = Variable(np.zeros((), "f4"), trainable=False)
        LOSSES.move(Batches(cupy).home)
        model, history = fitted(cupy, jit, kind=Own)
        return model, history.history, [LOSSES.numpy(), *model.get_weights()]

    model, history, values = trained(True)
    assert runs_of(model)["train"] == 9
    _, expected_history, expected = trained(False)
    assert history == expected_history
    for a, b in zip(values, expected, strict=True):
        assert np.array_equal(a, b)


def test_nothing_is_captured_unless_asked_for(cupy):
    for jit in (False, "auto"):
        model, _ = fitted(cupy, jit)
        assert model._compiled.captured is None
