"""The command line, as its users call it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from saving.models import X, graph, same, sequential

import gpulayers
from gpulayers import layers, models, saving
from gpulayers.commands import main

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = sequential()
    model.save("m.keras")
    np.save("x.npy", X)
    return model


def fails(capsys, *arguments) -> str:
    """The one line that a command says before it fails."""
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gpulayers: ")
    assert said.err.count("\n") == 1
    return said.err


def test_help(capsys):
    for command in ("about", "summary", "predict", "convert", "plot"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"usage: gpulayers {command}" in capsys.readouterr().out
    for arguments in (["nothing"], ["predict"], ["predict", "a", "b", "--batch-size", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: gpulayers" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"gpulayers {gpulayers.__version__}\n"


def test_summary(model, capsys):
    assert main(["summary", "m.keras"]) == 0
    assert "Total params: 27" in capsys.readouterr().out


# Predicting.


def test_predict(model, capsys):
    assert main(["predict", "m.keras", "x.npy", "-o", "y.npy", "--batch-size", "3"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "4/4" in said.err
    np.testing.assert_array_equal(np.load("y.npy"), model.predict(X, batch_size=3, verbose=0))


def test_predict_quietly(model, capsys):
    assert main(["predict", "m.keras", "x.npy", "-o", "y.npy", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_predict_several_inputs_and_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = graph()
    model.save("m.keras")
    expected = gpulayers.tree.flatten(model.predict({"a": X, "b": -X}, verbose=0))
    for inputs in ({"b": -X, "a": X}, {"first": X, "second": -X}):
        np.savez("x.npz", **inputs)
        assert main(["predict", "m.keras", "x.npz", "-o", "y.npz", "-q"]) == 0
        found = np.load("y.npz")
        assert found.files == model.output_names
        for name, y in zip(found.files, expected, strict=True):
            np.testing.assert_array_equal(found[name], y)


def test_predict_from_stdin_to_stdout(model):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    code = "import saving.models, sys; from gpulayers.commands import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "m.keras", "-"],
        input=Path("x.npy").read_bytes(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    found = np.load(io.BytesIO(done.stdout))
    np.testing.assert_array_equal(found, model.predict(X, verbose=0))
    assert b"1/1" in done.stderr


def test_predict_cannot(model, capsys):
    Path("text.npy").write_text("no array")
    np.save("pickle.npy", np.asarray([{}], object), allow_pickle=True)
    np.save("wide.npy", np.zeros((2, 9), "float32"))
    many = models.Model(x := gpulayers.Input((4,)), [layers.Dense(1)(x), layers.Dense(2)(x)])
    many.save("many.keras")
    assert "missing.keras: No such file" in fails(capsys, "predict", "missing.keras", "x.npy")
    assert "missing.npy: No such file" in fails(capsys, "predict", "m.keras", "missing.npy")
    assert "text.npy: expected arrays" in fails(capsys, "predict", "m.keras", "text.npy")
    assert "pickle.npy: expected arrays" in fails(capsys, "predict", "m.keras", "pickle.npy")
    assert "(2, 9)" in fails(capsys, "predict", "m.keras", "wide.npy", "-q", "-o", "y.npy")
    out = fails(capsys, "predict", "many.keras", "x.npy", "-q", "-o", "y.npy")
    assert "y.npy: the model has 2 outputs; let OUT end in .npz" in out
    assert not Path("y.npy").exists()


# Converting.


@pytest.mark.parametrize("target", ["n.keras", "n.h5"])
def test_convert_models(model, target):
    assert main(["convert", "m.keras", target]) == 0
    same(saving.load_model(target).predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("target", ["n.weights.h5", "n.safetensors"])
def test_convert_to_weights_and_between_them(model, target):
    assert main(["convert", "m.keras", target]) == 0
    other = "o.safetensors" if target.endswith("h5") else "o.weights.h5"
    assert main(["convert", target, other]) == 0
    for path in (target, other):
        again = sequential()
        again.load_weights(path)
        same(again.get_weights(), model.get_weights())


def test_convert_cannot(model, capsys):
    assert main(["convert", "m.keras", "w.safetensors"]) == 0
    assert "expected a name that ends in .keras" in fails(capsys, "convert", "m.keras", "m.pt")
    found = fails(capsys, "convert", "w.safetensors", "n.keras")
    assert "w.safetensors holds weights alone" in found
    Path("broken.keras").write_bytes(Path("m.keras").read_bytes()[:500])
    assert "broken.keras: " in fails(capsys, "convert", "broken.keras", "n.h5")
    Path("broken.safetensors").write_bytes(b"1234")
    found = fails(capsys, "convert", "broken.safetensors", "n.weights.h5")
    assert "broken.safetensors: it is no safetensors file" in found
    assert not {"n.keras", "n.h5", "n.weights.h5"} & set(os.listdir())


def test_plot(model, capsys):
    assert main(["plot", "m.keras", "m.svg"]) == 0
    assert "Dense" in Path("m.svg").read_text()
    assert "must end in .svg or .png" in fails(capsys, "plot", "m.keras", "m.txt")


def test_misfits_are_one_line(model, capsys):
    wrong = models.Sequential([gpulayers.Input((4,)), layers.Dense(9)])
    wrong.save("w.keras")
    with zipfile.ZipFile("w.keras") as a, zipfile.ZipFile("m.keras") as b:
        config, weights = b.read("config.json"), a.read("model.weights.h5")
    with zipfile.ZipFile("mixed.keras", "w") as mixed:
        mixed.writestr("config.json", config)
        mixed.writestr("model.weights.h5", weights)
    assert "do not fit" in fails(capsys, "summary", "mixed.keras")
