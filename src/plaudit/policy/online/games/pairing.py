"""What a verifier learns from: pairs of a right and a wrong solution of one prompt, from a mixture of provers [217]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash


@final
@dataclass(frozen=True, eq=False)
class Solutions:
    """Solutions as a verifier sees them, and whose they are.

    Attributes:
        samples: without what the prover was told.
        correct: (n,) 1 right, 0 wrong, NaN where that is not known.
        source: of each whose it is: `start`, `helpful-1`, ...

    Raises:
        ShapeError: if the parts differ in number.
    """

    samples: tuple[Sample, ...]
    correct: NDArray[np.float64]
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.samples) == len(self.correct) == len(self.source):
            raise ShapeError(
                f"solutions: {len(self.samples)} samples, {len(self.correct)} outcomes and {len(self.source)} sources; "
                "give as many of each"
            )

    @property
    def prompts(self) -> list[str]:
        """A name of each solution's prompt."""
        known = {id(s.prompt): s.prompt for s in self.samples}
        names = {i: content_hash([m.to_dict() for m in prompt]) for i, prompt in known.items()}
        return [names[id(s.prompt)] for s in self.samples]

    @classmethod
    def joined(cls, parts: Sequence[Solutions]) -> Solutions:
        """All of several."""
        return cls(
            tuple(s for part in parts for s in part.samples),
            np.concatenate([part.correct for part in parts]) if parts else np.zeros(0),
            tuple(s for part in parts for s in part.source),
        )


def game_pairs(solutions: Solutions, *, most: int = 8, seed: int = 0) -> list[Pair]:
    """Pairs of a right and a wrong solution of each prompt, as many right as wrong, and sources in turn.

    Of a prompt `min(right, wrong, most)` pairs are made, each solution in one of them. Solutions with the same text
    count once. A solution that is neither known to be right nor wrong is in no pair, and a prompt whose solutions are
    all right or all wrong has none.

    Args:
        solutions: of all provers that count.
        most: pairs of a prompt, at least 1.
        seed: of the choice among the solutions of a source.

    Returns:
        Pairs, the right solution chosen; `meta` has `right_from` and `wrong_from`.

    Raises:
        InputError: if there is no pair at all, or `most` is below 1.
    """
    if most < 1:
        raise InputError(f"game: most is {most}; give at least 1 pair a prompt")
    rng = np.random.default_rng([seed, 29])
    by_prompt: dict[str, list[int]] = {}
    seen: set[tuple[str, str]] = set()
    for i, prompt in enumerate(solutions.prompts):
        mark = (prompt, solutions.samples[i].text)
        if not np.isnan(solutions.correct[i]) and mark not in seen:
            seen.add(mark)
            by_prompt.setdefault(prompt, []).append(i)
    found: list[Pair] = []
    for members in by_prompt.values():
        right, wrong = (
            _in_turn([i for i in members if solutions.correct[i] == kind], solutions.source, rng) for kind in (1, 0)
        )
        for a, b in list(zip(right, wrong, strict=False))[:most]:
            first, second = solutions.samples[a], solutions.samples[b]
            told = {"right_from": solutions.source[a], "wrong_from": solutions.source[b]}
            found.append(Pair(first.prompt, first.completion, second.completion, meta=told))
    if not found:
        known = solutions.correct[~np.isnan(solutions.correct)]
        raise InputError(
            f"game: no prompt has a right and a wrong solution ({int((known == 1).sum())} right, "
            f"{int((known == 0).sum())} wrong, {len(solutions.correct) - len(known)} not known); sample more solutions "
            "a prompt, or take prompts that are solved sometimes"
        )
    return found


def _in_turn(members: Sequence[int], source: Sequence[str], rng: np.random.Generator) -> list[int]:
    """The members in an order in which their sources take turns, at random within a source."""
    parts: dict[str, list[int]] = {}
    for i in rng.permutation(np.asarray(members, dtype=np.int64)).tolist():
        parts.setdefault(source[i], []).append(i)
    queues = [parts[name] for name in sorted(parts)]
    if queues:
        start = int(rng.integers(len(queues)))  # else the first name would always come first
        queues = queues[start:] + queues[:start]
    turns = range(max((len(q) for q in queues), default=0))
    return [q[turn] for turn in turns for q in queues if turn < len(q)]


__all__ = ["Solutions", "game_pairs"]
