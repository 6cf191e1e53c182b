"""The order of a layer's parts: that of Keras 3.15, the order in which the layer got them."""

import copy
import pickle

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.arrays import Variable


class Holder(layers.Layer):
    """Keeps what it is told to."""


def _dense(name):
    return layers.Dense(3, use_bias=False, name=name)


def _in_turn(holder):
    holder.a, holder.b = [], []
    for i in range(2):
        holder.a.append(_dense(f"a{i}"))
        holder.b.append(_dense(f"b{i}"))


def _set_later(holder):
    a, b = [], []
    for i in range(2):
        a.append(_dense(f"a{i}"))
        b.append(_dense(f"b{i}"))
    holder.b = b
    holder.a = a


def _dictionary(holder):
    holder.x = {}
    holder.y = _dense("y")
    holder.x["k2"] = _dense("k2")
    holder.x["k1"] = _dense("k1")


def _inserted(holder):
    holder.a = [_dense("a0")]
    holder.b = _dense("b")
    holder.a.insert(0, _dense("a1"))
    holder.a += [_dense("a2")]


def _popped(holder):
    holder.a = [_dense("a0"), _dense("a1")]
    holder.b = _dense("b")
    holder.a.pop(0)
    holder.a.append(_dense("a2"))


def _reversed(holder):
    holder.a = [_dense("a0"), _dense("a1"), _dense("a2")]
    holder.a.reverse()
    holder.a.remove(holder.a[1])


def _nested(holder):
    holder.a = {"q": {"z": _dense("z")}, "p": [_dense("p0")]}
    holder.a["q"]["y"] = _dense("y")
    holder.c = (_dense("c0"), [_dense("c1")])
    holder.a["p"].append(_dense("p1"))
    holder.c[1].append(_dense("c2"))


def _made_in_another_order(holder):
    first, second = _dense("first"), _dense("second")
    holder.a = []
    holder.a.append(second)
    holder.a.append(first)


def _shared(holder):
    shared = _dense("s")
    holder.a = [shared]
    holder.b = _dense("b")
    holder.c = shared


def _replaced(holder):  # Keras goes on training the layer that is gone.
    holder.a, holder.b = _dense("a"), _dense("b")
    holder.a = _dense("c")


ORDERS = [
    (_in_turn, "a0 b0 a1 b1"),
    (_set_later, "b0 b1 a0 a1"),
    (_dictionary, "y k2 k1"),
    (_inserted, "a0 b a1 a2"),
    (_popped, "a1 b a2"),
    (_reversed, "a0 a2"),
    (_nested, "z p0 y c0 c1 p1 c2"),
    (_made_in_another_order, "second first"),
    (_shared, "s b"),
    (_replaced, "b c"),
]


@pytest.mark.parametrize(("fill", "order"), ORDERS, ids=[fill.__name__ for fill, _ in ORDERS])
def test_layers_stand_in_the_order_in_which_they_came(fill, order):
    holder = Holder()
    fill(holder)
    for each in (holder, copy.deepcopy(holder), pickle.loads(pickle.dumps(holder))):
        assert [layer.name for layer in each._layers] == order.split()
        for layer in reversed(each._layers):  # The order of building does not count.
            layer.build((None, 3))
        assert [w.path.split("/")[-2] for w in each.weights] == order.split()


class Mixed(layers.Layer):
    """Weights made in all the ways, before and in `build`."""

    def __init__(self):
        super().__init__()
        self.still = self.add_weight((1,), name="still", trainable=False)
        self.inner = _dense("inner")
        self.w = self.add_weight((1,), name="w")
        self.free = Variable(np.ones(1, "float32"), name="free")
        self.several = [Variable(np.ones(1, "float32"), name="q0")]

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.z = self.add_weight((1,), name="z")
        self.several.append(Variable(np.ones(1, "float32"), name="q1"))

    def call(self, inputs):
        return self.inner(inputs)


def test_own_weights_stand_before_those_of_inner_layers():
    layer = Mixed()
    layer(np.ones((2, 3), "float32"))
    assert [w.name for w in layer.weights] == ["w", "free", "q0", "z", "q1", "still", "kernel"]
    assert [w.name for w in layer.trainable_weights] == ["w", "free", "q0", "z", "q1", "kernel"]


def test_what_is_gone_comes_last_when_it_returns():
    holder = Holder()
    holder.a, holder.b = _dense("a"), _dense("b")
    kept = holder.a
    del holder.a
    assert holder._layers == [holder.b]
    holder.c = kept
    assert [layer.name for layer in holder._layers] == ["b", "a"]
