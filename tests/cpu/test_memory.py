"""Memory of results serves again when the last view of them is gone, and never before."""

import gc
import threading

import numpy as np
import pytest

from gpulayers.cpu import memory

SIZE = memory.LEAST // 2  # Elements of float32: twice what is least.


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(memory._here, "serving", True)  # Of this thread,
    monkeypatch.setattr(memory._Here, "serving", True)  # and of others.
    memory.release()
    yield
    memory.release()


def address(x):
    return x.__array_interface__["data"][0]


def test_arrays_are_like_those_of_numpy():
    for shape, dtype in (((3,), "float32"), ((5, SIZE), "float64"), ((SIZE * 4,), "int8")):
        x = memory.empty(shape, dtype)
        assert type(x) is np.ndarray and x.shape == shape and x.dtype == dtype
        assert x.flags.c_contiguous and x.flags.writeable and x.flags.aligned
    x = memory.empty((2, SIZE), "float32")
    assert address(x) % memory.ALIGNED == 0
    assert memory.empty_like(x).shape == x.shape


def test_what_is_let_go_serves_again():
    x = memory.empty((SIZE,), "float32")
    first = address(x)
    del x
    x = memory.empty((SIZE - 10,), "float32")
    assert address(x) == first
    assert address(memory.empty((SIZE,), "float32")) != first
    assert address(memory.empty((2 * SIZE,), "float32")) != first


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[5:7],
        lambda x: x.reshape(2, -1)[1:, ::3].T[:4],
        lambda x: np.asarray(x.view("int32"))[:1],
        lambda x: np.frombuffer(memoryview(x), "uint8", 16),
        lambda x: np.lib.stride_tricks.as_strided(x, (3,), (0,)),
        lambda x: x[None].squeeze().real,
        lambda x: [lambda: x],
    ],
)
def test_views_keep_it(view):
    x = memory.empty((SIZE,), "float32")
    first, part = address(x), view(x)
    del x
    gc.collect()
    other = memory.empty((SIZE,), "float32")
    assert address(other) != first
    del part
    gc.collect()
    assert address(memory.empty((SIZE,), "float32")) == first


def test_no_more_is_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 3 * 4 * SIZE)
    some = [memory.empty((SIZE,), "float32") for _ in range(8)]
    del some
    assert memory._kept[0] == 3 * 4 * SIZE
    memory.release()
    assert memory._kept[0] == 0 and not memory._free


def test_there_is_never_more_than_was_in_use_at_the_same_time(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 9 * 4 * SIZE)
    before = memory._live[0]
    some = [memory.empty((2 * SIZE,), "float32") for _ in range(8)]
    most = memory._live[1]
    assert most >= before + 8 * 2 * 4 * SIZE
    del some
    others = [memory.empty((3 * SIZE,), "float32") for _ in range(5)]
    assert memory._live[0] + memory._kept[0] <= most
    del others
    assert memory._live[0] == before


def test_threads_get_memory_of_their_own():
    wrong = []

    def work(number):
        for _ in range(200):
            x = memory.empty((SIZE,), "float32")
            x[...] = number
            if not (x == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_only_plans_are_served(monkeypatch):
    monkeypatch.setattr(memory._here, "serving", False)
    assert memory.empty((SIZE,), "float32").base is None
    made = memory.served(lambda shape: memory.empty(shape, "float32"))((SIZE,))
    assert made.base is not None
    assert memory.empty((SIZE,), "float32").base is None
