"""Problems as conjectures: a policy of the world asked for a new one, whose form the world itself checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from plaudit.lab.worlds.arithmetic.problems import LARGEST, Problem
from plaudit.policy.online.selfplay.subjects import Proved
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Conversation, conversation

SIGNS = ("+", "-", "*")
"""What a solution makes use of: its kinds of operations."""
MOST = 6
"""Operations of a problem."""
_WRITTEN = re.compile(r"\d{1,2}(?:[+\-*]\d{1,2})+")
_STEP = re.compile(r"(\d+)([+\-*])(\d+)=")


@final
@dataclass(frozen=True, slots=True)
class ArithmeticSubject:
    """A `Subject` of the world: `hmm `, the sign to make use of, and a solved problem ask for another problem."""

    fingerprint: str = "arithmetic-conjectures-1"

    def ask(self, seed: Proved, lemma: str) -> Conversation:
        """The prompt; nothing in the world asks a problem that begins with `hmm `."""
        return conversation(f"hmm {lemma}{seed.statement.prompt[-1].text}")

    def read(self, text: str) -> PromptOnly | None:
        """A problem with its answer; None where the text is none of the world's: form, size of its values, products."""
        found = written(text)
        return None if found is None else PromptOnly(conversation(found.text), str(found.answer))

    def lemmas(self, statement: PromptOnly, proof: str) -> Sequence[str]:
        """The signs of a solution's steps, in their order in `SIGNS`."""
        del statement
        used = {sign for _, sign, _ in _STEP.findall(proof)}
        return [sign for sign in SIGNS if sign in used]

    def embedding(self, statements: Sequence[PromptOnly]) -> NDArray[np.float64]:
        """Counts of signs, operations and carries, of unit length, (n, 5); zeros for what is no problem."""
        found = np.zeros((len(statements), 5))
        for row, statement in zip(found, statements, strict=True):
            problem = written(statement.prompt[-1].text)
            if problem is not None:
                signs = [sign for sign, _ in problem.operations]
                row[:] = [*(signs.count(sign) for sign in SIGNS), len(signs), problem.carries]
        size = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(size > 0, size, 1.0))


def written(text: str) -> Problem | None:
    """The problem that a text writes; None where it is none of the world's."""
    if _WRITTEN.fullmatch(text) is None:
        return None
    first, *rest = re.findall(r"\d+|[+\-*]", text)
    operations = tuple((rest[i], int(rest[i + 1])) for i in range(0, len(rest), 2))
    problem = Problem(int(first), operations)
    inside = all(0 <= value <= LARGEST for value in problem.values)
    products = any(sign == "*" for sign, _ in operations[1:])
    return problem if inside and not products and 2 <= len(operations) <= MOST and problem.text == text else None


__all__ = ["ArithmeticSubject", "written"]
