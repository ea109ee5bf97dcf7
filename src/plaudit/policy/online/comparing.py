"""Rewards out of comparisons within a prompt's completions, for algorithms that learn from who beats whom.

Each completion meets its siblings, or as many of them as are paid for; its reward is the share that it wins. What the
comparison could not decide, by no fault of either side, leaves both win rates. Identical completions tie unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, final

import numpy as np

from plaudit.errors import PlauditError
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.scoring import Patience, Scorer, units_of
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Outcome, PreferenceBatch, RewardBatch, Scope
from plaudit.shaping.win_rates import WinRate, win_rates

Pair = tuple[int, int]


@final
class Duels:
    """A comparison, asked with patience of the completions of each prompt; takes the place of a `Scorer`.

    `detail` of each completion has `compared` (decided pairs), `against` (sibling's place in the group to the
    probability of beating it), `strength` (to by how much, where the comparison's own detail has a number `strength`)
    and `undecided` (to the outcome).

    Args:
        comparison: any; a call that fails is repeated on halves of its pairs until those at fault stand alone.
        patience: limits of a call.
        per_sample: siblings that each completion meets, at most; 0 for all.
        both_orders: whether each pair is asked twice, once in each order, and the mean is taken.
    """

    def __init__(
        self,
        comparison: Comparison,
        patience: Patience | None = None,
        *,
        per_sample: int = 0,
        both_orders: bool = False,
    ) -> None:
        self.reward = WinRate(comparison)
        self.per_sample, self.both_orders = per_sample, both_orders
        self._asked = Scorer(_OfPairs(comparison), patience)

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong, and for how many pairs."""
        return self._asked.faults

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Win rates; the samples of a group must follow one another."""
        groups = units_of(self.reward, samples)
        pairs = [drawn_pairs(len(group), self.per_sample) for group in groups]
        turns = [
            (g, *turn)
            for g, group in enumerate(groups)
            for i, j in pairs[g]
            if group[i].text != group[j].text
            for turn in (((i, j), (j, i)) if self.both_orders else ((i, j),))
        ]
        asked = [(groups[g][i], groups[g][j]) for g, i, j in turns]
        said = self._asked(cast("Sequence[Sample]", asked))
        by_turn = {turn: k for k, turn in enumerate(turns)}
        found = [
            _standing([_settled(said, by_turn, g, *pair) for pair in pairs[g]], pairs[g], len(group))
            for g, group in enumerate(groups)
        ]
        return RewardBatch.concat(found) if found else RewardBatch(np.zeros(0))

    def in_parts(self, parts: Sequence[Sequence[Sample]], kept: Callable[[int, RewardBatch], object]) -> None:
        """See `Scorer.in_parts`; a part has whole groups."""
        for i, part in enumerate(parts):
            kept(i, self(part))


def drawn_pairs(size: int, per_sample: int = 0) -> list[Pair]:
    """Which completions of a group meet, and which of the two is shown first.

    They sit in a circle and each meets those next to it, then those one further, so that each is shown first in half
    of its pairs, to within one, and each meets equally many. With an odd number of completions and of pairs a
    completion, each meets one fewer.

    Args:
        size: completions of the group.
        per_sample: siblings that each meets, at most; 0 for all.
    """
    most = min(per_sample, size - 1) if per_sample else size - 1
    found = [(i, (i + step) % size) for step in range(1, most // 2 + 1) for i in range(size)]
    if most % 2 and size % 2 == 0:
        found += [(i, i + size // 2) for i in range(size // 2)]
    return found


def compared_of(batch: RewardBatch, sizes: Sequence[int]) -> Compared:
    """Who beat whom, from what `Duels` left in the detail of its rewards.

    Args:
        batch: rewards of all completions, group by group.
        sizes: completions of each group.

    Returns:
        Pairs as indices of the batch. Strengths are the comparison's own where it gave one for each decided pair of a
        group, else `2 p - 1`.
    """
    pairs: list[Pair] = []
    chances: list[float] = []
    strengths: list[float] = []
    start = 0
    for size in sizes:
        told = [dict(batch.detail[start + i]) if batch.detail else {} for i in range(size)]
        met = [(i, j, p) for i in range(size) for j, p in _later(told[i].get("against", {}), i)]
        own = [dict(_later(told[i].get("strength", {}), i)) for i in range(size)]
        stated = all(j in own[i] for i, j, _ in met)
        for i, j, p in met:
            pairs.append((start + i, start + j))
            chances.append(p)
            strengths.append(own[i][j] if stated else 2 * p - 1)
        start += size
    return Compared(np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(chances), np.array(strengths))


def _later(told: Mapping[Any, Any], i: int) -> list[tuple[int, float]]:
    """Siblings after i with their numbers; a log has their places as texts."""
    return [(int(j), float(x)) for j, x in told.items() if int(j) > i]


@final
class _OfPairs:
    """A comparison in a reward's clothes, for a `Scorer` that divides what fails: its samples are pairs."""

    scope: Scope = "sample"
    bounds = (0.0, 1.0)

    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.name, self.fingerprint = comparison, comparison.name, comparison.fingerprint

    def __call__(self, samples: Sequence[Any]) -> RewardBatch:
        said = self.comparison([a for a, _ in samples], [b for _, b in samples])
        if not isinstance(said, PreferenceBatch):
            raise PlauditError(f"{self.name} gave a {type(said).__name__}; a comparison must give a PreferenceBatch")
        known = said.probability[~np.isnan(said.probability)]
        if ((known < 0) | (known > 1)).any():
            raise PlauditError(f"{self.name} gave probabilities from {known.min()} to {known.max()}; give 0 to 1")
        return RewardBatch(said.probability, said.outcome, detail=said.detail)


_Settled = tuple[float, float | None, Outcome]
"""Of a pair: the probability that the first is better, by how much, and the outcome."""


def _settled(said: RewardBatch, turns: Mapping[tuple[int, int, int], int], g: int, i: int, j: int) -> _Settled:
    """What came of a pair over its turns; the mean of those that were decided."""
    if (g, i, j) not in turns:
        return 0.5, 0.0, Outcome.SCORED  # identical texts
    at = [(turns[key], sign) for key, sign in (((g, i, j), 1), ((g, j, i), -1)) if key in turns]
    decided = [(k, sign) for k, sign in at if said.valid[k]]
    if not decided:
        return np.nan, None, Outcome(max(int(said.outcome[k]) for k, _ in at))  # values rise with gravity
    p = float(np.mean([said.reward[k] if sign > 0 else 1 - said.reward[k] for k, sign in decided]))
    told = [dict(said.detail[k]).get("strength") if said.detail else None for k, _ in decided]
    numbers = [sign * float(x) for (_, sign), x in zip(decided, told, strict=True) if isinstance(x, int | float)]
    return p, float(np.mean(numbers)) if len(numbers) == len(decided) else None, Outcome.SCORED


def _standing(settled: Sequence[_Settled], pairs: Sequence[Pair], size: int) -> RewardBatch:
    """Win rates of a group."""
    said = PreferenceBatch(np.array([p for p, _, _ in settled]), np.array([o for _, _, o in settled], dtype=np.int8))
    reward, outcome, count = win_rates(said, pairs, n=size)
    detail: list[dict[str, Any]] = [{"compared": int(c), "against": {}} for c in count]
    for (i, j), (p, strength, became) in zip(pairs, settled, strict=True):
        for me, other, mine, by in ((i, j, p, strength), (j, i, 1 - p, None if strength is None else -strength)):
            if not became.counts:
                detail[me].setdefault("undecided", {})[str(other)] = became.name.lower()
                continue
            detail[me]["against"][str(other)] = mine
            if by is not None:
                detail[me].setdefault("strength", {})[str(other)] = by
    return RewardBatch(reward, outcome, detail=tuple(detail))


__all__ = ["Duels", "compared_of", "drawn_pairs"]
