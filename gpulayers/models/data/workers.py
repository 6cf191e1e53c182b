"""Batches made by worker threads or processes ahead of need, in order."""

from __future__ import annotations

import concurrent.futures
import itertools
import warnings
from collections import deque
from collections.abc import Iterable, Iterator

_dataset = None  # In a worker process: the dataset it serves.


def fetched(
    dataset,
    indices: Iterable[int],
    workers: int,
    use_multiprocessing: bool,
    max_queue_size: int,
) -> Iterator:
    """`dataset[i]` for every index, in order, while later ones are already being made.

    Args:
        dataset: has `__getitem__`; with processes, each gets its own copy.
        indices: may be endless.
        workers: threads or processes.
        use_multiprocessing: processes instead of threads.
        max_queue_size: batches that are made or being made ahead of need.

    An error of the dataset is raised at its batch's turn. The workers have ended when the iterator
    is exhausted, closed, or has raised.
    """
    if use_multiprocessing:
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, initializer=_receive, initargs=(dataset,)
        )
        make = _batch
    else:
        pool = concurrent.futures.ThreadPoolExecutor(workers, "gpulayers-data")
        make = dataset.__getitem__
    rest, pending = iter(indices), deque()
    try:
        for index in itertools.islice(rest, max(1, max_queue_size)):
            pending.append(_submit(pool, make, index))
        while pending:
            batch = pending.popleft().result()
            pending.extend(_submit(pool, make, index) for index in itertools.islice(rest, 1))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool, make, index):
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside threads (those of BLAS are some); the processes
        # run nothing but the dataset.
        warnings.simplefilter("ignore", DeprecationWarning)
        return pool.submit(make, index)


def _receive(dataset):
    global _dataset
    _dataset = dataset


def _batch(index):
    return _dataset[index]
