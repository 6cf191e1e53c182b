"""Records training histories of recurrent layers in Keras 3.15, into tests/parity/golden.

    pip install keras==3.15.1 jax
    KERAS_BACKEND=jax PYTHONPATH=tests python -m parity.make_recurrent_histories

See `make_histories`, whose runs these are like.
"""

from __future__ import annotations

import keras
from parity.make_histories import GOLDEN, SAMPLES, Run, labels, random
from parity.packing import Pack

STEPS = 7


def layer_runs():
    layers, reg, con = keras.layers, keras.regularizers, keras.constraints
    x, y = random(1, SAMPLES, STEPS, 3), random(2, SAMPLES, 2)
    penalties = {
        "kernel_regularizer": reg.L2(0.02),
        "recurrent_regularizer": reg.L1(0.01),
        "bias_regularizer": reg.L1L2(0.01, 0.02),
        "activity_regularizer": reg.L2(0.01),
    }
    limits = {
        "kernel_constraint": con.MaxNorm(0.8),
        "recurrent_constraint": con.UnitNorm(),
        "bias_constraint": con.NonNeg(),
    }
    for label, name, own in (
        ("SimpleRNN", "SimpleRNN", {}),
        ("LSTM", "LSTM", {}),
        ("GRU", "GRU", {}),
        ("GRU before", "GRU", {"reset_after": False}),
    ):
        layer = getattr(layers, name)
        for kind, further in (("penalties", penalties), ("limits", limits)):
            stack = [layer(5, return_sequences=True, **own, **further), layer(4, **own)]
            model = keras.Sequential([keras.Input((STEPS, 3)), *stack, layers.Dense(2)])
            yield Run(f"{label}, {kind}", model, x, y, {"optimizer": keras.optimizers.Adam(0.01)})


def model_runs():
    layers = keras.layers
    adam = {"optimizer": keras.optimizers.Adam(0.01)}
    words, kinds = labels(3, 6, SAMPLES, STEPS), labels(4, 3, SAMPLES)
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True), "sum")
    first = keras.Input((STEPS,), dtype="int32"), layers.Embedding(6, 4, mask_zero=True)
    model = keras.Sequential([*first, both, layers.GRU(4), layers.Dense(3, "softmax")])
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **adam}
    yield Run("words", model, words, kinds, settings)
    x = random(5, SAMPLES, STEPS, 3)
    cells = [layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(2)]
    stack = [layers.TimeDistributed(layers.Dense(4, "tanh")), layers.RNN(cells, go_backwards=True)]
    model = keras.Sequential([keras.Input((STEPS, 3)), *stack])
    yield Run("cells on top of each other", model, x, random(6, SAMPLES, 2), adam)
    films = random(7, SAMPLES, 3, 5, 5, 1)
    memory = layers.ConvLSTM2D(2, 3, padding="same", kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((3, 5, 5, 1)), memory, layers.Flatten(), layers.Dense(1)])
    yield Run("films", model, films, random(8, SAMPLES, 1), adam)


def main() -> None:
    pack = Pack()
    runs = [run.record(pack) for maker in (layer_runs, model_runs) for run in maker()]
    content = {"keras_version": keras.__version__, "cases": runs}
    pack.write(GOLDEN, "recurrent_histories", content)
    size = sum(path.stat().st_size for path in GOLDEN.glob("recurrent_histories*"))
    print(f"{len(runs)} histories, {size / 1024:.0f} KiB in {GOLDEN}")


if __name__ == "__main__":
    main()
