"""A step that is being captured: noted for a GPU, which then makes it again without Python.

What Python computes meanwhile, it computes once.  So a number that Python would have to know anew
at each step is refused here, random draws start from where the GPU finds their seed, and the
Variables that change are noted.
"""

from __future__ import annotations

import threading

import numpy as np

ACTIVE: list[Capture] = []  # One at most for each thread.
GENERATORS = 120  # Random generators in a step.
WRITTEN = [0]  # Grows whenever a graph has written into the arrays of Variables.


class NotCapturable(RuntimeError):
    """Something that a captured step cannot do."""


class DeviceStream:
    """A pair (seed, counter) of which the GPU knows the numbers.

    `words` is an array [seed, counter] there; this is the stream behind `draws` others.
    """

    __slots__ = ("draws", "words")

    def __init__(self, words, draws: int):
        self.words, self.draws = words, draws


class Capture:
    """What the step that is being captured by this thread has done so far.

    Args:
        words: an array of 2 * GENERATORS whole numbers of 64 bits on the GPU, for seeds.
    """

    def __init__(self, words):
        self.thread = threading.get_ident()
        self.changed: dict[int, tuple] = {}  # Variables, and the values that they had.
        self.generators: list = []
        self.draws: list[int] = []
        self._words = words

    def __enter__(self):
        ACTIVE.append(self)
        return self

    def __exit__(self, *error):
        ACTIVE.remove(self)

    def change(self, variable) -> None:
        """Note that a Variable gets another value.  Raises NotCapturable if it is on the CPU."""
        value = variable._value
        if type(value) is np.ndarray:
            raise NotCapturable(f"{variable.path}, which lives on the CPU, is changed.")
        self.changed.setdefault(id(variable), (variable, value))

    def draw(self, generator) -> DeviceStream:
        """The next stream of a SeedGenerator."""
        place = next((i for i, g in enumerate(self.generators) if g is generator), None)
        if place is None:
            place = len(self.generators)
            if place == GENERATORS:
                raise NotCapturable(f"more than {GENERATORS} random generators are used.")
            self.generators.append(generator)
            self.draws.append(0)
        self.draws[place] += 1
        return DeviceStream(self._words[2 * place : 2 * place + 2], self.draws[place] - 1)


def current() -> Capture | None:
    """The capture that this thread is in."""
    if not ACTIVE:
        return None
    here = threading.get_ident()
    return next((capture for capture in ACTIVE if capture.thread == here), None)


def refuse(what: str) -> None:
    """Raise NotCapturable within a capture; else do nothing."""
    if current() is not None:
        raise NotCapturable(what)
