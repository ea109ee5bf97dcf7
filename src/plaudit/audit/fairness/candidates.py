"""Completions of several groups as checks of an audit: whose scores are higher within prompts, whom best-of-n selects.

The candidates of a prompt are the different completions of its pairs, which the audit has scored already. Whoever
writes better answers rightly scores higher and is rightly selected more often, so what the true reward would do itself
is taken off. Without one the pairs' own scores stand for it (`chosen_score`, `rejected_score`), else the labels, with
their own bias, and the sentences say so.

**Labels say no more than they compared.** Of a prompt whose candidates were not all compared with each other, one pair
is taken: the winners of two pairs are not equals, and taking them for equals would call a reward unfair that only knows
better (in a simulation of a sound reward and a truly better group: 79 of 400 red lights, and 2 with one pair a prompt).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
SIDES = ("chosen", "rejected")
SCORES = "how much more often a group's completion outscores another group's of the same prompt than is deserved"
SELECTED = "how much more often best-of-n selects a group's completion than a random draw does, beyond what is deserved"


@dataclass(frozen=True)
class Pool:
    """The different completions of all prompts.

    Attributes:
        reward: (m,), NaN where there is none.
        deserved: (m,) true rewards, or the pairs' scores, or the share of a candidate's pairs in which it was chosen.
        groups: column to the value of each candidate.
        prompts: (m,) hash of each one's prompt.
        by: what stands for the deserved, in words.
        single: prompts of which one pair was taken, because the labels do not compare all candidates.
    """

    reward: Floats
    deserved: Floats
    groups: dict[str, list[str]]
    prompts: list[str]
    by: str
    single: int = 0


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
    rewards, worth, by = _sides(chosen, rejected), None, "the labels"
    if true_chosen is not None and true_rejected is not None:
        worth, by = _sides(true_chosen, true_rejected), "the true reward"
    elif pairs and all(p.chosen_score is not None and p.rejected_score is not None for p in pairs):
        worth = _sides([p.chosen_score for p in pairs], [p.rejected_score for p in pairs])
        by = "the pairs' own scores"
    of: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        of.setdefault(prompt_key(pair), []).append(i)
    at: list[tuple[int, int]] = []
    share: list[float] = []
    single = 0
    for rows in of.values():
        found, won, complete = _candidates(pairs, rows)
        if worth is None and not complete:
            found, won, _ = _candidates(pairs, rows[:1])
            single += 1
        at += found
        share += won
    deserved = np.array(share) if worth is None else np.array([worth[i, s] for i, s in at])
    groups = {c: [_said(pairs[i].meta.get(f"{SIDES[s]}_{c}")) for i, s in at] for c in columns}
    reward = np.array([rewards[i, s] for i, s in at], dtype=np.float64)
    return Pool(reward, deserved, groups, [prompt_key(pairs[i]) for i, _ in at], by, single)


def _sides(chosen: Any, rejected: Any) -> Floats:
    return np.stack([np.asarray(x, dtype=np.float64) for x in (chosen, rejected)], axis=1)


def _candidates(pairs: Sequence[Pair], rows: Sequence[int]) -> tuple[list[tuple[int, int]], list[float], bool]:
    """Pair and side of each different completion, its share of wins, and whether all were compared with each other."""
    first: dict[str, int] = {}
    at: list[tuple[int, int]] = []
    wins: list[list[float]] = []
    met = set()
    for i in rows:
        keys = [sample.key for sample in pairs[i].samples()]  # of prompt and text
        for side, key in enumerate(keys):
            if key not in first:
                first[key] = len(at)
                at.append((i, side))
                wins.append([0.0, 0.0])
            wins[first[key]][side] += 1
        met.add(frozenset(keys))
    meetings = sum(len(m) == 2 for m in met)
    return at, [w / (w + lost) for w, lost in wins], meetings == len(at) * (len(at) - 1) // 2


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
    return f"{says}, minus that by {found.by}{_one_pair(found)}"


def _selected(found: Pool, gap: SelectionGap, n: int) -> str:
    return (
        f"how much more often best-of-{n} selects a completion with {gap.group} than a random draw does "
        f"({gap.raw.format(2)}), minus the same by {found.by}{_one_pair(found)}"
    )


def _one_pair(found: Pool) -> str:
    return f"; of {found.single} prompts one pair, for their labels compare no more" if found.single else ""


def _said(value: object) -> str:
    return "(not given)" if value is None else str(value)
