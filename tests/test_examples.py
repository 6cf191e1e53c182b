"""The examples run as they are shown, and do what they say."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("seed", [1, 2])
def test_digits_are_learned(tmp_path, capsys, seed):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sklearn")
    from gpulayers.examples import digits

    picture = tmp_path / "digits.png"
    assert digits.main(["--seed", str(seed), "--picture", str(picture)]) >= 0.985
    printed = capsys.readouterr().out
    assert 'Model: "digits"' in printed
    assert "Total params: 38,826" in printed
    assert "Epoch 30/30" in printed
    assert "val_accuracy" in printed
    assert f"Picture of predictions: {picture}" in printed
    assert pyplot.imread(picture)[..., :3].std() > 0.1


def test_a_seed_gives_one_result(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from gpulayers.examples import digits

    options = ["--epochs", "2", "--device", "cpu", "--picture", str(tmp_path / "digits.png")]
    assert digits.main(options) == digits.main(options)
    with pytest.raises(SystemExit):
        digits.main(["--epochs", "many"])
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_shapes_are_found(tmp_path, capsys):
    """Small pictures suffice to find most of what is there."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from gpulayers.examples import segmentation

    picture = tmp_path / "segmentation.png"
    options = ["--size", "24", "--pictures", "240", "--epochs", "4", "--picture", str(picture)]
    assert segmentation.main(options) > 0.5
    printed = capsys.readouterr().out
    assert 'Model: "segmentation"' in printed
    assert "Total params: 352,449" in printed
    assert "of their union in common" in printed
    assert f"Picture of predictions: {picture}" in printed
    assert pyplot.imread(picture)[..., :3].std() > 0.1


def test_shapes_are_where_the_truth_says():
    import numpy as np

    from gpulayers.examples import segmentation

    rng = np.random.default_rng(0)
    shapes = [segmentation.shape(rng, 40) for _ in range(50)]
    parts = [inside.mean() for inside in shapes]
    assert 0 < min(parts) < max(parts) < 0.2  # Of the picture; a disc of radius 10 is 0.196.
    images, truths = segmentation.pictures(rng, 3, 20)
    assert (images.shape, truths.shape) == ((3, 20, 20, 3), (3, 20, 20, 1))
    assert images.min() >= 0 and images.max() <= 1
    assert set(np.unique(truths)) == {0, 1}


def test_texts_are_told_apart(capsys):
    from gpulayers.examples import text

    assert text.main(["--epochs", "5"]) > 0.8
    printed = capsys.readouterr().out
    assert 'Model: "text"' in printed
    assert "Total params: 320,132" in printed
    assert "networks" in printed.split("Send a request")[0].splitlines()[-1]
    assert "programs" in printed.split("A test case")[0].splitlines()[-1]


def test_texts_are_those_of_the_library():
    from gpulayers.examples import text

    x_train, x_test, y_train, y_test = text.load(seed=1)
    assert len(x_train) > 2000 and len(x_test) == len(y_test) == (len(x_train) + len(x_test)) // 5
    assert not set(x_train[:, 0]) & set(x_test[:, 0])
    assert set(y_train) == set(y_test) == {0, 1, 2, 3}


def test_every_augmentation_is_on_the_sheet(tmp_path, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL")
    import numpy as np

    from gpulayers import layers
    from gpulayers.examples import augment
    from gpulayers.layers.image_layer import ImageLayer

    picture = tmp_path / "augment.png"
    (_, photograph, _), *sheet = augment.main(["--size", "64", "--picture", str(picture)])
    public = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    kinds = {name for name in public if issubclass(getattr(layers, name), ImageLayer)}
    assert {name for name, *_ in sheet} == kinds - {"Resizing", "MaxNumBoundingBoxes"} | {
        "Pipeline"
    }
    for _, image, _ in sheet:
        assert image.shape != photograph.shape or not np.array_equal(image, photograph)
    assert "30 layers" in capsys.readouterr().out
    assert pyplot.imread(picture)[..., :3].std() > 0.1


def test_a_transformer_writes_the_same_with_a_cache(capsys):
    """A small one, which learns little but the most frequent pieces."""
    from gpulayers.examples import transformer

    options = "--characters 60000 --pairs 200 --size 32 --depth 2 --length 32 --steps 80"
    options = [*options.split(), "--samples", "2", "--pieces", "70"]
    losses, samples, same = transformer.main(options)
    assert len(losses) == 10
    assert losses[-1] < losses[0] - 0.4
    assert same
    assert len(samples) == 2 and samples[0] != samples[1]
    assert all(sample.startswith("Return") for sample in samples)
    printed = capsys.readouterr().out
    assert "60000 characters of documentation" in printed
    assert "10 of 10 parts of the way: loss" in printed
    assert "--- Sample 2 ---" in printed
    assert "Without the cache, the texts are the same." in printed
    assert "times as fast." in printed


def test_texts_are_made_of_pieces():
    from gpulayers.examples import transformer

    text = transformer.documentation(20_000)
    assert len(text) == 20_000
    assert transformer.END in text
    pieces = transformer.Pieces(text, 300)
    numbers = pieces.encode(text)
    assert pieces.decode(numbers) == text
    assert len(numbers) < len(text) / 2
    assert " the" in pieces.known
    assert pieces.decode(pieces.encode("thing\u00e9")) == "thing"
    assert transformer.joined(("a", "b", "a", "b", "b"), ("a", "b")) == ("ab", "ab", "b")


def test_the_pacific_is_forecast(tmp_path, capsys):
    """Half of the training suffices to be far better than to say what was last month."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("statsmodels")
    from gpulayers.examples import forecast

    picture = tmp_path / "forecast.png"
    assert forecast.main(["--epochs", "15", "--picture", str(picture)]) < 0.65
    printed = capsys.readouterr().out
    assert 'Model: "forecast"' in printed
    assert "Total params: 16,104" in printed
    assert "In the 15 years that it has not seen" in printed
    assert '"same as last month"' in printed
    assert f"Picture of forecasts: {picture}" in printed
    assert pyplot.imread(picture)[..., :3].std() > 0.1


def test_what_a_forecast_reads_ends_before_what_it_says():
    import numpy as np

    pytest.importorskip("statsmodels")
    from gpulayers.examples import forecast

    series, times = forecast.load()
    assert (len(series), times[0], times[-1]) == (732, 1950, 2010 + 11 / 12)
    assert 17 < series.min() < series.max() < 31
    x, y = forecast.windows(series)
    assert (x.shape, y.shape) == ((732 - 36, 36, 1), (732 - 36, 1))
    np.testing.assert_array_equal(x[5, :, 0], series[5:41])
    np.testing.assert_array_equal(y[:, 0], series[36:])
