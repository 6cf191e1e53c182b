"""The table of `model.summary()`."""

import numpy as np
import pytest

from gpulayers import layers, models
from gpulayers.models.summary import _memory


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def text_of(model, **options):
    texts = []
    model.summary(print_fn=texts.append, **options)
    (text,) = texts
    return text


def cells(model, **options):
    """The rows of the table as lists of texts, of which each stands in one line."""
    lines = text_of(model, **options).splitlines()
    rows = [line for line in lines if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in row.strip("│┃").replace("┃", "│").split("│")] for row in rows]


def stack():
    return models.Sequential(
        [layers.Input((4,)), layers.Dense(3, name="first"), layers.Dropout(0.5), layers.Dense(2)],
        name="stack",
    )


def test_a_stack_looks_as_in_keras():
    assert text_of(stack(), line_length=62) == "\n".join(
        [
            'Model: "stack"',
            "┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┓",
            "┃ Layer (type)             ┃ Output Shape       ┃    Param # ┃",
            "┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━┩",
            "│ first (Dense)            │ (None, 3)          │         15 │",
            "├──────────────────────────┼────────────────────┼────────────┤",
            "│ dropout (Dropout)        │ (None, 3)          │          0 │",
            "├──────────────────────────┼────────────────────┼────────────┤",
            "│ dense (Dense)            │ (None, 2)          │          8 │",
            "└──────────────────────────┴────────────────────┴────────────┘",
            " Total params: 23 (92.00 B)",
            " Trainable params: 23 (92.00 B)",
            " Non-trainable params: 0 (0.00 B)",
        ]
    )


def test_it_is_printed_by_default(capsys):
    stack().summary()
    assert capsys.readouterr().out.startswith('Model: "stack"\n┏━')


def test_lines_fit_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, text_of(stack()).splitlines())) == 56
    monkeypatch.setenv("COLUMNS", "300")
    assert max(map(len, text_of(stack()).splitlines())) == 88


def test_a_chain_of_layers_has_no_column_of_connections():
    x = layers.Input((4,), name="x")
    model = models.Model(x, layers.Dense(2)(x))
    assert cells(model) == [
        ["Layer (type)", "Output Shape", "Param #"],
        ["x (InputLayer)", "(None, 4)", "0"],
        ["dense (Dense)", "(None, 2)", "10"],
    ]


def test_a_graph_names_what_layers_are_connected_to():
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    joined = layers.Concatenate(name="joined")([shared(a), shared(b)])
    model = models.Model({"a": a, "b": b}, [joined, joined * 2.0])
    header, *rows = cells(model, line_length=140)
    assert header == ["Layer (type)", "Output Shape", "Param #", "Connected to"]
    by_name = {row[0].partition(" ")[0]: row[1:] for row in rows}
    assert by_name["a"] == ["(None, 4)", "0", "-"]
    assert by_name["shared"] == ["(None, 3)", "15", "a[0][0], b[0][0]"]
    assert by_name["joined"] == ["(None, 6)", "0", "shared[0][0], shared[1][0]"]
    assert rows[-1][1:] == ["(None, 6)", "0", "joined[0][0]"]


def test_inner_models_can_be_expanded():
    inner = stack()
    model = models.Sequential([layers.Input((4,)), inner, layers.Dense(1, name="last")])
    assert [row[0] for row in cells(model)[1:]] == ["stack (Sequential)", "last (Dense)"]
    assert [row[0] for row in cells(model, expand_nested=True)[1:]] == [
        "stack (Sequential)",
        "└ first (Dense)",
        "└ dropout (Dropout)",
        "└ dense (Dense)",
        "last (Dense)",
    ]


def test_frozen_layers():
    model = stack()
    model.layers[0].trainable = False
    assert [row[-1] for row in cells(model, show_trainable=True)] == ["Trainable", "N", "-", "Y"]
    text = text_of(model)
    assert " Trainable params: 8 (32.00 B)\n Non-trainable params: 15 (60.00 B)" in text


def test_the_optimizer_counts_once_it_is_built():
    model = stack()
    model.compile("adam", "mse")
    assert "Optimizer" not in text_of(model)
    model.optimizer.build(model.trainable_variables)
    count = sum(int(np.prod(v.shape)) for v in model.optimizer.variables)
    assert f" Optimizer params: {count} (" in text_of(model)
    assert f" Total params: {23 + count} (" in text_of(model)


def test_layers_that_are_not_built():
    model = models.Sequential([layers.Dense(3)])
    assert cells(model, line_length=100)[1] == ["dense (Dense)", "?", "0 (unbuilt)"]


def test_a_model_of_ones_own():
    class Own(models.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model(np.ones((2, 4), np.float32))
    assert cells(model)[1] == ["dense (Dense)", "(2, 3)", "15"]


def test_long_names_take_several_lines():
    model = models.Sequential([layers.Input((4,)), layers.Dense(2, name="n" * 40)])
    names = [row[0] for row in cells(model, line_length=60)[1:]]
    assert len(names) > 1
    assert "".join(names) == "n" * 40 + "(Dense)"


@pytest.mark.parametrize(
    ("layer_range", "names"),
    [
        (["first", "dropout"], ["first", "dropout"]),
        (["dropout", "first"], ["first", "dropout"]),
        (["d.*", "d.*"], ["dropout", "dense"]),
    ],
)
def test_a_range_of_layers(layer_range, names):
    rows = cells(stack(), layer_range=layer_range)[1:]
    assert [row[0].partition(" ")[0] for row in rows] == names


def test_positions_of_columns():
    model = stack()
    relative = text_of(model, line_length=81, positions=[0.5, 0.75, 1.0])
    assert relative == text_of(model, line_length=81, positions=[40.5, 60.75, 81])
    assert relative.splitlines()[1].index("┳") == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line_length": 10}, "10 characters are too few for 3 columns"),
        ({"layer_range": ["first"]}, "layer_range must be two names"),
        ({"layer_range": ["first", "nth"]}, "no layer matches 'nth'; there are first, dropout"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        stack().summary(**options)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.00 B"), (1023, "1023.00 B"), (1536, "1.50 KB"), (5 * 2**30, "5.00 GB")],
)
def test_sizes(size, text):
    assert _memory(size) == text


def test_functions_have_the_names_of_keras():
    x = layers.Input((4, 2))
    y = abs(x[:, 0]) / x[:, 1]
    rows = cells(models.Model(x, -y), line_length=120)[1:]
    titles = [row[0] for row in rows if row[0]]
    assert titles == [
        "input_layer (InputLayer)",
        "get_item (GetItem)",
        "absolute (Absolute)",
        "get_item_1 (GetItem)",
        "true_divide (TrueDivide)",
        "negative (Negative)",
    ]


def test_a_batch_of_unknown_size_is_none():
    class Own(models.Model):
        def __init__(self):
            super().__init__()
            self.stack = models.Sequential([layers.Dense(3), layers.Dense(480)])
            self.last = layers.Dense(2, name="last")

        def call(self, inputs):
            return self.last(self.stack(inputs))

    model = Own()
    model.build((None, 480))
    assert [row[1] for row in cells(model)[1:]] == ["(None, 480)", "(None, 2)"]
    assert model.last.get_build_config() == {"input_shape": (None, 480)}
