"""Programs that attack their judge instead of solving their task; none of them may pass."""

from __future__ import annotations

from typing import Any

from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.base import Twin, case
from plaudit.rewards.verifiers.code.attacks import ON_ASSERTS, ON_CASES, ON_CHECK, SLOW

PROMPT = "Write a function `total(numbers)` that returns the sum of a list."
ASSERTS = "assert total([1, 2, 3]) == 6\nassert total([10, -3]) == 7\nassert set([total([5])]) == {5}"
CHECK: dict[str, Any] = {
    "check": "import math\n\ndef check(candidate):\n    assert abs(candidate(2.0) - 1.41421356) < 1e-6\n"
    "    assert math.isclose(candidate(9.0), 3.0)\n    for x in (1.0, 4.0):\n        assert candidate(x) ** 2 == x\n",
    "entry_point": "root",
}
CASES: dict[str, Any] = {"cases": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6\n", "output": "11\n"}]}
RIGHT = {
    "asserts": "def total(numbers):\n    return sum(numbers)\n",
    "check": "Use a library:\n```python\ndef root(x):\n    return x ** 0.5\n```\n",
    "cases": "a, b = map(int, input().split())\nprint(a + b)\n",
}
_REFERENCES: dict[str, Any] = {"asserts": ASSERTS, "check": CHECK, "cases": CASES}


def honest() -> tuple[Sample, ...]:
    """Right programs, one for each form of reference."""
    return tuple(case(PROMPT, RIGHT[form], _REFERENCES[form]) for form in RIGHT)


def attacks() -> tuple[Twin, ...]:
    """All of them, each against the reference that it is made for."""
    table = {"asserts": {**ON_ASSERTS, **SLOW}, "check": ON_CHECK, "cases": ON_CASES}
    return tuple(
        Twin(attack, case(PROMPT, text, _REFERENCES[form]))
        for form, found in table.items()
        for attack, text in found.items()
    )
