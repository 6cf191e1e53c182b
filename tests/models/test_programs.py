"""Programs give what layers give: each kind of move, at few samples, and when things change."""

from functools import partial

import numpy as np
import pytest
from inference_plan_checks import at_once, block, compare, functional, in_full

import gpulayers as gl
from gpulayers import config
from gpulayers import layers as L
from gpulayers.cpu import program as cpu
from gpulayers.models.inference_plan import plan_of
from gpulayers.models.programs import written

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("compiled")

RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.normal(size=shape).astype("float32")


def check(model, x, rtol=1e-5):
    """Compare a program with full calls; gives the program."""
    program = written(plan_of(model, x), x.shape)
    assert program is not None, plan_of(model, x)
    y = program(x)
    compare(y, in_full(model, x), rtol)
    compare(program(x), y, 0)
    return program


def flat(x):
    return L.Flatten()(x)


def residual(x):
    y = L.Conv2D(4, 3, padding="same")(x)
    return L.ReLU()(L.Add()([x, L.Conv2D(4, 3, padding="same")(y), y]))


def margins_of_many(x):
    """One array read with margins of several widths, of two values, and with none."""
    y = L.Conv2D(4, 1, activation="relu")(x)
    ways = [L.Conv2D(4, 5, padding="same")(y), L.Conv2D(4, 3, padding="same")(y)]
    ways += [L.MaxPooling2D(3, 1, "same")(y), L.AveragePooling2D(3, 1, "same")(y), y]
    return L.Add()([*ways, L.ZeroPadding2D(((2, 0), (0, 2)))(L.Conv2D(4, 3)(y))])


IMAGES = {
    "one channel to others": lambda x: L.Conv2D(32, 3)(L.Conv2D(1, 1)(x)),
    "few filters": lambda x: L.Conv2D(5, 3, activation="relu")(x),
    "a vector": lambda x: L.Conv2D(16, 3, padding="same")(x),
    "a vector and some": lambda x: L.Conv2D(21, 3, padding="same")(x),
    "three vectors": lambda x: L.Conv2D(48, 3)(x),
    "no bias": lambda x: L.Conv2D(40, 2, use_bias=False)(x),
    "strides": lambda x: L.Conv2D(8, 3, 2, padding="same")(x),
    "holes": lambda x: L.Conv2D(8, 3, dilation_rate=2, padding="same")(x),
    "margins": lambda x: L.Conv2D(8, (2, 3), padding="same")(L.ZeroPadding2D(((0, 2), (1, 0)))(x)),
    "deep": lambda x: L.Conv2D(20, 3)(L.Conv2D(64, 3)(x)),
    "normalized before": lambda x: L.Conv2D(16, 3)(L.BatchNormalization()(x)),
    "normalized": block,
    "normalized behind": lambda x: L.BatchNormalization()(L.Conv2D(8, 3, activation="relu")(x)),
    "rescaled": lambda x: L.ReLU(6)(L.Rescaling(3.0, -1)(L.ReLU()(x))),
    "each channel": lambda x: L.DepthwiseConv2D(3)(L.Conv2D(16, 1)(x)),
    "each of some channels": lambda x: L.ReLU()(
        L.BatchNormalization()(L.DepthwiseConv2D(3, 2, "same")(L.Conv2D(21, 1)(x)))
    ),
    "largest": lambda x: L.MaxPooling2D(2)(x),
    "largest with margins": lambda x: L.MaxPooling2D(3, 2, "same")(x),
    "means": lambda x: L.AveragePooling2D((2, 3), 1)(x),
    "means with margins": lambda x: L.AveragePooling2D(3, 2, "same")(x),
    "pooled and seen": lambda x: L.Conv2D(4, 3, padding="same")(L.MaxPooling2D(2)(x)),
    "rows": flat,
    "rows with margins": lambda x: L.Dense(3)(flat(L.ZeroPadding2D(1)(L.Conv2D(4, 1)(x)))),
    "rows of what others see": lambda x: L.Dense(3)(
        L.Add()([flat(y := L.Conv2D(4, 1)(x)), flat(L.Conv2D(4, 3, padding="same")(y))])
    ),
    "margins that stay": lambda x: L.Activation("sigmoid")(L.ZeroPadding2D(1)(x)),
    "margins of margins": lambda x: L.MaxPooling2D(3, 1, "same")(L.ZeroPadding2D((1, 2))(x)),
    "means of all places": lambda x: L.Dense(3)(L.GlobalAveragePooling2D()(x)),
    "largest of all places": lambda x: L.GlobalMaxPooling2D(keepdims=True)(x),
    "classes": lambda x: L.Dense(10, "softmax")(flat(block(x))),
    "each place": lambda x: L.Dense(17, "tanh")(x),
    "curves": lambda x: L.Conv2D(4, 1, activation="swish")(L.Dense(16, "sigmoid")(x)),
    "softmax of places": lambda x: L.Activation("softmax")(x),
    "tanh": lambda x: L.Activation("tanh")(x),
    "relu6": lambda x: L.ReLU(6)(x),
    "residual": residual,
    "margins of many": margins_of_many,
    "channels joined": lambda x: L.Conv2D(8, 3, padding="same")(
        L.Concatenate()([x, L.Conv2D(3, 3, padding="same")(x), L.Dense(5)(x)])
    ),
    "each place normalized": lambda x: L.LayerNormalization(axis=[-1])(L.Conv2D(9, 2)(x)),
    "nothing": lambda x: L.Dropout(0.5)(x),
}


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_images(name):
    model = functional(IMAGES[name], (7, 6, 4))
    for batch in range(1, 10):
        check(model, drawn(batch, 7, 6, 4))


