"""Optimizers around optimizers: dynamic loss scales, one optimizer for each weight."""

import numpy as np
import pytest

from gpulayers import optimizers
from gpulayers.arrays import Variable
from gpulayers.optimizers import LossScaleOptimizer, MultiOptimizer, OptimizerMap

ONES = np.ones(3, np.float32)
INFINITE = np.array([1, np.inf, 1], np.float32)


def weight(xp, path="w"):
    return Variable(xp.asarray(ONES), name=path.rpartition("/")[2], path=path)


def test_loss_scale_grows_shrinks_and_skips(xp):
    w = weight(xp)
    optimizer = LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=2)
    assert optimizer.scale_loss(3.0) == 24.0
    course = []
    with np.errstate(invalid="ignore"):  # Inside a step that is then not taken.
        for g in (8 * ONES, 8 * ONES, 16 * ONES, INFINITE, np.nan * ONES, 4 * ONES):
            optimizer.apply([xp.asarray(g)], [w])
            course.append((float(w.numpy()[0]), float(optimizer.dynamic_scale)))
    assert course == [(0.5, 8), (0, 16), (-0.5, 16), (-0.5, 8), (-0.5, 4), (-1, 4)]
    assert int(optimizer.iterations) == 4
    assert float(optimizer.scale_loss(3.0)) == 12.0
    assert [v.path.split("/")[1] for v in optimizer.variables] == [
        "iteration", "learning_rate", "step_counter", "dynamic_scale", "iteration", "learning_rate",
    ]  # fmt: skip


def test_loss_scale_hands_the_rest_to_the_inner_optimizer():
    inner = optimizers.SGD(0.5, loss_scale_factor=4.0, use_ema=True)
    optimizer = LossScaleOptimizer(inner, initial_scale=2.0)
    assert inner.loss_scale_factor is None
    optimizer.learning_rate = 0.25
    assert float(inner.learning_rate) == float(optimizer.learning_rate) == 0.25
    w = Variable(ONES)
    optimizer.apply([2 * ONES], [w])
    optimizer.apply([2 * ONES], [w])
    optimizer.finalize_variable_values([w])
    np.testing.assert_allclose(w.numpy(), 0.75 * 0.99 + 0.5 * 0.01)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"inner_optimizer": "sgd"}, TypeError, "must be an Optimizer, got str"),
        ({"clipnorm": 1.0}, ValueError, "clipnorm must be given to the inner optimizer"),
        ({"dynamic": False}, ValueError, "always dynamic"),
    ],
)
def test_loss_scale_settings_that_mean_nothing(settings, error, message):
    with pytest.raises(error, match=message):
        LossScaleOptimizer(**{"inner_optimizer": optimizers.SGD(), **settings})


def test_loss_scale_reads_old_configs():
    assert LossScaleOptimizer(optimizers.SGD(), weight_decay=None, use_ema=False).built is False


def test_map_prefers_the_path_itself():
    sgd, adam, lion = optimizers.SGD(), optimizers.Adam(), optimizers.Lion()
    table = OptimizerMap(sgd, {"encoder/.*": adam})
    table["encoder/layer/bias"] = lion
    assert table["encoder/layer/bias"] is lion
    assert table["encoder/layer/kernel"] is adam
    assert table["encoder"] is sgd
    assert (len(table), list(table)) == (2, ["encoder/.*", "encoder/layer/bias"])
    table[".*/kernel"] = lion
    with pytest.raises(ValueError, match="matches several keys"):
        table["encoder/layer/kernel"]
    with pytest.raises(ValueError, match="set already"):
        table["encoder/.*"] = sgd
    del table["encoder/.*"]
    assert table["encoder/x"] is sgd
    for key, value in ((3, sgd), ("a", "sgd"), ("a", LossScaleOptimizer(sgd))):
        with pytest.raises(TypeError, match="OptimizerMap"):
            table[key] = value
    with pytest.raises(TypeError, match="default_optimizer"):
        OptimizerMap("sgd")
    with pytest.raises(TypeError, match="must be a dict"):
        OptimizerMap(sgd, [adam])


def test_each_weight_has_its_optimizer(xp):
    a, b = weight(xp, "first/kernel"), weight(xp, "second/kernel")
    optimizer = MultiOptimizer(
        OptimizerMap(optimizers.SGD(0.5), {"second/.*": optimizers.SGD(0.25, use_ema=True)})
    )
    optimizer.apply([xp.asarray(ONES), xp.asarray(2 * ONES)], [a, b])
    np.testing.assert_allclose(a.numpy(), 0.5)
    np.testing.assert_allclose(b.numpy(), 0.5)
    assert int(optimizer.iterations) == 1
    assert len(optimizer.variables) == 2 + 3 + 2
    b.assign(xp.asarray(0 * ONES))
    optimizer.finalize_variable_values([a, b])
    np.testing.assert_allclose(b.numpy(), 0.5)
    with pytest.raises(AttributeError, match="no learning rate"):
        _ = optimizer.learning_rate
    with pytest.raises(AttributeError, match="no learning rate"):
        optimizer.learning_rate = 0.1
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


def test_optimizers_chosen_by_a_function():
    a, b = Variable(ONES, path="a"), Variable(ONES, path="b")
    optimizer = MultiOptimizer(lambda v: optimizers.SGD(1.0 if v is a else 2.0), 4.0)
    optimizer.build([a, b])
    assert [float(one.learning_rate) for one in optimizer.optimizers] == [1.0, 2.0]
    assert optimizer.scale_loss(1.0) == 4.0
    optimizer.apply([ONES, ONES])
    np.testing.assert_allclose((a.numpy()[0], b.numpy()[0]), (0.75, 0.5))
    with pytest.raises(TypeError, match="expected an Optimizer for 'a'"):
        MultiOptimizer(lambda v: None).build([a])


def test_a_scaled_loss_for_several_optimizers(xp):
    a, b = weight(xp, "a"), weight(xp, "b")
    several = MultiOptimizer(OptimizerMap(optimizers.SGD(1.0), {"b": optimizers.Adam(0.5)}))
    optimizer = LossScaleOptimizer(several, initial_scale=2.0)
    with np.errstate(invalid="ignore"):
        optimizer.apply([xp.asarray(ONES), xp.asarray(INFINITE)], [a, b])
        optimizer.apply([xp.asarray(ONES), xp.asarray(ONES)], [a, b])
    np.testing.assert_allclose(a.numpy(), 0.0)
    np.testing.assert_allclose(b.numpy(), 0.5, rtol=1e-5)
    assert int(optimizer.iterations) == 1
