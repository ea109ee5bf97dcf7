"""Whether two answers say the same, shape by shape; what has no shape goes to a function for leaves.

The same code runs in the parent, with a leaf that knows plain numbers and words and else says `Undecided`, and in a
child, with a leaf that asks the algebra system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plaudit.rewards.verifiers.math.cleaning import is_words, words
from plaudit.rewards.verifiers.math.plain import read_plain, same_quantity
from plaudit.rewards.verifiers.math.reading import (
    Atom,
    Group,
    Interval,
    Matrix,
    Node,
    Relation,
    Several,
    Union,
    is_name,
)

Leaf = Callable[[str, str], bool]


class Undecided(Exception):
    """Two expressions that only algebra can compare."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """How what has no shape is compared; reference first.

    Attributes:
        same: two expressions.
        equation: two relations, each as `(left, sign, right)` texts.
    """

    same: Leaf
    equation: Callable[[tuple[str, str, str], tuple[str, str, str]], bool]


def exact_leaf(reference: str, answer: str, *, rounded: bool = False) -> bool | None:
    """Decides plain numbers, identical texts and words; None for all else."""
    gold, given = read_plain(reference), read_plain(answer)
    if gold is not None and given is not None:
        return same_quantity(gold, given, rounded=rounded)
    if _tight(reference) == _tight(answer):
        return True
    infinities = ("\\infty", "+\\infty", "-\\infty")
    if reference.strip() in infinities or answer.strip() in infinities:
        return reference.strip().lstrip("+") == answer.strip().lstrip("+")
    if is_words(reference) or is_words(answer):
        return words(reference) == words(answer)
    if len(reference.strip()) == 1 or len(answer.strip()) == 1:
        one, other = words(reference), words(answer)
        if one == other:
            return True
    if not answer.isascii():  # a letter that only looks like one, and would be read as one or skipped
        return False
    return None


def _tight(text: str) -> str:
    """Without blanks that separate nothing: those between two letters or digits stay, `1 8` is not 18."""
    return re.sub(r"(?<![0-9a-zA-Z])\s+|\s+(?![0-9a-zA-Z])", "", text)


def compare(reference: Node, answer: Node, leaves: Leaves) -> bool:
    """Whether an answer says what the reference says.

    A name may be left out (`x = 5` and `5`), but not be another one. Sets and lists are equal in any order, tuples and
    intervals end by end; a list is no tuple, a union no list.
    """
    if isinstance(reference, Relation) or isinstance(answer, Relation):
        return _with_relation(reference, answer, leaves)
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        return _matrices(reference, answer, leaves)
    if isinstance(reference, (Interval, Union)) or isinstance(answer, (Interval, Union)):
        return _spans(reference, answer, leaves)
    if isinstance(reference, Atom) and isinstance(answer, Atom):
        return leaves.same(reference.text, answer.text)
    if isinstance(reference, Atom) and isinstance(answer, Several):  # one answer in two forms: 1/2 or 0.5
        return all(compare(reference, item, leaves) for item in answer.items)
    if isinstance(reference, Atom) or isinstance(answer, Atom):
        return False
    return _collections(reference, answer, leaves)


def _collections(reference: Several | Group, answer: Several | Group, leaves: Leaves) -> bool:
    free = [isinstance(n, Several) or n.opening == "{" for n in (reference, answer)]
    if all(free):
        if isinstance(reference, Several) and isinstance(answer, Several):
            return _any_order(reference.items, answer.items, leaves)
        return _as_sets(reference.items, answer.items, leaves)
    if any(free):
        return _by_name(reference, answer, leaves) if isinstance(answer, Several) else False
    ends = [(n.opening, n.closing) for n in (reference, answer) if isinstance(n, Group)]  # both are: neither is free
    return ends[0] == ends[1] and _in_order(reference.items, answer.items, leaves)


def _by_name(reference: Node, answer: Several, leaves: Leaves) -> bool:
    """`x = 1, y = 2` is the point (1, 2): names in the order of the alphabet."""
    named = [i for i in answer.items if isinstance(i, Relation) and i.is_named and len(i.sides) == 2]
    if not isinstance(reference, Group) or len(named) != len(answer.items):
        return False
    values = {_name(n): n.sides[1] for n in named}
    if len(values) != len(named):
        return False
    return _in_order(reference.items, [values[k] for k in sorted(values)], leaves)


def _as_relation(node: Node) -> Node:
    """`y < 3 - x` was read as an interval of y; beside another relation it is one."""
    if isinstance(node, Interval) and node.name and "\\infty" in (node.low.text, node.high.text, node.low.text[1:]):
        below = node.low.text == "-\\infty"
        end, bracket = (node.high, node.ends[1]) if below else (node.low, node.ends[0])
        closed = bracket in "[]"
        sign = ("\\le" if closed else "<") if below else ("\\ge" if closed else ">")
        return Relation((Atom(node.name), end), (sign,))
    return node


def _with_relation(reference: Node, answer: Node, leaves: Leaves) -> bool:
    if isinstance(reference, Interval) or isinstance(answer, Interval):
        reference, answer = _as_relation(reference), _as_relation(answer)
    if isinstance(reference, Relation) and isinstance(answer, Relation):
        if reference.is_named and answer.is_named and _name(reference) == _name(answer):
            return _all_values(reference.sides[-1], answer, leaves)
        return _relations(reference, answer, leaves)
    if isinstance(answer, Relation):
        if set(answer.signs) <= {"=", "\\approx"} and _is_chain_of_values(answer):
            return "\\approx" not in answer.signs and _all_values(reference, answer, leaves)
        return False
    if isinstance(reference, Relation) and reference.is_named:
        if isinstance(answer, Interval):
            return False
        return compare(reference.sides[-1], answer, leaves)
    return False


def _is_chain_of_values(answer: Relation) -> bool:
    """A name and its values, or a computation: `3 + 4 = 7`; not an equation in an unknown, such as `x^2 = 18`."""
    rest = answer.sides[1:] if answer.is_named else answer.sides
    return answer.is_named or not any(c.isalpha() for s in rest for c in _bare(s))


def _bare(node: Node) -> str:
    return re.sub(r"\\[a-zA-Z]+|\\text\s*\{[^{}]*\}", "", node.text) if isinstance(node, Atom) else "x"


def _all_values(reference: Node, answer: Relation, leaves: Leaves) -> bool:
    """Every side that is not the name must be right: `x = 17 = 18` contradicts itself."""
    values = answer.sides[1:] if answer.is_named else answer.sides
    return all(compare(reference, value, leaves) for value in values)


def _relations(reference: Relation, answer: Relation, leaves: Leaves) -> bool:
    """Equations side by side, of which one may be a multiple of the other."""
    if len(reference.sides) != 2 or len(answer.sides) != 2:
        return reference.signs == answer.signs and _in_order(reference.sides, answer.sides, leaves)
    texts = [[s.text for s in node.sides if isinstance(s, Atom)] for node in (reference, answer)]
    if any(len(t) != 2 for t in texts):
        return reference.signs == answer.signs and _in_order(reference.sides, answer.sides, leaves)
    gold, given = texts
    if is_name(gold[0]) and is_name(given[0]) and read_plain(gold[1]) and read_plain(given[1]):
        return False  # x = 5 and y = 5: other names
    return leaves.equation((gold[0], reference.signs[0], gold[1]), (given[0], answer.signs[0], given[1]))


def _matrices(reference: Node, answer: Node, leaves: Leaves) -> bool:
    if not isinstance(reference, Matrix) or not isinstance(answer, Matrix):
        if isinstance(reference, Atom) and isinstance(answer, Matrix) and "matrix" in reference.text:
            raise Undecided
        return False
    if reference.style != answer.style or len(reference.rows) != len(answer.rows):
        return False
    return all(_in_order(r, a, leaves) for r, a in zip(reference.rows, answer.rows, strict=True))


def _spans(reference: Node, answer: Node, leaves: Leaves) -> bool:
    if isinstance(reference, Union) or isinstance(answer, Union):
        if not isinstance(reference, Union) or not isinstance(answer, Union):
            return False
        return _any_order(reference.parts, answer.parts, leaves)
    one, other = _as_interval(reference), _as_interval(answer)
    if one is None or other is None or one.ends != other.ends:
        return False
    if one.name and other.name and "".join(one.name.split()) != "".join(other.name.split()):
        return False
    return compare(one.low, other.low, leaves) and compare(one.high, other.high, leaves)


def _as_interval(node: Node) -> Interval | None:
    if isinstance(node, Interval):
        return node
    if isinstance(node, Group) and node.opening in "([" and len(node.items) == 2:
        low, high = node.items
        if isinstance(low, Atom) and isinstance(high, Atom):
            return Interval(low, high, node.opening + node.closing)
    return None


def _in_order(reference: Sequence[Node], answer: Sequence[Node], leaves: Leaves) -> bool:
    if len(reference) != len(answer):
        return False
    return all(compare(r, a, leaves) for r, a in zip(reference, answer, strict=True))


def _any_order(reference: Sequence[Node], answer: Sequence[Node], leaves: Leaves) -> bool:
    """Whether the items pair off; being equal is transitive, so that the first partner found will do."""
    if len(reference) != len(answer):
        return False
    left = list(answer)
    for gold in reference:
        partner = next((i for i, given in enumerate(left) if compare(gold, given, leaves)), None)
        if partner is None:
            return False
        left.pop(partner)
    return True


def _as_sets(reference: Sequence[Node], answer: Sequence[Node], leaves: Leaves) -> bool:
    """Whether each item has a partner on the other side: in a set nothing counts twice.

    An item of the answer is only ever compared with one of the reference, so that what cannot be read is blamed on
    the right side.
    """
    return all(any(compare(r, a, leaves) for a in answer) for r in reference) and all(
        any(compare(r, a, leaves) for r in reference) for a in answer
    )


def _name(relation: Relation) -> str:
    first = relation.sides[0]
    if isinstance(first, Group):
        return ",".join(i.text for i in first.items if isinstance(i, Atom))
    return "".join(first.text.split()) if isinstance(first, Atom) else ""