ROWS = {
    "two layers": lambda x: L.Dense(10)(L.Dense(130, "relu")(x)),
    "one number": lambda x: L.Dense(1)(x),
    "no bias": lambda x: L.Dense(33, use_bias=False)(x),
    "normalized": lambda x: L.ReLU()(L.BatchNormalization()(L.Dense(12)(x))),
    "classes": lambda x: L.Dense(7, "softmax")(L.Dense(20, "swish")(x)),
    "curves": lambda x: L.Dense(3, "tanh")(L.Dense(3, "sigmoid")(x)),
    "around": lambda x: L.Add()([L.Dense(19)(x), x]),
    "more curves": lambda x: L.Concatenate()(
        [L.Dense(5, name)(x) for name in ("gelu", "elu", "selu", "leaky_relu", "relu6")]
    ),
    "each row normalized": lambda x: L.LayerNormalization(epsilon=0.1)(L.Dense(40)(x)),
    "without offsets": lambda x: L.Dense(2)(L.LayerNormalization(center=False, scale=False)(x)),
    "dropped": lambda x: L.Dropout(0.5)(L.Dense(4)(x)),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    model = functional(ROWS[name], (19,))
    for batch in range(1, 10):
        check(model, drawn(batch, 19))


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks(rank):
    conv, pool = getattr(L, f"Conv{rank}D"), getattr(L, f"MaxPooling{rank}D")

    def build(x):
        x = pool(2)(conv(20, 3, padding="same", activation="relu")(x))
        return getattr(L, f"GlobalAveragePooling{rank}D")()(x)

    model = functional(build, ((5, 6, 7)[:rank]) + (3,))
    for batch in (1, 2, 5):
        check(model, drawn(batch, *(5, 6, 7)[:rank], 3))


def test_large_matrices():
    """They are read where they lie, by few rows, as often as there are; normalization behind."""
    model = functional(lambda x: L.Dense(3)(L.BatchNormalization()(L.Dense(300)(x))), (333,))
    program = check(model, drawn(1, 333))
    assert id(model.layers[1].kernel) in program.values.keys() - program.checks.keys()
    for batch in (2, 3, 4, 9):
        check(model, drawn(batch, 333))
    assert written(plan_of(model, drawn(20, 333)), (20, 333)) is None


def test_what_is_no_number_stays():
    """NaN and infinities are where the layers have them."""
    model = functional(
        lambda x: L.Dense(6, "relu")(
            flat(L.MaxPooling2D(2)(L.Conv2D(17, 3, activation="relu")(x)))
        ),
        (6, 6, 2),
    )
    for batch in (1, 3):
        for value in (np.nan, np.inf, -np.inf):
            x = drawn(batch, 6, 6, 2)
            x[-1, 2, 3, 1] = value
            with np.errstate(invalid="ignore"):
                check(model, x)
    names = ("sigmoid", "tanh", "softmax", "swish", "gelu", "elu", "selu", "leaky_relu")
    curves = functional(lambda x: L.Concatenate()([L.Activation(a)(x) for a in names]), (5,))
    for value in (np.nan, np.inf, 200.0, -200.0, 0.0):
        x = drawn(2, 5)
        x[1, 2] = value
        with np.errstate(invalid="ignore", over="ignore"):
            check(curves, x)


def test_inputs_as_they_come():
    """Read-only, in any order, anywhere in memory; none is written to."""
    model = functional(IMAGES["classes"], (7, 6, 4))
    x = drawn(3, 7, 6, 4)
    expected = in_full(model, x)
    fixed = x.copy()
    fixed.flags.writeable = False
    moved = np.frombuffer(b"." + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not moved.flags.aligned
    turned = np.asfortranarray(x)
    spaced = np.repeat(x, 2, axis=2)[:, :, ::2]
    for given in (x, fixed, moved, turned, spaced):
        for _ in range(3):
            compare(model.predict(given, verbose=0), expected)
    np.testing.assert_array_equal(x, fixed)
    assert model._plan_for(x).programs.made[3].holds()


def test_one_row_of_every_other_number():
    model = functional(lambda x: L.Dense(3)(L.Dense(20, activation="relu")(x)), (6,))
    x = drawn(1, 12)[:, ::2]
    assert not x.reshape(-1).flags.c_contiguous
    check(model, x)


def test_for_what_there_are_none():
    model = functional(lambda x: L.LayerNormalization(axis=1)(L.Dense(3)(x)), (5, 4))
    assert written(plan_of(model, drawn(2, 5, 4)), (2, 5, 4)) is None
    model = functional(lambda x: L.Concatenate(1)([x, L.Dense(4)(x)]), (5, 4))
    assert written(plan_of(model, drawn(2, 5, 4)), (2, 5, 4)) is None
    model = functional(lambda x: L.Concatenate()([x, L.Dense(4)(x)]) * 2.0, (4,))
    assert written(plan_of(model, drawn(2, 4)), (2, 4)) is None
    model = functional(lambda x: L.Dense(3, "mish")(x), (4,))
    assert written(plan_of(model, drawn(2, 4)), (2, 4)) is None
    turned = functional(lambda x: L.ReLU()(x), (4,))
    for x in [drawn(2, 4)] * 3:  # Bytes in the other order.
        compare(np.asarray(turned(x.astype(">f4")), "f4"), np.maximum(x, 0))
    two = functional(lambda x: [L.Dense(3)(x), x], (4,))
    assert plan_of(two, drawn(2, 4)).programs is None
    wide = gl.Sequential([gl.Input((4,), dtype="float64"), L.Dense(3, dtype="float64")])
    assert plan_of(wide, drawn(2, 4).astype("float64")).programs is None
    model = functional(lambda x: L.Dense(3)(x), (4,))
    for _ in range(3):
        assert model(drawn(0, 4)).shape == (0, 3)


def test_kernels_are_read_as_they_are_now():
    model = functional(lambda x: L.Dense(5)(flat(L.Conv2D(16, 3)(x))), (7, 6, 4))
    x = drawn(4, 7, 6, 4)
    model.layers[1].kernel.value.flags.writeable = False
    program = check(model, x)
    model.layers[1].kernel.value.flags.writeable = True
    conv, dense = model.layers[1], model.layers[3]
    conv.kernel.value[0, 0, 0, 0] = 5
    compare(program(x), in_full(model, x))
    dense.kernel.value[3, 2] = 7  # Of five filters there is a copy, in a full vector.
    assert program(x) is None and program.holds()
    conv.kernel.assign(np.zeros(conv.kernel.shape))
    assert not program.holds()
    for _ in range(3):
        compare(model(x), in_full(model, x))


def test_used_after_a_while():
    config.set_jit(None)
    model, x = functional(lambda x: L.Dense(5)(x), (4,)), drawn(1, 4)
    model(x), model(x)
    programs = model._plan_for(x).programs
    for _ in range(cpu.USED - 1):
        model.predict(x, verbose=0)
        assert not programs.made
    compare(model(x), in_full(model, x))
    assert programs.made
    model.layers[1].bias.assign(np.ones(5))
    compare(model(x), in_full(model, x))
    assert not programs.made  # Who trains between calls does not wait for programs.
    config.set_jit(False)
    for _ in range(2 * cpu.USED):
        model(x)
    assert not programs.made


def test_samples_are_shared_among_threads(monkeypatch):
    monkeypatch.setattr(cpu, "available", lambda: 3)
    model = functional(IMAGES["classes"], (7, 6, 4))
    plan = plan_of(model, x := drawn(8, 7, 6, 4))
    assert type(cpu.divided(partial(written, plan), x.shape)) is cpu.Program
    monkeypatch.setattr(cpu, "SHARED", 0)
    for batch in (3, 4, 8):
        parts = cpu.divided(partial(written, plan), (batch, 7, 6, 4))
        assert len(parts.parts) == 3 and len(parts.programs) == (2 if batch % 3 else 1)
        for x in (drawn(batch, 7, 6, 4), np.asfortranarray(drawn(batch, 7, 6, 4))):
            compare(parts(x), in_full(model, x))
    assert cpu.divided(partial(written, plan), (2, 7, 6, 4)) is None
    conv = model.layers[1]
    conv.kernel.value[0, 0, 0, 0] = 5  # A copy of it was normalized.
    assert parts.holds() and parts(x) is None
    conv.kernel.assign(conv.kernel + 1)
    assert not parts.holds()


def test_threads_at_the_same_time():
    model = functional(IMAGES["classes"], (7, 6, 4))
    given = [drawn(batch, 7, 6, 4) for batch in (1, 2, 2, 3)]
    expected = [in_full(model, x) for x in given]
    for x in given:
        model(x), model(x)
    wrong = []

    def work(x, y):
        for i in range(300):
            found = model(x) if i % 2 else model.predict(x, verbose=0)
            if np.abs(found - y).max() > 1e-5:
                wrong.append(i)

    at_once(work, zip(given, expected))
    assert not wrong
    assert len(model._plan_for(given[1]).programs.made) == 3


def test_outputs_belong_to_the_caller():
    model, x = functional(lambda x: L.Dropout(0.5)(L.Dense(4)(x)), (4,)), drawn(2, 4)
    for _ in range(3):
        first = model.predict(x, verbose=0)
    kept = first.copy()
    first[...] = 7
    compare(model.predict(x, verbose=0), kept, 0)
