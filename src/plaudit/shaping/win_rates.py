"""From comparisons to a reward: how often a completion is preferred to the others of its prompt.

Source: Munos et al. 2023, "Nash Learning from Human Feedback"; Wang et al. 2025, "Pref-GRPO" [128], for groups.
Differs from the papers: an undecided pair (abstained, timed out, an instrument's fault) leaves both means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, Floats, Outcome, PreferenceBatch, RewardBatch, Scope
from plaudit.shaping.groups.pairwise import pairs_within
from plaudit.shaping.transforms.ranked import groups_of

MOST = 30.0
"""Log-odds beyond which a comparison says no more."""


@final
class WinRate:
    """`reward_i = mean_{j != i} P(i is better than j)` over the completions of i's prompt that are scored together.

    The reward depends on which completions are compared, so its scope is the group: half of one gives other numbers.
    Each unordered pair is compared once. A sample alone in its group, or whose every pair is undecided, abstains.

    Args:
        of: a comparison, or a reference to one.
        unit: what of each comparison is averaged: the `probability` of winning, or its `log-odds`, cut at plus and
            minus 30, which are the scores that GPO learns from [98].

    Raises:
        InputError: if the reference names a reward, or the unit is not known.
    """

    scope: Scope = "group"

    def __init__(self, of: Comparison | str | Mapping[str, Any], unit: str = "probability") -> None:
        from plaudit.rewards.registry import resolve

        if unit not in ("probability", "log-odds"):
            raise InputError(f"shape/win-rate: unit is {unit!r}; give 'probability' or 'log-odds'")
        found = resolve(of) if isinstance(of, str | Mapping) else of
        if not isinstance(found, Comparison) or hasattr(found, "bounds"):
            raise InputError(
                f"shape/win-rate: {of} is a reward; its own numbers rank a group, so leave out shape/win-rate"
            )
        self.comparison, self.unit = found, unit

    @property
    def bounds(self) -> tuple[float, float]:
        """0 and 1, or the cut of log-odds."""
        return (0.0, 1.0) if self._plain else (-MOST, MOST)

    @property
    def name(self) -> str:
        """The comparison's, marked."""
        return f"win-rate({self.comparison.name})"

    @property
    def fingerprint(self) -> str:
        """Of the comparison and of this reading of it."""
        return content_hash(["shape/win-rate", self.comparison.fingerprint, *([] if self._plain else [self.unit])])

    @property
    def _plain(self) -> bool:
        return self.unit == "probability"

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Win rates within groups; samples without `group` are grouped by their prompt."""
        groups = groups_of(samples)
        pairs = [(int(i), int(j)) for i, j in pairs_within(groups)]
        said = self.comparison([samples[i] for i, _ in pairs], [samples[j] for _, j in pairs])
        reward, outcome, compared = win_rates(said, pairs, n=len(samples), log_odds=not self._plain)
        met = np.bincount(np.array(pairs, dtype=np.int64).ravel(), minlength=len(samples))
        detail = tuple(
            {"compared": int(c)} if c else {"compared": 0, "reason": _why(int(m))}
            for c, m in zip(compared, met, strict=True)
        )
        return RewardBatch(reward, outcome, detail=detail)


def _why(met: int) -> str:
    """Why a sample that met so many others has no win rate."""
    if not met:
        return "no other completion of its prompt is scored together with it"
    return f"none of its {met} comparisons is decided"


def win_rates(
    said: PreferenceBatch, pairs: Sequence[tuple[int, int]], *, n: int, log_odds: bool = False
) -> tuple[Floats, np.ndarray[Any, np.dtype[np.int8]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Mean probability of winning of each of n samples.

    Args:
        said: of each pair the probability that its first is better; NaN where the outcome does not count.
        pairs: indices (first, second).
        n: samples.
        log_odds: average log-odds, cut at plus and minus 30, in place of probabilities.

    Returns:
        Reward (n,), NaN where nothing counted; outcome (n,): there the gravest reason of its pairs, the machine's
        fault before a time-out before an abstention, ABSTAINED where there is no pair; pairs that counted (n,).
    """
    total, count = np.zeros(n), np.zeros(n, dtype=np.int64)
    worst = np.full(n, int(Outcome.ABSTAINED), dtype=np.int8)
    won = said.probability
    if log_odds:
        with np.errstate(divide="ignore"):
            won = np.clip(np.log(won) - np.log1p(-won), -MOST, MOST)
    for (i, j), p, outcome in zip(pairs, won, said.outcome, strict=True):
        if Outcome(int(outcome)).counts:
            total[i] += p
            total[j] += -p if log_odds else 1 - p
            count[i] += 1
            count[j] += 1
        else:
            for k in (i, j):
                worst[k] = max(worst[k], outcome, key=_SEVERITY.index)
    counted = count > 0
    reward = np.where(counted, total / np.maximum(count, 1), np.nan)
    return reward, np.where(counted, Outcome.SCORED, worst).astype(np.int8), count


_SEVERITY = (int(Outcome.ABSTAINED), int(Outcome.TIMED_OUT), int(Outcome.INSTRUMENT_FAULT))
