"""Random numbers, by Keras's names: repeatable, and the same on every device.

Results live on the device of new weights (`config.set_device`), or beside an array, `like=`.
"""

from __future__ import annotations

from functools import wraps

from .arrays import Abstract, devices, operation, random
from .arrays.random import SeedGenerator, categorical, draw_seed, shuffle

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]


def _placed(draw):
    """A function that draws, on the device of new weights if it is not told where."""

    @wraps(draw)
    def drawn(*args, like=None, **options):
        return draw(*args, like=devices.current() if like is None else like, **options)

    return drawn


uniform, normal, truncated_normal, randint, gamma, beta, binomial = map(
    _placed,
    (
        *(random.uniform, random.normal, random.truncated_normal, random.randint),
        *(random.gamma, random.beta, random.binomial),
    ),
)


@operation
def dropout(inputs, rate: float, noise_shape=None, seed=None):
    """`inputs` with a part `rate` of its elements set to zero, the others times 1/(1 - rate).

    Args:
        inputs: floating array of any shape.
        rate: the part to drop, 0 <= rate <= 1.
        noise_shape: sizes of the mask, 1 where one decision counts for a whole axis; None for an
            axis (or instead of all) means the input's size.
        seed: None, a whole number, a SeedGenerator or a pair (seed, counter).  Shape inference
            and rates of 0 and 1 do not use it up.

    Raises ValueError if the rate is out of range or the noise shape does not fit, TypeError
    unless `inputs` is floating.
    """
    from .ops.dropout import dropout as primitive

    if not 0 <= rate <= 1:
        raise ValueError(f"random.dropout: expected a rate between 0 and 1, got {rate}.")
    free = type(inputs) is Abstract or rate in (0, 1)
    pair = (0, 0) if free else draw_seed(seed)
    return primitive(inputs, rate=rate, noise_shape=noise_shape, seed=pair)
