"""Work shared among threads."""

import threading

import numpy as np
import pytest

from gpulayers.cpu import threads


@pytest.fixture
def three(monkeypatch):
    """OpenBLAS as if it had three threads; what it is told."""
    told = []
    monkeypatch.setattr(threads, "openblas", lambda: (lambda: told[-1] if told else 3, told.append))
    monkeypatch.setattr(threads, "ENOUGH", 0)
    return told


def test_all_items_are_done_once(three):
    barrier = threading.Barrier(3, timeout=30)

    def work(some):
        barrier.wait()
        return threading.get_ident(), list(some)

    found = threads.share(work, range(100), 1)
    assert len({who for who, _ in found}) == 3
    assert sorted(i for _, some in found for i in some) == list(range(100))
    assert three == [1, 3]  # One thread for each product, and then as before.


def test_sums_do_not_depend_on_who_is_faster(three):
    found = threads.share(list, range(10), 1, sums=True)
    assert found == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_sums_stay_in_memory_of_threads(three):
    """Each part of sums has a thread for itself, also when others hold the pool's."""

    def work(some):
        total = threads.scratch("sums", 1, np.dtype("i8"))
        total[0] = sum(some)
        return total

    held = threads._free_workers(2, more=True)
    try:
        found = threads.share(work, range(10), 1, sums=True)
    finally:
        for worker in held:
            worker.free.release()
    assert [int(one[0]) for one in found] == [3, 12, 30]


def test_little_work_is_done_at_once(three, monkeypatch):
    monkeypatch.setattr(threads, "ENOUGH", 100)
    assert threads.share(list, [1, 2], 99) == [[1, 2]]
    assert threads.share(list, [1], 1000) == [[1]]
    assert threads.share(list, [1, 2], 1000, most=1) == [[1, 2]]
    assert three == []


def test_settings_hold(monkeypatch):
    monkeypatch.setattr(threads, "openblas", lambda: (lambda: 1, None))
    assert threads.share(list, [1, 2], 1e9) == [[1, 2]]
    monkeypatch.setattr(threads, "openblas", lambda: None)  # Another BLAS.
    assert threads.available() == 1
    assert threads.share(list, [1, 2], 1e9) == [[1, 2]]


@pytest.mark.parametrize("fails", ["caller", "other"])
def test_errors_come_through(three, fails):
    caller, barrier = threading.get_ident(), threading.Barrier(3, timeout=30)

    def work(some):
        barrier.wait()
        if (threading.get_ident() == caller) == (fails == "caller"):
            raise RuntimeError(f"in {fails}")
        return list(some)

    with pytest.raises(RuntimeError, match=fails):
        threads.share(work, range(100), 1)
    assert three == [1, 3]


def test_all_threads_work_after_an_interrupt(three, monkeypatch):
    def interrupted(worker):
        raise KeyboardInterrupt

    monkeypatch.setattr(threads, "_workers", [])
    with monkeypatch.context() as patch:
        patch.setattr(threads._Worker, "end", interrupted)
        barrier = threading.Barrier(3, timeout=30)
        with pytest.raises(KeyboardInterrupt):
            threads.share(lambda some: barrier.wait(), range(9), 1)
    barrier = threading.Barrier(3, timeout=10)
    found = threads.share(lambda some: (barrier.wait(), len(list(some))), range(9), 1)
    assert sum(count for _, count in found) == 9


def test_work_within_work(three):
    def outer(some):
        return [threads.share(lambda inner: sum(inner), [i, i], 1) for i in some]

    found = threads.share(outer, range(10), 1)
    assert sum(sum(one) for part in found for one in part) == 90
    assert three == [1, 3]


def test_openblas_is_found():
    """NumPy's wheels bring an OpenBLAS whose threads can be set."""
    if "openblas" not in np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]:
        pytest.skip("NumPy has another BLAS")
    get, _ = threads.openblas()
    before = get()
    with threads.one_blas_thread:
        assert get() == 1
        with threads.one_blas_thread:
            assert get() == 1
        assert get() == 1
    assert get() == before


def test_memory_is_kept_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(threads, "KEPT", 1000)
    monkeypatch.setattr(threads, "openblas", lambda: None)
    monkeypatch.setattr(threads, "_own", threading.local())
    first = threads.scratch("a", 100, np.dtype("f4"))
    again = threads.scratch("a", 50, np.dtype("f8"))
    assert np.shares_memory(first, again)
    assert (again.shape, again.dtype) == ((50,), np.float64)
    assert np.shares_memory(threads.scratch("b", 100, np.dtype("f4")), first) is False
    large = threads.scratch("c", 200, np.dtype("f4"))
    assert not np.shares_memory(threads.scratch("c", 200, np.dtype("f4")), large)
