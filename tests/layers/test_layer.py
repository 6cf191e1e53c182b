"""The base of all layers: weights, calls, masks, losses, dtypes, configs."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

import gpulayers as gl
from gpulayers import registry
from gpulayers.arrays import Tape, get_mask, namespace, set_mask
from gpulayers.layers import Dense, Dropout, Embedding, Layer, Masking


class Scale(Layer):
    """Weights made in `build`, and one in `__init__`."""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.offset = self.add_weight((), "zeros", name="offset")

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale.value * self.start + self.offset.value


class Block(Layer):
    """Layers in an attribute, a list and a dictionary."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Dense(4)
        self.rest = [Dense(3), Dense(2)]
        self.named = {"last": Dense(1)}
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs):
        x = self.first(inputs)
        for layer in self.rest:
            x = layer(x)
        return self.named["last"](x)


x34 = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_weights_of_init_and_build():
    layer = Scale()
    assert [w.name for w in layer.weights] == ["offset"]
    assert not layer.built
    y = layer(x34)
    assert layer.built
    assert [w.name for w in layer.weights] == ["offset", "scale"]
    assert [w.path for w in layer.weights] == ["scale/offset", "scale/scale"]
    np.testing.assert_array_equal(y, x34)
    assert type(y) is np.ndarray
    assert layer.count_params() == 5


def test_the_overviews_layer():
    class MyCustomLayer(Layer):
        def __init__(self, units=32, input_dim=32):
            super().__init__()
            self.units = units
            self.weight = self.add_weight(
                shape=(input_dim, units),
                initializer="random_normal",
                regularizer=gl.regularizers.l2(1e-4),
                trainable=True,
            )
            self.bias = self.add_weight(shape=(units,), initializer="zeros", trainable=True)

        def call(self, inputs):
            return gl.ops.matmul(inputs, self.weight) + self.bias

    layer = MyCustomLayer(10, 5)
    y = layer(np.ones((3, 5), np.float32))
    assert y.shape == (3, 10)
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, 1e-4 * (layer.weight.numpy() ** 2).sum(), rtol=1e-5)


def test_parts_are_found_in_attributes_lists_and_dictionaries():
    block = Block()
    assert not block.built
    block(x34)
    assert block.built
    names = [w.path.rpartition("/")[2] for w in block.weights]
    assert names == ["count", *["kernel", "bias"] * 4]
    assert len(block.trainable_weights) == 8
    assert [w.name for w in block.non_trainable_weights] == ["count"]
    assert block.weights[1].path == "block/dense/kernel"


def test_a_list_that_grows_is_noticed():
    block = Block()
    block(x34)
    assert len(block.weights) == 9
    extra = Dense(1)
    extra(x34)
    assert len(block.weights) == 9
    block.rest.append(extra)
    assert len(block.weights) == 11


def test_trainable_reaches_inner_layers():
    block = Block()
    block(x34)
    block.trainable = False
    assert block.trainable_weights == []
    assert len(block.non_trainable_weights) == 9
    assert not block.rest[0].trainable
    block.trainable = True
    block.first.trainable = False
    assert len(block.trainable_weights) == 6
    assert not block.weights[0].trainable  # Made as not trainable: stays so.


def test_get_and_set_weights():
    a, b = Block(), Block()
    a(x34), b(x34)
    b.set_weights(a.get_weights())
    np.testing.assert_array_equal(a(x34), b(x34))
    before = b.get_weights()
    with pytest.raises(ValueError, match=r"expected 9 arrays of the shapes\n  block_1/count: \(\)"):
        b.set_weights(a.get_weights()[:-1])
    wrong = a.get_weights()
    wrong[3] = wrong[3][:2]
    with pytest.raises(ValueError, match=r"but got 9: .*\(2, 3\)"):
        b.set_weights(wrong)
    for w, v in zip(before, b.get_weights(), strict=True):
        np.testing.assert_array_equal(w, v)


def test_weights_need_whole_sizes_and_come_before_the_end_of_build():
    with pytest.raises(ValueError, match="needs whole sizes"):
        Scale()(gl.Input((None,)))
    layer = Scale()
    layer(x34)
    with pytest.raises(ValueError, match="is built already"):
        layer.add_weight((2,), name="late")


