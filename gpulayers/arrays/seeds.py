"""Where random numbers start: seeds that count how often they were used."""

from __future__ import annotations

import random as python_random
import threading

import numpy as np

from ..naming import auto_name
from . import capturing, devices
from .philox import WORD
from .variable import SCOPE, Variable, plain_value

_lock = threading.Lock()  # Threads that load data may share a generator.


class SeedGenerator:
    """A seed that gives other random numbers at each use.

    Its `state` is a Variable [seed, counter], which says all about the numbers to come.  It stays
    on the CPU, since kernels are given it as two numbers.

    Args:
        seed: a whole number; one from Python's `random` by default.
        name: "seed_generator", numbered, by default.

    Raises TypeError if `seed` is something else.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs):
        kwargs.pop("backend", None)
        if kwargs:
            raise TypeError(f"SeedGenerator: unknown arguments {sorted(kwargs)}.")
        self._initial_seed = seed if seed is None else _whole(seed)
        self.name = name or auto_name("SeedGenerator")
        start = make_default_seed() if seed is None else self._initial_seed
        with devices.scope(devices.CPU):
            self.state = Variable(
                _state(start, 0),
                trainable=False,
                autocast=False,
                name="seed_generator_state",
                path=f"{self.name}/seed_generator_state",
            )

    def next(self, ordered: bool = True) -> tuple[int, int]:
        """The pair (seed, counter) for one draw; the state moves on to the next.

        Inside shape inference, which leaves Variables as they are, the state stays.
        `ordered` is accepted for compatibility: pairs are always in order.
        """
        if capturing.ACTIVE and (capture := capturing.current()) is not None:
            scope = SCOPE.get()
            if scope is None or not scope.inferring:
                return capture.draw(self)
        return self.advance(1)

    def advance(self, draws: int) -> tuple[int, int]:
        """The pair of now; the state moves on by so many draws."""
        with _lock:
            seed, counter = self.pair()
            self.state.replace(_state(seed, counter + draws))
        return seed, counter

    def pair(self) -> tuple[int, int]:
        """The pair of now, (seed, counter)."""
        seed, counter = devices.to_numpy(plain_value(self.state)).tolist()
        return seed, counter

    def get_config(self) -> dict:
        """The arguments that make this generator in its first state."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> SeedGenerator:
        """The generator that `get_config` described."""
        return cls(**config)

    def __repr__(self):
        return f"<SeedGenerator {self.name}, seed={self._initial_seed}>"


GLOBAL_NAME = "global_seed_generator"
_global: list[SeedGenerator] = []  # The one for draws without a seed, once there was such a draw.
_random_seed: list[int] = []


def global_seed_generator() -> SeedGenerator:
    """The generator of all draws that are given no seed."""
    if not _global:
        _global.append(SeedGenerator(name=GLOBAL_NAME))
    return _global[0]


def is_replaced(generator: SeedGenerator) -> bool:
    """Whether this was the generator of draws without a seed, before `set_random_seed`."""
    return generator.name == GLOBAL_NAME and generator not in _global


def make_default_seed() -> int:
    """A new seed from Python's `random`."""
    return python_random.randint(1, 10**9)


def set_random_seed(seed: int) -> None:
    """Make a program repeatable: seeds Python's `random`, NumPy's, and all of ours.

    Args:
        seed: a whole number, 0 <= seed < 2**32 (the range of NumPy's own seeds).

    Raises TypeError for another kind of seed, ValueError for one out of range.
    """
    seed = _whole(seed)
    if not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed: expected 0 <= seed < 2**32, got {seed}.")
    _global.clear()
    _random_seed[:] = [seed]
    python_random.seed(seed)
    np.random.seed(seed)


def get_random_seed() -> int | None:
    """What `set_random_seed` was last given; None if it was not called."""
    return _random_seed[0] if _random_seed else None


def draw_seed(seed) -> tuple[int, int]:
    """The pair (seed, counter) for one draw.

    Args:
        seed: None (the global generator moves on), a SeedGenerator (which moves on), a whole
            number (always the same draw), or a pair.

    In a captured step it may be a DeviceStream.  Raises TypeError for anything else.
    """
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is None:
        return global_seed_generator().next()
    if type(seed) is capturing.DeviceStream:
        return seed
    if isinstance(seed, (tuple, list, np.ndarray)) and len(seed) == 2:
        return int(seed[0]), int(seed[1])
    return _whole(seed), 0


def _whole(seed) -> int:
    if not hasattr(seed, "__index__"):
        raise TypeError(
            "seed: expected a whole number, a SeedGenerator, a pair (seed, counter) or None, got "
            f"{type(seed).__name__}: {str(seed)[:60]!r}."
        )
    return seed.__index__()


def _state(seed: int, counter: int) -> np.ndarray:
    # Of 64-bit patterns; those above 2**63 read as negative numbers.
    half = WORD // 2
    return np.array([(n + half) % WORD - half for n in (seed, counter)], dtype=np.int64)
