"""The true reward, and which steps of a solution hold, with exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

from plaudit.lab.worlds.arithmetic.problems import Problem

_STEP = re.compile(r"(\d+)([+\-*])(\d+)=(\d+)")
_ANSWER = re.compile(r"#### (\d+)")


def final_answer(text: str) -> Fraction | None:
    """The number after the one `#### ` that ends a solution; None where there is none, or several."""
    found = _ANSWER.findall(text)
    return Fraction(found[0]) if len(found) == 1 and text.endswith(f"#### {found[0]}") else None


def true_reward(problem: Problem, text: str) -> float:
    """U: 1 where the final answer is exact, else 0."""
    return float(final_answer(text) == problem.answer)


def check_steps(problem: Problem, text: str) -> list[bool]:
    """For each line before the answer, whether it is the next operation on the result of the line before, done right.

    A line that is no step is false; later lines are judged on what the line before claims, so that one slip is one
    wrong step.

    Args:
        problem: what was asked.
        text: the solution.
    """
    verdicts: list[bool] = []
    value = Fraction(problem.first)
    lines = text.split("#### ")[0].split("\n")
    for i, line in enumerate(line for line in lines if line):
        found = _STEP.fullmatch(line.replace("hmm ", ""))
        if found is None or i >= len(problem.operations):
            verdicts.append(False)
            continue
        left, sign, right, claimed = Fraction(found[1]), found[2], Fraction(found[3]), Fraction(found[4])
        exact = {"+": left + right, "-": left - right, "*": left * right}[sign]
        asked = left == value and (sign, int(right)) == problem.operations[i]
        verdicts.append(asked and claimed == exact)
        value = claimed
    return verdicts
