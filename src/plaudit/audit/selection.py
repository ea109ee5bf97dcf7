"""What a reward's picks are truly worth: best-of-n among candidates, where a true reward judges them.

Pairs say how a reward ranks two completions. Whether it may select, and up to which n, only many completions of a
prompt can say: the true reward of the best of n, its gain over one sample, and whether it falls again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.config import AuditConfig
from plaudit.audit.subject import Subject
from plaudit.records.sample import Sample, content_hash
from plaudit.search.best_of_n import BestOfNCurve, Turn, best_of_n_curve, peak_and_turn

Floats = NDArray[np.float64]
FEWEST = 8
"""Prompts with enough candidates below which nothing is said: half of them choose the peak, the others test it."""


@dataclass(frozen=True)
class Selection:
    """What was measured of a reward's picks.

    Attributes:
        checks: `accuracy/selection` and `accuracy/over-optimisation`; grey where they could not be measured.
        curve: best-of-n, the true reward in its standard deviations within prompts; None where there is none.
        turn: whether the true reward falls again; None where there is none.
    """

    checks: tuple[Check, ...]
    curve: BestOfNCurve | None = None
    turn: Turn | None = None


def selection(candidates: Sequence[Sample], subject: Subject, config: AuditConfig) -> Selection:
    """The curve over n = 1, 2, 4, ... up to a quarter of the pool, on the prompts whose pools allow it.

    The largest n is what half of the prompts allow; the others are left out, and counted.

    Args:
        candidates: several completions of each prompt, best from the policy that will be selected from.
        subject: what is audited, with its truth.
        config: seed and resamples.
    """
    why, fix = _lacking(candidates, subject)
    if why:
        return _grey(why, fix)
    assert subject.scored is not None
    assert subject.truth is not None
    proxy, truth = (_by_prompt(candidates, r(candidates).reward) for r in (subject.scored, subject.truth))
    proxy = np.where(np.isnan(truth), np.nan, proxy)  # what the truth cannot judge leaves its pool
    sizes = np.isfinite(proxy).sum(axis=1)
    largest = 2 ** int(np.log2(max(np.median(sizes) / 4, 1)))
    kept = sizes >= 4 * largest
    if largest < 2 or kept.sum() < FEWEST:
        return _grey(
            f"{int((sizes >= 8).sum())} prompts have eight candidates or more with both rewards, and {FEWEST} and "
            "half of the prompts are needed",
            "Give more completions of each prompt: four for each n.",
        )
    proxy, truth = proxy[kept], np.where(np.isnan(proxy[kept]), np.nan, truth[kept])
    unit = float(np.sqrt(np.nanmean(np.nanvar(truth, axis=1, ddof=1)))) or 1.0
    ns = [2**i for i in range(int(np.log2(largest)) + 1)]
    options: dict[str, Any] = {"seed": config.seed, "resamples": config.resamples}
    curve = best_of_n_curve(proxy, truth / unit, ns, **options)
    turn = peak_and_turn(proxy, truth / unit, ns, **options)
    over, left = f"over {int(kept.sum())} prompts", int((~kept).sum())
    gain = Check(
        "accuracy/selection", f"{_SAYS[0]} (n = {largest}, {over})", curve.gain[-1], 0.0, "below", left_out=left,
        fix="Get more or cleaner pairs, or a stronger backbone.",
    )  # fmt: skip
    where = f"from n = {turn.peak} to {turn.largest}"
    if turn.peak == turn.largest:
        where = f"the best n is the largest, {turn.largest}"
    fall = Check(
        "accuracy/over-optimisation", f"{_SAYS[1]} ({where})", turn.drop, 0.0,
        left_out=left, fix="Select with a smaller n; reduce label noise or add pairs of its top candidates.",
    )  # fmt: skip
    return Selection((gain, fall), curve, turn)


_SAYS = (
    "what the best of n by it is truly worth beyond one sample, in true standard deviations within prompts",
    "what its picks lose in true worth beyond the best n, chosen on the other half of the prompts, in true deviations",
)


def _grey(why: str, fix: str) -> Selection:
    names = ("accuracy/selection", "accuracy/over-optimisation")
    return Selection(tuple(not_measured(n, s, why, fix=fix) for n, s in zip(names, _SAYS, strict=True)))


def _lacking(candidates: Sequence[Sample], subject: Subject) -> tuple[str, str]:
    """Why nothing can be selected, and what to give; empty where it can."""
    if subject.scored is None:
        return "a comparison gives no reward of one completion", "Audit it as shape/win-rate, which makes it one."
    if not candidates:
        return "no candidates are given to select among", "Give --candidates: samples, many of each prompt."
    if subject.scored.scope == "batch":
        return "the reward scores the whole batch together", ""
    if subject.truth is None:
        return "without a true reward nobody knows what its picks are worth", "Give --truth."
    return "", ""


def _by_prompt(samples: Sequence[Sample], values: Floats) -> Floats:
    """A row a prompt (or group), as wide as the largest; NaN where there is no candidate."""
    rows: dict[str, list[float]] = {}
    for sample, value in zip(samples, values, strict=True):
        rows.setdefault(sample.group or content_hash([m.to_dict() for m in sample.prompt]), []).append(float(value))
    table = np.full((len(rows), max(map(len, rows.values()))), np.nan)
    for i, row in enumerate(rows.values()):
        table[i, : len(row)] = row
    return table
