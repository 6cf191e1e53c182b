"""Work for models of thousands of layers grows as they do: counted, not timed."""

from __future__ import annotations

import sys

import pytest

import gpulayers
from gpulayers import layers, models, registry

FEW, MANY = 60, 240


def steps(function, *args) -> int:
    """How many lines of this library run, each pass of a comprehension included."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if "gpulayers" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return count


def stack(count):
    model = models.Sequential([gpulayers.Input((3,))])
    for _ in range(count):
        model.add(layers.Activation("relu"))
    return model


def chain(count):
    x = first = gpulayers.Input((3,))
    for _ in range(count):
        x = layers.Activation("relu")(x)
    return models.Model(first, x)


def described(make, turned=False):
    def prepared(count):
        config = registry.serialize(make(count))
        if turned:
            config["config"]["layers"].reverse()
        return config

    return prepared


@pytest.mark.parametrize(
    ("prepare", "work"),
    [
        (int, stack),
        (int, chain),
        (stack, registry.serialize),
        (chain, registry.serialize),
        (described(stack), registry.deserialize),
        (described(chain), registry.deserialize),
        (described(chain, turned=True), registry.deserialize),
        (chain, lambda model: model.weights),
    ],
    ids=["stack", "chain", "describe a stack", "describe a chain", "make a stack", "make a chain",
         "make a chain from its end", "weights"],
)  # fmt: skip
def test_steps_grow_as_the_layers_do(prepare, work):
    work(prepare(FEW))  # Modules are imported, and tables made.
    few, many = (steps(work, prepare(count)) for count in (FEW, MANY))
    assert many < 1.1 * MANY / FEW * few


def test_names_are_compared_with_those_of_now():
    first, second = layers.Activation("relu", name="a"), layers.Activation("relu", name="b")
    model = models.Sequential([first, second])
    with pytest.raises(ValueError, match="the name 'b' is taken"):
        model.add(layers.Activation("relu", name="b"))
    second.name = "c"
    model.add(layers.Activation("relu", name="b"))
    with pytest.raises(ValueError, match="the name 'c' is taken"):
        model.add(layers.Activation("relu", name="c"))
    assert model.pop().name == "b"
    model.add(layers.Activation("relu", name="b"))
    assert [layer.name for layer in model.layers] == ["a", "c", "b"]
