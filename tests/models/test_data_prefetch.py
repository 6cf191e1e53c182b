"""The way of batches to a GPU, with stand-ins for the GPU."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import stand_in_cupy

import gpulayers as gl
from gpulayers import layers
from gpulayers.models.data.prefetch import HostCopies, PinnedCopies, host_copies, one_ahead


class Copies:
    """A stand-in for the copies to a GPU, which notes what happened."""

    def __init__(self):
        self.events = []

    def start(self, batch):
        self.events.append(f"start {batch}")
        return batch

    def finish(self, batch):
        self.events.append(f"finish {batch}")
        return batch


def test_the_next_copy_begins_before_a_batch_is_given_out():
    copies = Copies()
    for batch in one_ahead(iter([0, 1, 2]), copies.start, copies.finish):
        copies.events.append(f"step {batch}")
    assert copies.events == [
        *("start 0", "start 1", "finish 0", "step 0"),
        *("start 2", "finish 1", "step 1"),
        *("finish 2", "step 2"),
    ]


def test_an_error_ahead_waits_for_the_batch_before():
    def source():
        yield 0
        yield 1
        raise RuntimeError("disk")

    copies, found = Copies(), []
    with pytest.raises(RuntimeError, match="disk"):
        for batch in one_ahead(source(), copies.start, copies.finish):
            found.append(batch)
    assert found == [0, 1]


def test_nothing_ahead_of_nothing():
    assert list(one_ahead(iter([]), None, None)) == []


class FakeCuda:
    """Stands in for CuPy: its copies are made at once, and all that is asked for is noted."""

    def __init__(self):
        self.notes, self.pinned = [], []
        self.current = self._stream("compute")
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking: self._stream("copy"),
            get_current_stream=lambda: self.current,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def _stream(self, name):
        notes = self.notes

        class Stream:
            def __enter__(self):
                notes.append(f"memory of {name}")

            def __exit__(self, *error):
                pass

            def record(self):
                number = sum(note.startswith(f"{name} event") for note in notes)
                notes.append(f"{name} event {number}")
                return SimpleNamespace(
                    name=f"{name} event {number}",
                    synchronize=lambda: notes.append(f"host waits for {name} event {number}"),
                )

            def wait_event(self, event):
                notes.append(f"{name} waits for {event.name}")

        return Stream()

    def empty(self, shape, dtype):
        notes = self.notes

        class OnDevice:
            def set(self, source, stream):
                notes.append("copy")
                self.value = source.copy()
                assert (source.shape, source.dtype) == (shape, dtype)

        return OnDevice()

    def empty_pinned(self, shape, dtype):
        self.pinned.append(shape)
        return np.empty(shape, dtype)


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setitem(sys.modules, "cupyx", fake)
    fake.ndarray = type("ndarray", (), {})
    return fake


def test_copies_wait_for_the_step_that_may_use_their_memory(cuda):
    copies = PinnedCopies(cuda)
    moving = copies.start((np.ones(3, np.float32), {"y": np.arange(2), "text": np.array(["a"])}))
    assert cuda.notes == [
        *("compute event 0", "copy waits for compute event 0"),
        *("memory of copy", "copy") * 2,
        "copy event 0",
    ]
    cuda.notes.clear()
    x, y = copies.finish(moving)
    assert cuda.notes == ["compute waits for copy event 0"]
    np.testing.assert_array_equal(x.value, np.ones(3))
    np.testing.assert_array_equal(y["y"].value, [0, 1])
    assert y["text"].tolist() == ["a"]


def test_host_buffers_are_used_in_turn(cuda):
    copies = PinnedCopies(cuda)
    found = []
    for number, size in enumerate([8, 8, 8, 8, 4, 6, 16]):
        (x,) = copies.finish(copies.start((np.full(size, number, np.int32),)))
        found.append(x.value.tolist())
    assert found == [[n] * size for n, size in enumerate([8, 8, 8, 8, 4, 6, 16])]
    assert cuda.pinned == [(32,)] * 3 + [(64,)]  # One for each turn, and a larger one.
    waits = [note for note in cuda.notes if note.startswith("host")]
    assert waits == [f"host waits for copy event {n}" for n in range(4)]


# The way back.


def test_results_wait_for_their_own_step_alone(cuda):
    copies = HostCopies(cuda)
    first, second = copies.mark(), copies.mark()
    cuda.notes.clear()

    class Result:
        def __init__(self, whole):
            self.flags = SimpleNamespace(c_contiguous=whole)

        def get(self, stream=cuda.current):
            return stream.record().name

    assert copies.fetched(Result(True), first) == "copy event 0"
    assert cuda.notes == ["copy waits for compute event 0", "copy event 0"]
    assert copies.fetched(Result(False), first) == "compute event 0"  # Behind what copies it.
    assert second.name == "compute event 1"


def test_nothing_comes_back_from_the_cpu():
    assert host_copies("cpu") is None
    assert host_copies(None) is None


# All of it, over the stand-in, whose copies happen as late as CUDA may let them happen.


def model_of(width):
    gl.utils.set_random_seed(0)
    model = gl.Sequential([layers.Input((width,)), layers.Dense(3)])
    model.compile(gl.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


def batches_of(kind, x, y):
    """The same data in several kinds of sources, and what else `fit` is told."""
    if kind == "arrays":
        return (x, y), {"batch_size": 8}
    if kind == "wide":
        return (x.astype("f8"), y.astype("f8")), {"batch_size": 8}
    if kind == "views":
        return (np.repeat(x, 2, 0)[::2], np.asfortranarray(y)), {"batch_size": 8}
    spans = [slice(i, i + 8) for i in range(0, len(x), 8)]
    if kind == "generator":
        return ((x[s], y[s]) for _ in range(2) for s in spans), {"steps_per_epoch": len(spans)}

    class Data(gl.utils.PyDataset):
        def __len__(self):
            return len(spans)

        def __getitem__(self, i):
            return x[spans[i]], y[spans[i]]

    return Data(), {}


@pytest.mark.parametrize("kind", ["arrays", "wide", "views", "generator", "dataset", "cupy"])
def test_a_gpu_gets_what_the_cpu_gets(kind):
    """43 samples: the last batch is smaller; buffers are used several times, in two epochs."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(43, n)).astype("f4") for n in (5, 3))

    def trained(device, kind):
        gl.config.set_device(device)
        model = model_of(5)
        data, how = batches_of("arrays" if kind == "cupy" else kind, x, y)
        if kind == "cupy":
            import cupy

            data = tuple(map(cupy.asarray, data))
        given = data if type(data) is tuple else (data,)
        history = model.fit(*given, epochs=2, verbose=0, shuffle=False, **how).history
        found = model.predict(x, batch_size=8, verbose=0)
        assert type(found) is np.ndarray
        return history, model.evaluate(x, y, batch_size=8, verbose=0), found

    with stand_in_cupy.installed():
        found = trained("gpu", kind)
        expected = trained("cpu", "arrays")
    for name in expected[0]:
        np.testing.assert_allclose(found[0][name], expected[0][name], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-6)
