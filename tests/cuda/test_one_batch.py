"""`predict` of one batch on a GPU: there, through a plan or a graph, and back, with one wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from capture_checks import runs_of
from gpu_plan_checks import block, in_full, model_of, numbers

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.models import data, one_batch, trainer


def dense(x):
    return L.Dense(3, "softmax")(L.Dense(5, "relu")(x))


def ready(build=dense, shape=(4,), policy="float32", jit=False):
    """A model that has its plan, for arrays of the host."""
    model = model_of(build, shape, policy)
    model.compile("sgd", "mse", jit_compile=jit)
    for _ in range(2):
        model.predict(zeros_like_inputs(model, 2), verbose=0)
    assert model._plan.last is not None
    return model


def zeros_like_inputs(model, rows):
    return gl.tree.map_structure(lambda t: np.zeros((rows, *t.shape[1:]), t.dtype), model.input)


@pytest.fixture
def no_loop(monkeypatch):
    """No batches are made, nothing is prefetched, and no callbacks are called."""

    def refuse(*args, **options):
        raise AssertionError("the loop of predict")

    monkeypatch.setattr(trainer.Trainer, "_predict_all", refuse)
    monkeypatch.setattr(data.prefetch.PinnedCopies, "start", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def calls(cupy, launched, monkeypatch):
    """What the host asks of the GPU, in its order: launches, copies, waits."""
    if not hasattr(cupy.ndarray, "_host"):
        pytest.skip("counts calls of the stand-in")

    def noted(owner, name, label):
        function = getattr(owner, name)

        def call(*args, **options):
            launched.append(label)
            return function(*args, **options)

        monkeypatch.setattr(owner, name, call)

    noted(cupy.ndarray, "set", "to the GPU")
    noted(cupy.ndarray, "get", "to the host")
    noted(cupy.cuda.Stream, "synchronize", "wait")
    noted(cupy.cuda.Graph, "launch", "graph")
    return launched


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_one_copy_there_one_back_and_one_wait(cupy, calls, no_loop_after, rows):
    model, x = ready(), numbers(rows, 4)
    no_loop_after()
    calls.clear()
    found = model.predict(x)
    assert [name for name in calls if name not in ("gemm", "gemm_finish")] == [
        "to the GPU", "softmax_forward", "to the host", "wait",
    ]  # fmt: skip
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, in_full(model, cupy.asarray(x)).get(), rtol=1e-5)


@pytest.fixture
def no_loop_after(request):
    """A function from whose call on `no_loop` holds."""
    return lambda: request.getfixturevalue("no_loop")


def test_arrays_of_the_gpu_stay_there_without_a_wait(cupy, calls, no_loop_after):
    model, x = ready(), cupy.asarray(numbers(3, 4))
    no_loop_after()
    calls.clear()
    found = model.predict(x)
    assert {*calls} <= {"gemm", "gemm_finish", "softmax_forward"}
    assert type(found) is cupy.ndarray
    np.testing.assert_allclose(found.get(), in_full(model, x).get(), rtol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
def test_what_comes_is_what_the_loop_gives(cupy, policy, dtype):
    model = model_of(block, (6, 6, 4), policy)
    x = np.abs(numbers(3, 6, 6, 4) * 3).astype(dtype)
    expected = model.predict(x, verbose=0)
    for _ in range(3):
        found = model.predict(x, verbose=0)
        assert (type(found), found.dtype) == (np.ndarray, expected.dtype)
        tolerance = 1e-5 if policy == "float32" else 2e-2
        np.testing.assert_allclose(
            found.astype("f4"), expected.astype("f4"), rtol=tolerance, atol=tolerance
        )


def test_several_inputs_and_outputs(cupy, no_loop_after):
    gl.config.set_device("gpu")
    a, b = gl.Input((5,), name="a"), gl.Input((3,), name="b")
    joined = L.Concatenate()([a, b])
    model = gl.Model({"a": a, "b": b}, {"sum": L.Dense(2)(joined), "same": a})
    x = {"b": numbers(4, 3), "a": numbers(4, 5).astype("f8")}
    expected = [model.predict(x, verbose=0) for _ in range(2)][-1]
    no_loop_after()
    found = model.predict(x)
    assert found.keys() == expected.keys()
    for name in expected:
        assert np.array_equal(found[name], expected[name])
    there = {name: cupy.asarray(array.astype("f4")) for name, array in x.items()}
    same = model.predict(there)["same"]
    assert np.array_equal(same.get(), x["a"].astype("f4"))
    same.fill(0)  # It is the caller's own.
    assert np.array_equal(there["a"].get(), x["a"].astype("f4"))


def test_results_stay_when_buffers_are_used_again(cupy):
    model = ready()
    found = [model.predict(np.full((2, 4), i, "f4")) for i in range(4)]
    for i, one in enumerate(found):
        expected = in_full(model, cupy.asarray(np.full((2, 4), i, "f4"))).get()
        np.testing.assert_allclose(one, expected, rtol=1e-5)


def test_threads_have_buffers_of_their_own(cupy):
    model, batches = ready(), [numbers(1 + i % 3, 4) for i in range(12)]
    expected = [model.predict(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.predict, batches * 5))
    for a, b in zip(found, expected * 5, strict=True):
        assert np.array_equal(a, b)


def test_large_buffers_are_not_kept(cupy, monkeypatch):
    monkeypatch.setattr(one_batch, "LARGEST", 100)
    model = ready()
    kept = model._plan.last.one_batch._waiting
    kept.clear()
    model.predict(numbers(8, 4))
    assert not kept
    for rows in (1, 2, 2, 1):
        model.predict(numbers(rows, 4))
    assert {rows: len(ones) for rows, ones in kept.items()} == {1: 1, 2: 1}


def test_changes_are_noticed(cupy):
    model, x = ready(), numbers(1, 4)
    for weight in model.weights:
        weight.assign(weight.numpy() * 0.5 + 0.25)
        expected = in_full(model, cupy.asarray(x)).get()
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)
    model.layers[-1].activation = gl.activations.relu
    for _ in range(3):
        expected = in_full(model, cupy.asarray(x)).get()
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)
    model.to("cpu")
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)


def test_the_loop_has_the_rest(cupy, monkeypatch):
    """More than a batch, callbacks, lists, a step of one's own, wrong shapes and no rows."""
    model, seen = ready(), []
    whole = trainer.Trainer._predict_all
    monkeypatch.setattr(
        trainer.Trainer, "_predict_all", lambda *args: seen.append(1) or whole(*args)
    )
    x = numbers(3, 4)
    model.predict(x)
    assert not seen
    model.predict(x, batch_size=2, verbose=0)
    model.predict(x, verbose=0, callbacks=[gl.callbacks.Callback()])
    model.predict(x, verbose=0, steps=1)
    model.predict([x], verbose=0)
    assert len(seen) == 4
    with pytest.raises(ValueError, match="4"):
        model.predict(numbers(3, 5), verbose=0)
    with pytest.raises(ValueError):
        model.predict(x[:0], verbose=0)

    class Own(gl.Model):
        def predict_step(self, data):
            return super().predict_step(data) * 2

    own = Own(model.input, model.output)
    for _ in range(3):
        np.testing.assert_allclose(own.predict(x, verbose=0), 2 * model.predict(x), rtol=1e-5)


def test_a_graph_is_taken(cupy, calls, same_products, no_loop_after):
    model, x = ready(jit=True), numbers(2, 4)
    assert runs_of(model)["predict"] == 1
    no_loop_after()
    calls.clear()
    found = model.predict(x)
    kernels = {"copy_arrays", "gemm", "gemm_finish", "softmax_forward"}
    assert [name for name in calls if name not in kernels] == [
        "to the GPU", "graph", "to the host", "wait",
    ]  # fmt: skip
    assert runs_of(model)["predict"] == 2
    np.testing.assert_allclose(found, in_full(model, cupy.asarray(x)).get(), rtol=1e-5)
    model.layers[-1].bias.assign([5.0, 7.0, 1.0])
    np.testing.assert_allclose(model.predict(x), in_full(model, cupy.asarray(x)).get(), rtol=1e-5)


def test_another_device_than_the_current_one(cupy):
    with cupy.cuda.Device(1):
        gl.config.set_device("gpu:1")
        inputs = gl.Input((4,))
        model = gl.Model(inputs, dense(inputs))
    x = numbers(2, 4)
    found = [model.predict(x, verbose=0) for _ in range(4)]
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], rtol=1e-5)
