"""What is timed of recurrent layers on a GPU, against cuDNN through PyTorch.

Shapes are (sequences, steps, units), with as many inputs as units. cuDNN has persistent kernels of
float16 for the LSTMs of some shapes, and goes step by step elsewhere.
"""

from __future__ import annotations

from gpu_cases import Floats, Operation

STEPS = 512
SHAPES = tuple(
    (count, STEPS, units)
    for count, units in (
        (32, 512), (1, 64), (128, 64), (32, 128), (33, 256), (128, 256), (128, 512), (16, 1024),
        (64, 1024),
    )
)  # fmt: skip
FILMS = ((8, 10, 64, 64, 64),)
DTYPES = ("float16", "bfloat16", "float32")
TINY = 3  # Axes of a dry run: each step takes a while on the rig.


class AsWide:
    """A recurrent layer with as many units as its first inputs have."""

    def __init__(self, make, dtype):
        self.make, self.dtype, self.layer = make, dtype, None

    def __call__(self, x, training):
        if self.layer is None:
            self.layer = self.make(x.shape[-1], self.dtype)
        return self.layer(x, training=training)

    @property
    def trainable_variables(self):
        """The layer's weights."""
        return self.layer.trainable_variables


def operations(layers) -> list[Operation]:
    """LSTM and GRU in one direction and in both, and ConvLSTM2D."""

    def layer(make):
        return lambda dtype: AsWide(make, dtype)

    def lstm(units, dtype):
        return layers.LSTM(units, return_sequences=True, dtype=dtype)

    def gru(units, dtype):
        return layers.GRU(units, return_sequences=True, dtype=dtype)

    def before(units, dtype):
        return layers.GRU(units, return_sequences=True, reset_after=False, dtype=dtype)

    def both(units, dtype):
        return layers.Bidirectional(lstm(units, dtype), dtype=dtype)

    def films(filters, dtype):
        return layers.ConvLSTM2D(
            filters, 3, padding="same", return_sequences=True, use_bias=False, dtype=dtype
        )

    return [
        _operation("LSTM", SHAPES, layer(lstm), 4, 1),
        _operation("GRU", SHAPES[:6], layer(gru), 3, 1),
        # PyTorch's resets after the product: half as many in a row.
        _operation("GRU, reset before", SHAPES[:4], layer(before), 3, 1),
        _operation("Bidirectional LSTM", SHAPES[:4], layer(both), 4, 2),
        Operation(
            "recurrent", "ConvLSTM2D, 3 x 3", FILMS, _films, _film_bytes, layer=layer(films),
            peer=_films_by_torch, flops=_film_operations, dtypes=("bfloat16", "float32"),
            tiny=TINY,
        ),
    ]  # fmt: skip


def _operation(what, shapes, layer, gates, directions):
    def arrays(count, steps, units):
        return [Floats((count, steps, units))]

    def weights(units):
        return directions * 2 * gates * units * units

    def nbytes(e, count, steps, units):
        states = (1 + directions) * count * steps * units
        return e * (states + weights(units)), 2 * e * (states + weights(units))

    def flops(count, steps, units):
        forward = 2 * count * steps * weights(units)
        return forward, 2 * forward

    def prepare(torch, x):
        kind = torch.nn.LSTM if gates == 4 else torch.nn.GRU
        made = kind(
            x.shape[-1], x.shape[-1], batch_first=True, bidirectional=directions == 2,
            device=x.device, dtype=x.dtype,
        )  # fmt: skip
        return [x, *made._flat_weights]  # In one piece, as cuDNN wants them.

    def peer(F, x, *weights):
        import torch

        first = x.new_zeros(directions, x.shape[0], x.shape[-1])
        options = True, 1, 0.0, torch.is_grad_enabled(), directions == 2, True
        if gates == 4:
            return torch.lstm(x, (first, first), weights, *options)[0]
        return torch.gru(x, first, weights, *options)[0]

    return Operation(
        "recurrent", what, shapes, arrays, nbytes, layer=layer, peer=peer, prepare=prepare,
        flops=flops, dtypes=DTYPES, tiny=TINY,
    )  # fmt: skip


def _films(count, steps, height, width, channels):
    kernel = Floats((4 * channels, channels, 3, 3))
    return [Floats((count, steps, height, width, channels)), kernel, kernel]


def _film_bytes(e, *shape):
    *_, channels = shape
    states = shape[0] * shape[1] * shape[2] * shape[3] * channels
    forward = e * (2 * states + 8 * 9 * channels * channels)
    return forward, 2 * forward


def _film_operations(count, steps, height, width, channels):
    forward = 2 * count * steps * height * width * 8 * 9 * channels * channels
    return forward, 2 * forward


def _films_by_torch(F, x, kernel, recurrent):
    import torch

    count, steps, height, width, channels = x.shape
    images = x.reshape(count * steps, height, width, channels).permute(0, 3, 1, 2)
    seen = F.conv2d(images, kernel, padding=1).reshape(count, steps, -1, height, width)
    h = c = x.new_zeros(count, channels, height, width)
    found = []
    for t in range(steps):
        i, f, n, o = (seen[:, t] + F.conv2d(h, recurrent, padding=1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * n.tanh()
        h = o.sigmoid() * c.tanh()
        found.append(h)
    return torch.stack(found, 1).permute(0, 1, 3, 4, 2)
