"""What training keeps: in a step, and after fifty epochs."""

from __future__ import annotations

import gc
import tracemalloc

from .classifier import data, model


class Memory:
    """Bytes that Python and NumPy hold, as tracemalloc counts them, for the small classifier."""

    unit = "bytes"

    def track_peak_of_a_training_step(self):
        made, batch = model(), data(32)
        made.train_on_batch(*batch)
        return measured(lambda: made.train_on_batch(*batch))[1]

    def track_kept_by_a_thousand_steps(self):
        made, batch = model(), data(32)
        made.train_on_batch(*batch)
        return measured(lambda: [made.train_on_batch(*batch) for _ in range(1000)] and None)[0]

    def track_kept_by_a_fit_of_fifty_epochs(self):
        made, (x, y) = model(), data(320)
        made.fit(x, y, verbose=0)
        return measured(lambda: made.fit(x, y, epochs=50, verbose=0) and None)[0]


def measured(action) -> tuple[int, int]:
    """The bytes that an action leaves behind, and the most that it holds on its way."""
    tracemalloc.start()
    try:
        action()  # From here on, all that it replaces has been counted.
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        action()
        peak = tracemalloc.get_traced_memory()[1]
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before, peak - before
    finally:
        tracemalloc.stop()
