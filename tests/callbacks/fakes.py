"""A model that does nothing, and a run of `fit` over it, for tests of callbacks."""

from types import SimpleNamespace

import numpy as np

from gpulayers.arrays import Variable


def number(value):
    return Variable(np.float32(value), name="number")


class FakeModel:
    """What callbacks need of a model: weights, an optimizer, and ways to be saved."""

    def __init__(self, **optimizer):
        self.weights = [Variable(np.zeros(2, np.float32), name="kernel", path="dense/kernel")]
        self.optimizer = SimpleNamespace(learning_rate=0.1, name="sgd", iterations=0, **optimizer)
        self.metrics, self.layers, self.name = [], [], "fake"
        self.stop_training, self.built = False, True
        self.saved = []

    def save(self, path, overwrite):
        assert overwrite
        self.saved.append(path)
        with open(path, "w") as file:
            file.write("model")

    def save_weights(self, path, overwrite):
        self.save(path, overwrite)


def fit(model, callbacks, logs, batches=1):
    """Run the hooks of `fit`: one epoch for each dict in `logs`; gives how many there were."""
    from gpulayers.callbacks import CallbackList

    calls = CallbackList(callbacks, model=model, verbose=0, epochs=len(logs), steps=batches)
    model.stop_training = False
    calls.on_train_begin()
    epoch = -1
    for epoch, values in enumerate(logs):
        calls.on_epoch_begin(epoch)
        model.weights[0].assign(np.full(2, epoch, np.float32))
        train = {name: v for name, v in values.items() if not name.startswith("val_")}
        for batch in range(batches):
            calls.on_train_batch_begin(batch)
            calls.on_train_batch_end(batch, train)
            if model.stop_training:
                break
        calls.on_epoch_end(epoch, dict(values))
        if model.stop_training:
            break
    calls.on_train_end(logs[epoch])
    return epoch + 1
