"""Forecast the Pacific's temperature of next month: `python -m gpulayers.examples.forecast`.

The data are the monthly means of the sea's surface off Peru and Ecuador from 1950 to 2010 (NOAA,
Nino 1+2), which come with statsmodels.  The model reads three years and says the next month.  It
runs on the GPU if CuPy finds one, else on the CPU, in about ten seconds; it prints how far off it
is in the years that it was not trained with, beside "same as yesterday" (for months: as last
month), and saves a picture of all three.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers

BATCH = 32
MONTHS = 36  # that the model reads
UNSEEN = 15  # last years, which only measure


def load():
    """The temperatures in degrees Celsius of all months, and their times in years."""
    try:
        from statsmodels.datasets import elnino
    except ImportError:
        raise SystemExit("This example needs: pip install 'gpulayers[examples]'") from None
    table = elnino.load_pandas().data.to_numpy("float32")
    first, months = int(table[0, 0]), table[:, 1:]
    return months.ravel(), first + np.arange(months.size) / 12


def windows(series):
    """What the model reads (samples, MONTHS, 1), and what comes next (samples, 1)."""
    views = np.lib.stride_tricks.sliding_window_view(series, MONTHS + 1)
    return views[:, :-1, None], views[:, -1:]


def build(series, steps: int) -> gl.Sequential:
    """A forecasting network for values like those of a series, compiled for so many steps."""
    normal = layers.Normalization(axis=None)
    normal.adapt(series)
    model = gl.Sequential(
        [
            layers.Input(shape=(MONTHS, 1)),
            normal,
            layers.LSTM(50, return_sequences=True),
            layers.LSTM(20),
            layers.Dense(1),
            layers.Rescaling(float(series.std()), float(series.mean())),
        ],
        name="forecast",
    )
    rate = gl.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(optimizer=gl.optimizers.Adam(rate), loss="mean_squared_error", metrics=["mae"])
    return model


def draw(times, truth, forecast, before, path: Path) -> None:
    """Save a picture of the forecast, the truth, and the months before; errors below."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: pip install matplotlib for one.")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(11, 6.4), sharex=True, height_ratios=(3, 2)
    )
    above.plot(times, truth, color="black", linewidth=1.8, label="truth")
    lines = ("same as last month", before, "tab:gray", 1.0), ("forecast", forecast, "crimson", 1.4)
    for name, values, color, width in lines:
        error = np.abs(values - truth)
        above.plot(times, values, color=color, linewidth=width, label=name)
        below.plot(times, error, color=color, linewidth=width)
        below.axhline(error.mean(), color=color, linewidth=width, linestyle="--")
    above.set_ylabel("degrees Celsius")
    above.legend(loc="upper right", ncols=3)
    below.set_ylabel("how far off (dashed: mean)")
    below.set_ylim(0)
    figure.suptitle("Sea surface off Peru: the next month, in years that the model has not seen")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Picture of forecasts: {path.resolve()}")


def main(arguments: list[str] | None = None) -> float:
    """Train, test and draw; gives the mean error as a part of that of "same as last month"."""
    options = parse(arguments)
    if options.device:
        gl.config.set_device(options.device)
    gl.utils.set_random_seed(options.seed)
    series, times = load()
    x, y = windows(series)
    known = len(x) - 12 * UNSEEN
    model = build(series[: known + MONTHS], steps=options.epochs * -(-known // BATCH))
    model.summary()
    print(f"Training on {gl.config.device()} with {known} months, from {times[MONTHS]:.0f} on.")
    model.fit(x[:known], y[:known], batch_size=BATCH, epochs=options.epochs)
    x, y = x[known:], y[known:]
    forecast, before = model.predict(x, verbose=0), x[:, -1]
    own, same = np.abs(forecast - y).mean(), np.abs(before - y).mean()
    print(f"In the {UNSEEN} years that it has not seen, it is {own:.2f} degrees off on average;")
    print(f'"same as last month" is {same:.2f} degrees off.')
    draw(times[-len(y) :], y[:, 0], forecast[:, 0], before[:, 0], options.picture)
    return own / same


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the training")
    parser.add_argument("--device", help='"cpu", "gpu" or "gpu:1"; the GPU if there is one')
    parser.add_argument("--picture", type=Path, default=Path("forecast.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
