"""Seeds: what repeats, what moves on."""

import random as python_random

import numpy as np
import pytest

from gpulayers.arrays import random
from gpulayers.arrays.seeds import get_random_seed, global_seed_generator


def test_one_seed_gives_one_draw():
    a = random.normal((5,), seed=3)
    assert (random.normal((5,), seed=3) == a).all()
    assert (random.normal((5,), seed=(3, 0)) == a).all()
    assert (random.normal((5,), seed=np.int64(3)) == a).all()
    assert (random.normal((5,), seed=4) != a).all()
    assert (random.normal((5,), seed=(3, 1)) != a).all()


def test_a_generator_moves_on_and_its_state_says_all():
    generator = random.SeedGenerator(seed=7)
    draws = [random.uniform((4,), seed=generator) for _ in range(3)]
    assert (draws[0] == random.uniform((4,), seed=7)).all()
    assert (draws[2] == random.uniform((4,), seed=(7, 2))).all()
    assert generator.state.numpy().tolist() == [7, 3]
    assert not generator.state.trainable
    generator.state.assign([7, 1])
    assert (random.uniform((4,), seed=generator) == draws[1]).all()
    assert generator.next() == (7, 2)
    assert generator.next(ordered=False) == (7, 3)


@pytest.mark.parametrize("seed", [-1, 2**40, 2**63, 2**64 - 1])
def test_a_generator_takes_seeds_of_64_bits(seed):
    a = random.uniform((4,), seed=random.SeedGenerator(seed))
    assert (a == random.uniform((4,), seed=seed)).all()


def test_a_generator_comes_back_from_its_config():
    generator = random.SeedGenerator(seed=7, name="mine")
    assert generator.get_config() == {"seed": 7, "name": "mine"}
    again = random.SeedGenerator.from_config(generator.get_config())
    assert again.next() == (7, 0)
    assert random.SeedGenerator().get_config()["seed"] is None
    assert random.SeedGenerator().next() != random.SeedGenerator().next()


def test_set_random_seed_repeats_everything():
    def program():
        random.set_random_seed(11)
        return [
            random.normal((3,)).tolist(),
            random.normal((3,)).tolist(),
            random.SeedGenerator().next(),
            python_random.random(),
            np.random.rand(),
        ]

    first = program()
    random.normal((3,))
    assert program() == first
    assert first[0] != first[1]
    assert get_random_seed() == 11
    assert global_seed_generator().state.numpy()[1] == 2
