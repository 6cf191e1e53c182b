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
