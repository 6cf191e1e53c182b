"""Pictures of models."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from saving.models import blocks, graph, sequential

import gpulayers
from gpulayers import layers, models, utils
from gpulayers.models.diagram import Shown, boxes_of
from gpulayers.models.rows import laid_out


def links(model, **options):
    """Each box's title with the titles of those that it takes arrays from."""
    found = boxes_of(model, Shown(names=True), **options)
    titles = {box.key: box.lines[0] for box in found}
    return {titles[box.key]: [titles[key] for key in box.sources] for box in found}


def test_a_line_of_layers():
    x = gpulayers.Input((4,))
    model = models.Sequential([x, layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    assert links(model) == {"a (Dense)": [], "b (Dense)": ["a (Dense)"]}


def test_a_graph_with_a_model_that_is_called_twice():
    found = links(graph())
    assert found["encoder (Functional)"] == ["a (InputLayer)", "subtract (Subtract)"]
    assert found["add (Add)"] == ["multiply (Multiply)", "true_divide (TrueDivide)"]


def test_inner_models():
    found = links(graph(), expand_nested=True)
    assert found["encoder/shared (Dense)"] == ["a (InputLayer)", "subtract (Subtract)"]
    assert found["encoder/dense (Dense)"] == ["encoder/shared (Dense)"]
    (second,) = (key for key, sources in found.items() if "head/" in str(sources) and "head" in key)
    assert re.match(r"head/dense_\d+ \(Dense\)", second)


def test_a_model_that_gives_what_it_takes():
    x = gpulayers.Input((4,))
    same = models.Model(x, x, name="same")
    model = models.Model(x, layers.Dense(2, name="y")(same(same(x))))
    assert list(links(model, expand_nested=True)) == [f"{x.name} (InputLayer)", "y (Dense)"]


def test_layers_without_lines():
    assert not any(links(blocks()).values())


def test_what_stands_in_boxes():
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(3, "tanh", name="a")])
    model.trainable = False
    (box,) = boxes_of(model, Shown(True, True, True, True, True))
    expected = ["a (Dense)", "activation: tanh", "shape: (None, 3)", "dtype: float32", "frozen"]
    assert box.lines == expected


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_boxes_do_not_overlap(rankdir):
    placed, edges, (width, height) = laid_out(boxes_of(graph(), Shown(shapes=True)), rankdir)
    for i, a in enumerate(placed):
        assert a.x >= 0 and a.y >= 0 and a.x + a.width <= width and a.y + a.height <= height
        for b in placed[:i]:
            apart = a.x >= b.x + b.width or b.x >= a.x + a.width
            assert apart or a.y >= b.y + b.height or b.y >= a.y + a.height
    assert len(edges) == 13


def test_svg(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(3, name="a<b&c")])
    utils.plot_model(model, tmp_path / "m.svg", show_layer_names=True)
    root = ElementTree.parse(tmp_path / "m.svg").getroot()
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")] == [
        "a<b&c (Dense)"
    ]


def test_png(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    utils.plot_model(graph(), tmp_path / "m.png", dpi=50)
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_dot():
    text = utils.model_to_dot(sequential(), show_shapes=True, rankdir="LR")
    assert text.startswith("digraph model {\n  graph [rankdir=LR, dpi=200];")
    assert text.count(" -> ") == 2
    assert "<br/>shape: (None, 3)" in text


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"to_file must end in \.svg or \.png, got .*m\.gif"):
        utils.plot_model(sequential(), tmp_path / "m.gif")
    with pytest.raises(ValueError, match="rankdir must be 'TB' or 'LR', got 'BT'"):
        utils.plot_model(sequential(), tmp_path / "m.svg", rankdir="BT")
    with pytest.raises(ValueError, match="is not built"):
        utils.plot_model(models.Sequential([layers.Dense(2)]), tmp_path / "m.svg")
    assert list(tmp_path.iterdir()) == []
