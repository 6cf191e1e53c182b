"""The stand-in's capture of streams: what a test without a GPU may rely on."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from stand_in_capture import Address
from stand_in_cupy import installed

from gpulayers.cuda.activation import bias_activation


@pytest.fixture
def cupy():
    with installed(kernels=True) as module:
        yield module


def captured(cupy, work):
    """The graph of `work`, and what it gave."""
    stream = cupy.cuda.Stream(non_blocking=True)
    pool = cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        assert stream.is_capturing()
        results = work()
        graph = stream.end_capture()
    graph.pool = pool
    assert not stream.is_capturing()
    return graph, results


def test_work_is_done_when_the_graph_runs(cupy):
    x = cupy.asarray(np.arange(6.0, dtype="f4").reshape(2, 3))

    def work():
        y = cupy.exp(x * 2.0) + cupy.ones(3, "f4")
        y[0] = 7.0
        return y, bias_activation(y, None, "RELU"), y.T[1:].astype("f8"), y.sum()

    graph, results = captured(cupy, work)
    for result in results:
        assert np.isnan(result.get()).all()
    for start in (0.0, 0.5):
        x[...] = cupy.asarray(np.arange(6.0, dtype="f4").reshape(2, 3) - start)
        graph.launch()
        expected = np.exp((np.arange(6.0, dtype="f4").reshape(2, 3) - np.float32(start)) * 2) + 1
        expected[0] = 7
        y, activated, turned, total = (result.get() for result in results)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert np.array_equal(activated, y)
        assert np.array_equal(turned, y.T[1:].astype("f8"))
        assert total == y.sum()


def test_views_are_no_work(cupy):
    x = cupy.asarray(np.arange(6.0))
    _, (view, part) = captured(cupy, lambda: (x.reshape(2, 3).T, x[2:4]))
    x[...] = 1.0
    assert (view.get() == 1).all()
    assert (part.get() == 1).all()


@pytest.mark.parametrize(
    "work",
    [
        lambda cupy, x: x.get(),
        lambda cupy, x: float(x[0]),
        lambda cupy, x: bool((x > 0).all()),
        lambda cupy, x: cupy.nonzero(x),
        lambda cupy, x: cupy.where(x > 0),
        lambda cupy, x: x[x > 0],
        lambda cupy, x: cupy.argsort(x),
        lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
    ],
)
def test_waiting_is_refused_and_spoils_the_capture(cupy, work):
    x, stream = cupy.asarray(np.arange(6.0)), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="captur|Capture"):
            work(cupy, x)
        with pytest.raises(RuntimeError, match="StreamCaptureInvalidated"):
            stream.end_capture()
    assert (x + 1).get()[0] == 1


@pytest.mark.parametrize(
    ("work", "library"),
    [(lambda cupy, x: x @ x, "cuBLAS"), (lambda cupy, x: cupy.linalg.inv(x), "cuSOLVER")],
)
def test_libraries_are_refused(cupy, work, library):
    x, stream = cupy.asarray(np.eye(3)), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(NotImplementedError, match=library):
            work(cupy, x)
        stream.end_capture()


def test_other_streams_work_meanwhile(cupy):
    x, stream = cupy.asarray(np.arange(3.0)), cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
    assert (x + 1).get().tolist() == [1, 2, 3]
    with stream:
        stream.end_capture()


def test_graphs_keep_no_memory(cupy):
    kept = [cupy.asarray(np.arange(3.0))]
    graph, _ = captured(cupy, lambda: kept[0] + 1.0)
    kept.clear()
    gc.collect()
    with pytest.raises(RuntimeError, match="IllegalAddress"):
        graph.launch()


def test_a_pool_keeps_what_was_taken_from_it(cupy):
    x = cupy.asarray(np.arange(3.0))
    graph, result = captured(cupy, lambda: (x + 1.0) * 2.0)
    gc.collect()
    graph.launch()
    assert result.get().tolist() == [2, 4, 6]
    graph.pool = None
    with pytest.raises(RuntimeError, match="IllegalAddress"):
        graph.launch()


def test_buffers_of_uploads_hold_something_else_later(cupy):
    graph, (array, number) = captured(
        cupy, lambda: (cupy.asarray(np.ones(3)), cupy.asarray(np.array(2.0)))
    )
    graph.launch()
    assert np.isnan(array.get()).all()
    assert number.get() == 2


def test_addresses_of_views():
    base = np.arange(24.0).reshape(4, 6)
    for view in (base, base[1:, ::2], base.T, base[::-1], base[:0]):
        assert np.array_equal(Address(view).array(), view)
