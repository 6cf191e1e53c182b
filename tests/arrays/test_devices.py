"""Arrays from library to library, with their dtypes."""

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.arrays import Variable, devices, dtypes, namespace

NAMES = [name for name in dtypes.NAMES if not name.startswith("complex")]


def sample(name):
    return np.array([[0, 1, 1], [3, 0, 2]]).astype(dtypes.numpy_dtype(name))


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(xp, name):
    """Every dtype that a library has keeps its name and its values."""
    like = xp.asarray(np.zeros(1, "float32"))
    space, home = namespace(like), devices.home_of(like)
    if not hasattr(space, name) and space is not devices.NUMPY:
        pytest.skip("the library has no such dtype")
    if (
        name in ("int64", "uint64", "float64")
        and dtypes.name(space.asarray(0.0).dtype) != "float64"
    ):
        pytest.skip("the library computes in 32 bits")
    there = devices.put(sample(name), home)
    assert dtypes.name(there.dtype) == name
    assert dtypes.name(dtypes.of(space, name)) == name
    assert there.dtype == dtypes.of(space, name)
    assert devices.home_of(there) == home
    back = devices.to_numpy(there)
    assert type(back) is np.ndarray and back.dtype == dtypes.numpy_dtype(name)
    np.testing.assert_array_equal(back.astype("float64"), sample(name).astype("float64"))
    assert devices.put(there, home).dtype == there.dtype


def test_variables_move(xp):
    like = xp.asarray(np.zeros(1, "float32"))
    variable = Variable(sample("float32"))
    variable.follow(like)
    assert isinstance(variable.value, xp.kind)
    assert variable.home == devices.home_of(like)
    variable.assign(sample("float32") + 1)
    variable.assign_add(xp.asarray(np.ones((2, 3), "float32")))
    assert isinstance(variable.value, xp.kind)
    np.testing.assert_array_equal(variable.numpy(), sample("float32") + 2)
    variable.move(devices.CPU)
    assert type(variable.value) is np.ndarray


def test_layers_come_to_their_first_array_and_go_home(xp):
    x = sample("float32")
    layer = layers.Dense(2)
    there = layer(xp.asarray(x))
    assert layer.to("cpu") is layer
    here = layer(x)
    assert type(here) is np.ndarray
    np.testing.assert_allclose(xp.to_numpy(there), here, rtol=1e-6)


def test_creation_beside_an_array(xp):
    x = xp.asarray(sample("float32"))
    made = namespace(x).ones(2, dtype=x.dtype, device=devices.device_of(x))
    assert devices.home_of(made) == devices.home_of(x)
    with devices.beside(x):
        assert devices.home_of(namespace(x).ones(2)) == devices.home_of(x)
    with devices.beside(None), devices.beside(3.0):
        pass
