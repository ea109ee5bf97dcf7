"""Content-blind baselines: what a rule that never reads the text reaches on the same pairs.

A reward that does not beat "the longer one" has shown nothing. Each rule is a margin from surface features of
the two completions; a tie counts half.

**Position.** Preference files list the chosen completion first, so "the first one" is right on every row by
construction, and so is nothing learned from the row's order; a file only says something about position where
it records which completion the annotator saw first. The rule reads the meta column `chosen_position` (0 shown
first, 1 second), and is reported as not measurable where there is none, never as a made-up 50%.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share, signed_share

Floats = NDArray[np.float64]

_MARKS = re.compile(
    r"\*\*|__|```"  # bold, fences
    r"|^[ \t]{0,3}#{1,6}(?=\s)|^[ \t]*(?:[-*+]|\d{1,3}[.)])(?=\s)|^[ \t]*>|^[ \t]*\|"  # line starts
    r"|(?<!\S)(?:-|#{1,6}|\*)(?!\S)",  # marks that stand alone as words, as in word-level corpora
    re.MULTILINE,
)
_RULES = ("longer", "shorter", "more markdown", "less markdown", "position", "random")


@dataclass(frozen=True)
class Baseline:
    """One content-blind rule on the pairs that the reward scored.

    Attributes:
        name: of the rule.
        accuracy: of the rule, ties half; NaN where it cannot be measured.
        advantage: the reward's accuracy minus the rule's, paired; its interval above 0 means that the reward
            beats it. Where no pair goes one of the two ways, gains and losses have Wilson's intervals, combined.
        note: what a reader must know, for example why it could not be measured.
    """

    name: str
    accuracy: Estimate
    advantage: Estimate
    note: str = ""


def strongest(baselines: Sequence[Baseline]) -> Baseline | None:
    """The rule that sets the bar: the most accurate that is not a coin; None where none could be measured.

    Args:
        baselines: rules on the same pairs.
    """
    known = [b for b in baselines if b.name != "random" and not math.isnan(b.advantage.value)]
    return max(known, key=lambda b: b.accuracy.value, default=None)


def markdown_marks(text: str) -> int:
    """Number of markdown marks in a text: headings, list items, bold, fences, quotes, table rows.

    Args:
        text: a completion.
    """
    return len(_MARKS.findall(text))


def correctness(margin: ArrayLike) -> Float[np.ndarray, " n"]:
    """1 where the margin is above 0, 0.5 where it is 0, 0 below; NaN stays NaN.

    Args:
        margin: (n,), chosen minus rejected.
    """
    m = np.asarray(margin, dtype=np.float64)
    return np.asarray((np.sign(m) + 1) / 2)


def baseline_margins(pairs: Sequence[Pair]) -> dict[str, Floats]:
    """Margins of every content-blind rule, chosen minus rejected, each (n,).

    Args:
        pairs: the pairs.

    Returns:
        Rule name to margins; `position` is NaN where the pair does not record it, `random` is 0: a coin in
        expectation, so that the rule adds no noise of its own.
    """
    length = _difference(pairs, len)
    marks = _difference(pairs, markdown_marks)
    position = np.array([_position(pair) for pair in pairs], dtype=np.float64)
    return dict(zip(_RULES, (length, -length, marks, -marks, position, np.zeros(len(pairs))), strict=True))


def evaluate_baselines(
    pairs: Sequence[Pair],
    margin: ArrayLike,
    clusters: Clusters,
    *,
    truth: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> tuple[Baseline, ...]:
    """Every content-blind rule beside the reward, on the pairs that the reward scored.

    Args:
        pairs: n pairs.
        margin: (n,) the reward's margins; NaN where it has none.
        clusters: (n,) labels of the prompts.
        truth: (n,) true margins: rules and reward are then judged by their sign instead of by the labels; pairs
            that are truly equal are left out.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    side = np.ones(len(pairs)) if truth is None else np.sign(np.asarray(truth, dtype=np.float64))
    side = np.where(side == 0, np.nan, side)
    own = correctness(np.asarray(margin, dtype=np.float64) * side)
    results = []
    for name, rule in baseline_margins(pairs).items():
        right = np.where(np.isnan(own), np.nan, correctness(rule * side))
        if name == "random":
            accuracy, advantage = _chance(share(own, clusters, seed=seed, resamples=resamples))
        else:
            accuracy = share(right, clusters, seed=seed, resamples=resamples)
            advantage = signed_share(own - right, clusters, seed=seed, resamples=resamples)
        results.append(Baseline(name, accuracy, advantage, _note(name, rule, right, len(pairs))))
    return tuple(results)


def _chance(own: Estimate) -> tuple[Estimate, Estimate]:
    """A coin in expectation, a constant and no sample, and the reward's accuracy less it."""
    if math.isnan(own.value):
        return Estimate(math.nan, n=own.n, method=own.method), own
    less = Estimate(own.value - 0.5, own.low - 0.5, own.high - 0.5, own.n, f"{own.method}, less chance")
    return Estimate(0.5, n=own.n, method="exact"), less


def _note(name: str, rule: Floats, right: Floats, n: int) -> str:
    known = int((~np.isnan(right)).sum())
    if not known and (name != "position" or not np.isnan(rule).all()):
        return "not measured: no pair has a margin to compare with"
    if name == "position" and not known:
        return "not recorded: files list the chosen one first; add a column chosen_position (0 or 1)"
    if name == "position" and known < n:
        return f"recorded for {known} of {n} pairs"
    if name == "random":
        return "a coin, in expectation"
    ties = float((rule[~np.isnan(right)] == 0).mean()) if known else 0.0
    return f"{ties:.0%} ties, counted half" if ties >= 0.005 else ""


def _difference(pairs: Sequence[Pair], feature: Callable[[str], float]) -> Floats:
    rows = [feature(completion_text(p.chosen)) - feature(completion_text(p.rejected)) for p in pairs]
    return np.array(rows, dtype=np.float64)


def _position(pair: Pair) -> float:
    """1 where the chosen one was shown first, -1 where second, NaN where unknown."""
    value = pair.meta.get("chosen_position")
    return {0: 1.0, 1: -1.0}.get(value, math.nan) if isinstance(value, int) else math.nan
