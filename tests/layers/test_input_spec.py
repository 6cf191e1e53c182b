"""InputSpec, and the errors for inputs that do not fit one."""

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.arrays import KerasTensor
from gpulayers.layers import InputSpec
from gpulayers.layers.input_spec import check_inputs


def accepts(spec, *shape, dtype="float32"):
    try:
        check_inputs(spec, np.zeros(shape, dtype), "a")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("settings", "fitting", "wrong"),
    [
        ({"ndim": 2}, (3, 4), (3,)),
        ({"min_ndim": 2}, (3, 4, 5), (3,)),
        ({"max_ndim": 2}, (3,), (3, 4, 5)),
        ({"axes": {-1: 4}}, (2, 2, 4), (4, 2)),
        ({"axes": {1: 4}}, (2, 4), (2,)),
        ({"axes": {1: None}}, (2, 4), (2,)),
        ({"shape": (None, 4)}, (7, 4), (7, 5)),
        ({"shape": (None, 4)}, (7, 4), (7, 4, 1)),
        ({"shape": (2, 4, 1), "allow_last_axis_squeeze": True}, (2, 4), (2, 5)),
        ({"shape": (2, 4), "allow_last_axis_squeeze": True}, (2, 4, 1), (2, 4, 2)),
    ],
)
def test_shapes(settings, fitting, wrong):
    assert accepts(InputSpec(**settings), *fitting)
    assert not accepts(InputSpec(**settings), *wrong)


def test_dtype():
    spec = InputSpec(dtype="int32")
    assert accepts(spec, 2, dtype="int32")
    assert not accepts(spec, 2, dtype="float32")


def test_unknown_sizes_fit():
    tensor = KerasTensor((None, 4))
    check_inputs(InputSpec(shape=(8, 4)), tensor, "a")
    check_inputs(InputSpec(axes={0: 8}), tensor, "a")
    with pytest.raises(ValueError, match="expected axis 1 of size 5, got 4"):
        check_inputs(InputSpec(axes={1: 5}), tensor, "a")


def test_message_says_who_what_and_what_came():
    with pytest.raises(
        ValueError,
        match=r"Dense 'top': input 0 is incompatible with the layer: expected axis -1 of size 4, "
        r"got 3 \(shape \(2, 3\)\)\.",
    ):
        check_inputs(InputSpec(axes={-1: 4}), np.zeros((2, 3)), "top", "Dense")


def test_structures():
    specs = [InputSpec(ndim=2, name="a"), InputSpec(ndim=1, name="b")]
    one, two = np.zeros((2, 3)), np.zeros(2)
    check_inputs(specs, [one, two], "m")
    check_inputs(specs, {"b": two, "a": one, "c": 0}, "m")
    with pytest.raises(ValueError, match="input 'b' is incompatible"):
        check_inputs(specs, [one, one], "m")
    with pytest.raises(ValueError, match=r"lack \['b'\]: expected the keys \['a', 'b'\]"):
        check_inputs(specs, {"a": one}, "m")
    with pytest.raises(ValueError, match=r"expected 2 inputs, got 1: \(2, 3\).*named \['a', 'b'\]"):
        check_inputs(specs, one, "m")
    with pytest.raises(ValueError, match="input 1 must be an array, got 'text'"):
        check_inputs(specs, [one, "text"], "m")


def test_optional_and_missing_specs():
    check_inputs([InputSpec(ndim=2, optional=True), None], [None, np.zeros(3)], "m")
    check_inputs(None, np.zeros(3), "m")
    with pytest.raises(ValueError, match="input 0 must be an array, got None"):
        check_inputs([InputSpec(ndim=2), None], [None, np.zeros(3)], "m")


def test_config_round_trip():
    spec = InputSpec("float32", (None, 3), axes={1: 3}, optional=True)
    again = InputSpec.from_config(spec.get_config())
    assert again.get_config() == spec.get_config()
    assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 3), ndim=2, axes={1: 3})"


def test_bad_specs():
    with pytest.raises(TypeError, match="axes must be a dictionary with whole numbers"):
        InputSpec(axes={"last": 2})
    with pytest.raises(TypeError, match="axes must be a dictionary"):
        InputSpec(axes=[1])
    with pytest.raises(ValueError, match="axis 2 does not exist in 2 axes"):
        InputSpec(ndim=2, axes={2: 3})


def test_layers_check():
    class Pair(layers.Layer):
        def __init__(self):
            super().__init__(name="pair")
            self.input_spec = [InputSpec(ndim=1), InputSpec(ndim=2)]

        def call(self, inputs):
            return inputs[0]

    layer = Pair()
    assert layer([np.zeros(2), np.zeros((2, 2))]).shape == (2,)
    with pytest.raises(ValueError, match=r"Pair 'pair': input 1 .* expected ndim=2, got ndim=1"):
        layer([np.zeros(2), np.zeros(2)])
    with pytest.raises(ValueError, match="Pair 'pair': expected 2 inputs, got 1"):
        layer(np.zeros(2))