def test_errors_name_layer_and_argument():
    with pytest.raises(TypeError, match=r"Scale: unexpected arguments: 'inptu_shape'"):
        Scale(inptu_shape=3)
    with pytest.raises(ValueError, match="units must be a positive integer, got -3"):
        Dense(-3)
    with pytest.raises(TypeError, match="units must be a positive integer, got 'many'"):
        Dense("many")
    with pytest.raises(ValueError, match="must not contain '/'"):
        Dense(1, name="a/b")
    with pytest.raises(ValueError, match="no weights to count yet"):
        Dense(1).count_params()
    with pytest.raises(NotImplementedError, match="Empty does not define `call`"):
        type("Empty", (Layer,), {})()(x34)


def test_calls_that_do_not_fit():
    layer = Dense(2)
    layer(x34)
    with pytest.raises(ValueError, match=r"Dense 'dense'.*axis -1.*4.*\(3, 5\)"):
        layer(np.ones((3, 5), np.float32))
    with pytest.raises(TypeError, match="arrays of numpy and of array_api_strict"):
        layer(array_api_strict.ones((3, 4)))


def test_arrays_decide_where_weights_live():
    strict = array_api_strict.asarray(x34)
    layer, kind = Scale(), type(strict)
    y = layer(strict)
    assert isinstance(y, kind)
    assert all(isinstance(w.value, kind) for w in layer.weights)
    np.testing.assert_array_equal(layer.get_weights()[1], np.ones(4))


