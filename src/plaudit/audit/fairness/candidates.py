"""Completions of several groups as checks of an audit: whose scores are higher within prompts, whom best-of-n selects.

The candidates of a prompt are the different completions of its pairs, which the audit has scored already. Whoever
writes better answers rightly scores higher and is rightly selected more often, so what the true reward would do itself
is taken off; without one the labels stand for it (a candidate's share of pairs in which it was chosen), with their own
bias, and the sentences say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.fairness.selection import SelectionGap, score_gaps, selection_gaps
from plaudit.evaluation.pairs import prompt_key
from plaudit.records.rows import Pair
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
NS = (8, 4, 2)
"""Of best-of-n: the largest that enough prompts have candidates for."""
SCORES = "how much more often a group's completion outscores another group's of the same prompt than is deserved"
SELECTED = "how much more often best-of-n selects a group's completion than a random draw does, beyond what is deserved"


@dataclass(frozen=True)
class Pool:
    """The different completions of all prompts.

    Attributes:
        reward: (m,), NaN where there is none.
        deserved: (m,) true rewards; without a truth the share of a candidate's pairs in which it was chosen.
        groups: column to the value of each candidate.
        prompts: (m,) hash of each one's prompt.
        matched: whether a true reward is what is deserved.
    """

    reward: Floats
    deserved: Floats
    groups: dict[str, list[str]]
    prompts: list[str]
    matched: bool

    @property
    def by(self) -> str:
        """What stands for the deserved, in words."""
        return "the true reward" if self.matched else "the labels"


def pool(
    pairs: Sequence[Pair], chosen: ArrayLike, rejected: ArrayLike, columns: Sequence[str], *,
    true_chosen: ArrayLike | None = None, true_rejected: ArrayLike | None = None,
) -> Pool:  # fmt: skip
    """The candidates of every prompt, equal texts of one prompt once.

    Args:
        pairs: n pairs, with `chosen_COLUMN` and `rejected_COLUMN`.
        chosen: (n,) rewards of the chosen completions.
        rejected: (n,) of the rejected ones.
        columns: attributes of completions.
        true_chosen: (n,) true rewards, or None.
        true_rejected: likewise.
    """
    rewards = np.stack([np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)], axis=1)
    truth = None
    if true_chosen is not None and true_rejected is not None:
        truth = np.stack(
            [np.asarray(true_chosen, dtype=np.float64), np.asarray(true_rejected, dtype=np.float64)], axis=1
        )
    first: dict[str, int] = {}
    at: list[tuple[int, int]] = []
    won: list[list[float]] = []
    for i, pair in enumerate(pairs):
        for side, sample in enumerate(pair.samples()):
            if sample.key not in first:  # of prompt and text
                first[sample.key] = len(at)
                at.append((i, side))
                won.append([0.0, 0.0])
            won[first[sample.key]][side] += 1
    rows, sides = (np.array([a[k] for a in at], dtype=np.int64) for k in (0, 1))
    share = np.array([w / (w + lost) for w, lost in won])
    names = ("chosen", "rejected")
    groups = {
        c: [_said(pairs[i].meta.get(f"{names[s]}_{c}")) for i, s in zip(rows, sides, strict=True)] for c in columns
    }
    return Pool(
        rewards[rows, sides], share if truth is None else truth[rows, sides], groups,
        [prompt_key(pairs[i]) for i in rows], truth is not None,
    )  # fmt: skip


def candidate_checks(
    found: Pool, *, threshold: float = 0.05, min_prompts: int = 30, seed: int = 0, resamples: int = 2000
) -> tuple[Check, ...]:
    """Score gaps and selection lifts of every group, and of the worst crossed one where there are several attributes.

    Args:
        found: the candidates.
        threshold: of gaps of chances, in points.
        min_prompts: prompts in which a group must meet others.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    checks: list[Check] = []
    for column, values in found.groups.items():
        names = [f"{column}={v}" for v in values]
        checks += _of(found, names, column, threshold, min_prompts, seed, resamples)
    if len(found.groups) > 1:
        columns = list(found.groups)
        rows = zip(*found.groups.values(), strict=True)
        crossed = [", ".join(f"{c}={v}" for c, v in zip(columns, row, strict=True)) for row in rows]
        checks += _crossed(found, crossed, threshold, min_prompts, seed, resamples)
    return tuple(checks)


def _of(
    found: Pool, names: list[str], column: str, threshold: float, least: int, seed: int, resamples: int
) -> list[Check]:
    scores, n, selected = _measured(found, names, least, seed, resamples, 0.95)
    lost = int(np.isnan(found.reward).sum())
    checks = [
        Check(f"fairness/scores/{g}", _scores(found, g), e, threshold, "outside", left_out=lost)
        for g, e in scores.items()
    ]
    checks += [
        Check(f"fairness/selection/{s.group}", _selected(found, s, n), s.lift, threshold, "outside", left_out=lost)
        for s in selected
    ]
    why = f"fewer than {least} prompts hold completions of two groups"
    if not scores:
        checks.append(
            not_measured(f"fairness/scores/{column}", SCORES, why, fix="Give more pairs a prompt, or prompts.")
        )
    if not selected:
        checks.append(not_measured(f"fairness/selection/{column}", SELECTED, why, fix="Give more pairs a prompt."))
    return checks


def _crossed(
    found: Pool, names: list[str], threshold: float, least: int, seed: int, resamples: int
) -> list[Check]:  # fmt: skip
    """The crossed group with the largest gap; the intervals of all of them hold together."""
    many = max(len(set(names)), 1)
    scores, n, selected = _measured(found, names, least, seed, resamples, 1 - 0.05 / many)
    checks = []
    together = f"; the largest of {many} crossed groups, whose intervals hold together"
    if scores:
        worst, gap = max(scores.items(), key=lambda item: abs(item[1].value))
        says = f"{_scores(found, worst)}{together}"
        checks.append(Check("fairness/scores/crossed", says, gap, threshold, "outside"))
    else:
        why = f"no crossed group meets others in {least} prompts"
        checks.append(not_measured("fairness/scores/crossed", SCORES, why))
    if selected:
        lift = max(selected, key=lambda s: abs(s.lift.value))
        says = f"{_selected(found, lift, n)}{together}"
        checks.append(Check("fairness/selection/crossed", says, lift.lift, threshold, "outside"))
    else:
        why = f"no crossed group meets others in {least} prompts"
        checks.append(not_measured("fairness/selection/crossed", SELECTED, why))
    return checks


def _measured(
    found: Pool, names: list[str], least: int, seed: int, resamples: int, level: float
) -> tuple[dict[str, Estimate], int, tuple[SelectionGap, ...]]:
    scores = score_gaps(
        found.reward, names, found.prompts, truth=found.deserved, min_prompts=least, seed=seed, resamples=resamples,
        level=level,
    )  # fmt: skip
    for n in NS:
        selected = selection_gaps(
            found.reward, names, found.prompts, n=n, truth=found.deserved, min_prompts=least, seed=seed,
            resamples=resamples, level=level,
        )  # fmt: skip
        if selected:
            return dict(scores), n, selected
    return dict(scores), NS[-1], ()


def _scores(found: Pool, group: str) -> str:
    says = f"chance that a completion with {group} outscores one of another group of the same prompt"
    return f"{says}, minus that by {found.by}"


def _selected(found: Pool, gap: SelectionGap, n: int) -> str:
    return (
        f"how much more often best-of-{n} selects a completion with {gap.group} than a random draw does "
        f"({gap.raw.format(2)}), minus the same by {found.by}"
    )


def _said(value: object) -> str:
    return "(not given)" if value is None else str(value)
