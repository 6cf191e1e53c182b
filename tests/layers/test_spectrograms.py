"""Spectrograms against NumPy's Fourier transform."""

import numpy as np
import pytest

from gpulayers import layers

RATE = 8000
SOUND = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype("float32")  # 1000 Hertz.
NOISE = np.random.default_rng(0).normal(size=(2, 100, 3)).astype("float32")


def pieces(x, length, step):
    """The pieces of signals (time,): (pieces, length)."""
    count = (len(x) - length) // step + 1
    return np.stack([x[i * step : i * step + length] for i in range(count)])


def transforms(x, length=16, step=8):
    window = np.hanning(length)
    parts = [
        [np.fft.rfft(pieces(channel, length, step) * window) for channel in signal.T]
        for signal in x.astype("float64")
    ]
    return np.array(parts)  # (batch, channels, pieces, frequencies)


@pytest.mark.parametrize("mode", ["magnitude", "real", "imag", "angle", "log", "psd", "stft"])
def test_modes(mode):
    layer = layers.STFTSpectrogram(mode, frame_length=16, scaling=None, expand_dims=True)
    y = np.moveaxis(layer(NOISE), -1, 1)
    found = transforms(NOISE)
    power = np.abs(found) ** 2
    twice = np.pad(power[..., 1:-1], [(0, 0)] * 3 + [(1, 1)])
    expected = {
        "magnitude": np.abs(found),
        "log": np.log(np.abs(found)),
        "real": found.real,
        "imag": found.imag,
        "angle": np.angle(found),
        "psd": power + twice,
        "stft": np.concatenate([found.real, found.imag], axis=-1),
    }[mode]
    if mode == "angle":  # Of both ends of the circle, and of the frequencies that are real.
        y, expected = np.exp(1j * y[..., 1:-1]), np.exp(1j * expected[..., 1:-1])
    np.testing.assert_allclose(y, expected, atol=2e-4 if mode in ("log", "psd", "angle") else 1e-5)


def test_layouts():
    def layer(**options):
        return layers.STFTSpectrogram("magnitude", frame_length=16, frame_step=5, **options)

    expected = layer(expand_dims=True)(NOISE)
    assert expected.shape == (2, 17, 9, 3)
    flat = layer()(NOISE)
    np.testing.assert_allclose(flat.reshape(2, 17, 3, 9), np.moveaxis(expected, 3, 2), rtol=1e-6)
    first = np.moveaxis(NOISE, 2, 1)
    y = layer(data_format="channels_first", expand_dims=True)(first)
    np.testing.assert_allclose(np.moveaxis(y, 1, 3), expected, rtol=1e-5, atol=1e-6)
    y = layer(data_format="channels_first")(first)
    np.testing.assert_allclose(np.moveaxis(y, 1, 2), flat, rtol=1e-5, atol=1e-6)
    for options, pieces_ in (({}, None), ({"padding": "same"}, 20)):
        shape = layer(**options).compute_output_shape((None, None if not options else 100, 3))
        assert shape == (None, pieces_, 27)


def test_its_kernels_are_trained():
    layer = layers.STFTSpectrogram("log", frame_length=16)
    layer.build((None, 100, 1))
    assert [tuple(w.shape) for w in layer.trainable_weights] == [(16, 1, 9)] * 2
    layer = layers.STFTSpectrogram("real", frame_length=16, trainable=False)
    layer.build((None, 100, 1))
    assert layer.trainable_weights == [] and len(layer.weights) == 1


def test_a_tone_is_in_its_band():
    layer = layers.MelSpectrogram(
        fft_length=512, sequence_stride=128, sampling_rate=RATE, num_mel_bins=40
    )
    y = layer(SOUND)
    assert y.shape == (40, 63)
    corners = 700 * (
        np.exp(np.linspace(*(1127 * np.log1p(np.array([20, 4000]) / 700)), 42) / 1127) - 1
    )
    band = int(np.abs(corners[1:-1] - 1000).argmin())
    assert abs(int(y[:, 30].argmax()) - band) <= 0
    assert y.max() - y.min() == pytest.approx(80, abs=1e-3)
    both = layer(np.stack([SOUND, SOUND[::-1]]))
    assert both.shape == (2, 40, 63) and layer.compute_output_shape((None, 8000)) == (None, 40, 63)
    np.testing.assert_allclose(both[0], y, atol=1e-3)


def test_strengths_by_hand():
    layer = layers.MelSpectrogram(
        fft_length=16, sequence_stride=8, sampling_rate=RATE, num_mel_bins=4, power_to_db=False,
        mag_exp=1.0, window=None,
    )  # fmt: skip
    x = NOISE[0, :, 0]
    size = np.abs(np.fft.rfft(pieces(np.pad(x, 8, mode="reflect"), 16, 8).astype("float64")))
    from gpulayers.layers.spectrograms import mel_bands

    bands = mel_bands(4, 9, RATE, (20.0, 4000))
    assert bands.shape == (9, 4) and bands[0].max() == 0
    np.testing.assert_allclose(layer(x), (size @ bands).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "loud"}, "mode must be one of log"),
        ({"frame_step": 300}, "frame_step must be from 1"),
        ({"fft_length": 100}, "fft_length must be at least"),
        ({"scaling": "loud"}, "scaling must be one of"),
        ({"padding": "causal"}, "padding must be one of"),
        ({"window": "door"}, "window"),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        layers.STFTSpectrogram(**options)


def test_other_bad_input():
    layer = layers.STFTSpectrogram(frame_length=16)
    with pytest.raises(TypeError, match="inputs must be floats, got int64"):
        layer(np.zeros((1, 40, 1), np.int64))
    with pytest.raises(ValueError, match="shorter|smaller"):
        layer(np.zeros((1, 10, 1), np.float32))
    with pytest.raises(ValueError, match="sequence_length must be at most"):
        layers.MelSpectrogram(fft_length=16, sequence_length=20)
    with pytest.warns(UserWarning, match="power of two"):
        layers.STFTSpectrogram(frame_length=10, fft_length=12)