def test_training_is_resolved():
    class Tell(Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    class Outer(Layer):
        def __init__(self):
            super().__init__()
            self.inner = Tell()

        def call(self, inputs):
            return self.inner(inputs)

    class Default(Tell):
        def call(self, inputs, training=True):
            return super().call(inputs, training)

    seen = []
    Tell()(x34)
    Tell()(x34, training=True)
    Tell()(x34, training=False)
    Outer()(x34, training=True)
    Default()(x34)
    Default()(x34, training=False)
    assert seen == [None, True, False, True, True, False]


def test_repeated_calls_do_the_same():
    layer = Dropout(0.5, seed=1)
    a, b, c = (layer(x34, training=t) for t in (False, True, True))
    assert a is not b
    np.testing.assert_array_equal(a, x34)
    assert (b == 0).any()
    assert not np.array_equal(b, c)
    np.testing.assert_array_equal(layer(x34), x34)


def test_losses():
    class Penalty(Layer):
        def call(self, inputs):
            self.add_loss(namespace(inputs).mean(inputs))
            return inputs

    class Twice(Layer):
        def __init__(self):
            super().__init__()
            self.a, self.b = Penalty(), Dense(2, kernel_regularizer="l2", activity_regularizer="l1")

        def call(self, inputs):
            return self.b(self.a(inputs))

    layer = Twice()
    y = layer(x34)
    assert len(layer.losses) == 3
    layer(x34)
    assert len(layer.losses) == 3
    np.testing.assert_allclose(layer.losses[0], x34.mean())
    np.testing.assert_allclose(layer.losses[1], 0.01 * np.abs(y).sum() / 3, rtol=1e-5)
    layer(gl.Input((4,)))
    assert len(layer.losses) == 3


def test_losses_have_gradients():
    layer = Dense(2, kernel_regularizer="l2")
    layer(x34)
    with Tape() as tape:
        layer(x34)
        (loss,) = layer.losses
    np.testing.assert_allclose(
        tape.gradient(loss, layer.kernel), 0.02 * layer.kernel.numpy(), rtol=1e-5
    )


def test_masks_ride_on_arrays():
    x = np.array([[1, 2, 0], [3, 0, 0]])
    embedded = Embedding(5, 2, mask_zero=True)(x)
    np.testing.assert_array_equal(get_mask(embedded), x != 0)
    assert type(embedded) is np.ndarray
    dense = Dense(3)(embedded)
    np.testing.assert_array_equal(get_mask(dense), x != 0)

    class Sees(Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            seen.append(mask)
            return inputs * 1

    seen = []
    Sees()(dense)
    Sees()(np.ones((2, 3), np.float32))
    Sees()(dense, mask=np.ones((2, 3), bool))
    np.testing.assert_array_equal(seen[0], x != 0)
    assert seen[1] is None
    assert seen[2].all()


def test_masks_by_argument():
    class Pair(Layer):
        def call(self, query, value, query_mask=None, value_mask=None):
            seen.append((query_mask, value_mask))
            return query

    seen = []
    a, b = np.ones((2, 3)), np.ones((2, 3))
    set_mask(b, np.array([[True, False, True]] * 2))
    Pair()(a, b)
    assert seen[0][0] is None
    assert seen[0][1].sum() == 4


def test_a_layer_without_masking_says_so():
    class Plain(Layer):
        def call(self, inputs):
            return inputs * 2

    x = Masking()(np.zeros((2, 3, 1), np.float32))
    with pytest.warns(UserWarning, match="layer 'plain' .* does not support masking"):
        y = Plain()(x)
    assert get_mask(y) is None


def test_symbolic_masks():
    x = gl.Input((3,), dtype="int32")
    y = Dense(2)(Embedding(5, 2, mask_zero=True)(x))
    assert get_mask(y).shape == (None, 3)


def test_dtypes():
    assert Dense(2)(x34.astype(np.float64)).dtype == np.float32
    assert Dense(2, dtype="float64")(x34).dtype == np.float64
    layer = Dense(2, dtype="mixed_float16")
    y = layer(x34)
    assert y.dtype == np.float16
    assert layer.kernel.dtype == np.float32
    assert (layer.dtype, layer.compute_dtype) == ("float32", "float16")
    assert Dense(2, dtype="bfloat16")(x34).dtype.name == "bfloat16"
    gl.config.set_dtype_policy("mixed_bfloat16")
    assert Dense(2)(x34).dtype.name == "bfloat16"


def test_integers_stay_integers():
    seen = []

    class Look(Layer):
        def call(self, inputs):
            seen.append(inputs.dtype)
            return inputs

    Look()(np.arange(3))
    Look()([1, 2])
    Look()([1.0, 2.0])
    assert seen == [np.int64, np.int32, np.float32]


def test_configs():
    layer = Scale(2.0, name="mine", trainable=False, dtype="float64")
    config = layer.get_config()
    assert config["name"] == "mine"
    assert config["start"] == 2.0
    again = Scale.from_config(config)
    assert again.get_config() == config
    described = registry.serialize(Dense(3, activation="relu", kernel_regularizer="l2"))
    assert (described["module"], described["class_name"]) == ("keras.layers", "Dense")
    assert registry.deserialize(described).get_config() == described["config"]


def test_old_spellings_of_the_input_shape():
    model = gl.Sequential([Dense(2, input_shape=(4,))])
    assert model.built
    assert gl.Sequential([Dense(2, input_dim=4)]).built
    assert gl.Sequential([Dense(2, batch_input_shape=(None, 4))]).input_shape == (None, 4)


def test_compute_output_shape():
    assert Dense(7).compute_output_shape((None, 3)) == (None, 7)
    assert Scale().compute_output_shape((None, 3)) == (None, 3)
    assert Block().compute_output_shape((5, 3)) == (5, 1)


def test_an_own_output_shape_is_believed():
    class Odd(Layer):
        def call(self, inputs):
            raise AssertionError("not called")

        def compute_output_shape(self, input_shape):
            return (input_shape[0], 17)

    assert Odd()(gl.Input((3,))).shape == (None, 17)


def test_build_by_hand():
    layer = Dense(2)
    layer.build((None, 3))
    assert layer.built
    assert layer.kernel.shape == (3, 2)
    assert layer.get_build_config() == {"input_shape": (None, 3)}
    again = Dense(2)
    again.build_from_config({"input_shape": [None, 3]})
    assert again.kernel.shape == (3, 2)


def test_several_inputs_by_name():
    class Mix(Layer):
        def build(self, left_shape, right_shape):
            self.w = self.add_weight((left_shape[-1], right_shape[-1]), name="w")

        def call(self, left, right):
            return left @ self.w * right

    layer = Mix()
    assert layer(np.ones((2, 3), np.float32), right=np.ones((2, 4), np.float32)).shape == (2, 4)
    assert layer.w.shape == (3, 4)
    assert set(layer.get_build_config()["shapes_dict"]) == {"left_shape", "right_shape"}


def test_automatic_names():
    assert [Dense(1).name, Dense(1).name, Scale().name] == ["dense", "dense_1", "scale"]
    gl.utils.clear_session()
    assert Dense(1).name == "dense"


def test_to_moves_all_weights():
    block = Block()
    block(x34)
    assert block.to("cpu") is block
    with pytest.raises(ValueError, match='expected "cpu", "gpu" or "gpu:1", got \'tpu\''):
        block.to("tpu")


def test_layers_can_be_pickled_and_copied():
    import copy
    import pickle

    layer = gl.Sequential([Dense(3, activation="relu"), Dropout(0.5), Dense(2)])
    y = layer(x34)
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        np.testing.assert_array_equal(again(x34), y)
        again.layers[0].kernel.assign_add(1.0)
    np.testing.assert_array_equal(layer(x34), y)
