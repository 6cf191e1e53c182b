"""Calls of layers with other values, losses of calls from elsewhere, and where names come from."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers.layers import Dense, Dropout, Input, InputLayer, Layer

x34 = np.arange(12, dtype=np.float32).reshape(3, 4)


class Counting(Layer):
    def __init__(self):
        super().__init__()
        self.factor = self.add_weight((), "ones", regularizer="l2")
        self.calls = self.add_weight((), "zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        self.add_loss(self.factor * 3.0)
        return inputs * self.factor


def test_a_stateless_call_leaves_the_layer_as_it_was():
    layer = Counting()
    y, others, losses = layer.stateless_call([2.0], [5.0], x34, return_losses=True)
    np.testing.assert_array_equal(y, x34 * 2)
    assert [float(v) for v in others] == [6.0]
    assert [float(v) for v in losses] == pytest.approx([6.0, 0.01 * 4])
    assert [float(v) for v in layer.weights] == [1.0, 0.0]
    assert len(layer.stateless_call(layer.trainable_variables, [0.0], x34)) == 2
    with pytest.raises(ValueError, match="has 2 variables, got 1 values"):
        layer.stateless_call([2.0], [], x34)
    with pytest.raises(ValueError, match="build Dense"):
        Dense(2, name="late").stateless_call([], [], x34)


def test_losses_of_a_call_alone_are_gone_after_one_in_a_model():
    layer = Counting()
    layer(x34)
    model = gl.Sequential([gl.Sequential([layer])])
    for _ in range(2):
        model(x34)
        assert len(model.losses) == 2  # One of the call, one of the weight.


def test_an_empty_batch_has_no_activity_loss():
    layer = Dense(2, activity_regularizer="l2")
    layer(x34[:0])
    assert float(layer.losses[0]) == 0


def test_weights_that_come_later_are_named_like_the_first():
    class Whole(gl.Model):
        def __init__(self):
            super().__init__(name="whole")
            self.part = Dense(3, name="part")

        def build(self, input_shape):
            self.part.build(input_shape)

        def call(self, inputs):
            return self.part(inputs)

    model = Whole()
    model.build((None, 4))
    assert model.part.path == "whole/part"
    model.part.enable_lora(2)
    assert model.part.lora_kernel_a.path == "whole/part/lora_kernel_a"


def test_metrics_variables():
    layer = Counting()
    layer.error = gl.metrics.MeanSquaredError(name="error")
    assert [v.path for v in layer.metrics_variables] == ["error/total", "error/count"]


def test_a_name_in_the_place_of_the_shape_is_refused():
    with pytest.raises(TypeError, match="add_weight takes the shape first, got 'kernel'"):
        Layer().add_weight("kernel", (3, 4))


def test_build_gets_the_shapes_of_masks_it_asks_for():
    class Masked(Layer):
        def build(self, inputs_shape, attention_mask_shape=None):
            self.shapes = inputs_shape, attention_mask_shape

        def call(self, inputs, attention_mask=None):
            return inputs if attention_mask is None else inputs * attention_mask

    layer = Masked()
    layer(x34, attention_mask=np.ones((3, 1), np.float32))
    assert layer.shapes == ((3, 4), (3, 1))


def test_layers_without_weights_may_get_some_in_subclasses():
    class Shifted(Dropout):
        def build(self, input_shape):
            self.shift = self.add_weight(input_shape[-1:], "ones")

        def call(self, inputs, training=False):
            return super().call(inputs, training) + self.shift

    layer = Shifted(0.5)
    assert not layer.built
    np.testing.assert_array_equal(layer(x34), x34 + 1)


def test_an_input_tensor_and_what_is_said_beside_it_agree():
    tensor = gl.KerasTensor((2, 3))
    layer = InputLayer(shape=(3,), batch_size=2, dtype="float32", input_tensor=tensor)
    assert layer.output is tensor
    for wrong in ({"shape": (4,)}, {"batch_size": 5}, {"batch_shape": (2, 4)}, {"dtype": "int32"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .* but that of input_tensor"):
            InputLayer(input_tensor=gl.KerasTensor((2, 3)), **wrong)
    with pytest.raises(ValueError, match="give `batch_shape`, or"):
        Input(batch_size=4, batch_shape=(2, 3))
    with pytest.warns(UserWarning, match="input_shape is an old name"):
        assert InputLayer(input_shape=(3,)).batch_shape == (None, 3)


def test_sparse_keras_tensors_are_refused():
    assert not gl.KerasTensor((2, 3), name="x").sparse
    with pytest.raises(ValueError, match="not supported"):
        gl.KerasTensor((2, 3), sparse=True)


def test_variables_take_the_names_of_initializers():
    np.testing.assert_array_equal(gl.Variable("ones", shape=(2,)).numpy(), [1, 1])
    with pytest.raises(ValueError, match="shape"):
        gl.Variable("zeros")


def test_a_policy_without_a_name_is_the_default_one():
    gl.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert gl.DTypePolicy().name == "mixed_bfloat16"
    finally:
        gl.config.set_dtype_policy(None)
    assert gl.DTypePolicy().name == "float32"
