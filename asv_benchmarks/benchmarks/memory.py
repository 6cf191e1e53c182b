"""What stays behind after training, where nothing should."""

from __future__ import annotations

from .classifier import data, model
from .libraries import held


class Kept:
    """Bytes that Python and NumPy hold, as tracemalloc counts them, for the small classifier."""

    unit = "bytes"

    def track_by_a_thousand_steps(self):
        made, batch = model(), data(32)
        made.train_on_batch(*batch)
        return held(lambda: [made.train_on_batch(*batch) for _ in range(1000)] and None)[0]

    def track_by_a_fit_of_fifty_epochs(self):
        made, (x, y) = model(), data(320)
        made.fit(x, y, verbose=0)
        return held(lambda: made.fit(x, y, epochs=50, verbose=0) and None)[0]
