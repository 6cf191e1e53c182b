"""Nested structures: what Keras's own functions of them give."""

from collections import namedtuple

import pytest

from gpulayers import tree

Point = namedtuple("Point", "x y")
NESTED = [(1, 2), [3], {"a": 4}]


@pytest.mark.parametrize(
    ("top_down", "seen"),
    [
        (True, [NESTED, (1, 2), 1, 2, [3], 3, {"a": 4}, 4]),
        (False, [1, 2, (1, 2), 3, [3], 4, {"a": 4}, NESTED]),
    ],
)
def test_traverse_shows_every_part(top_down, seen):
    parts = []
    assert tree.traverse(parts.append, NESTED, top_down) == NESTED
    assert parts == seen


def test_traverse_replaces_parts():
    lists = tree.traverse(lambda x: sum(x) if isinstance(x, tuple) else None, NESTED)
    assert lists == [3, [3], {"a": 4}]
    gone = tree.traverse(lambda x: tree.MAP_TO_NONE if x == [3] else None, NESTED)
    assert gone == [(1, 2), None, {"a": 4}]
    inner_first = tree.traverse(
        lambda x: x + 1 if isinstance(x, int) else len(x), NESTED, top_down=False
    )
    assert inner_first == 3


def test_map_structure_up_to():
    assert tree.map_structure_up_to([None, None], len, [[1, 1], [2, 2, 2]]) == [2, 3]
    assert tree.map_structure_up_to([None, [None] * 2], str, [[1, 1], [2, 2]]) == [
        "[1, 1]",
        ["2", "2"],
    ]
    shallow = {"b": 0, "a": Point(0, 0)}
    deep = {"a": Point([1], 2), "b": {"c": 3}}
    added = tree.map_structure_up_to(shallow, lambda x, y: (x, y), deep, deep)
    assert added == {"b": ({"c": 3},) * 2, "a": Point(([1], [1]), (2, 2))}
    with pytest.raises(ValueError, match="structures differ"):
        tree.map_structure_up_to([None, [None]], str, [1, 2])
    with pytest.raises(ValueError, match="at least one structure"):
        tree.map_structure_up_to([None], str)


def test_lists_to_tuples():
    given = [1, {"a": [2, (3, [4])]}, Point([5], 6)]
    assert tree.lists_to_tuples(given) == (1, {"a": (2, (3, (4,)))}, Point((5,), 6))


def test_paths_are_compared_without_kinds():
    tree.assert_same_paths([0, {"a": 1}], (2, {"a": 3}))
    tree.assert_same_paths(Point(0, [1]), [2, (3,)])
    with pytest.raises(ValueError, match=r"only one of them has leaves at \(1, 'a'\), \(1, 'b'\)"):
        tree.assert_same_paths([0, {"a": 1}], [0, {"b": 1}])


@pytest.mark.parametrize("other", [[0, 1, 2], [0], {"a": 0}, 3, [[0], 1]])
def test_structures_that_differ(other):
    with pytest.raises(ValueError, match="structures differ"):
        tree.assert_same_structure([0, 1], other)
