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
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.fairness.examples import overtaken, prompt_text
from plaudit.audit.fairness.selection import SelectionGap, mixed_prompts, score_gaps, selection_gaps
from plaudit.audit.fairness.small import nobody_else, too_small
from plaudit.evaluation.pairs import prompt_key
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text
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
        texts: (m,) prompt and completion of each candidate.
    """

    reward: Floats
    deserved: Floats
    groups: dict[str, list[str]]
    prompts: list[str]
    by: str
    single: int = 0
    texts: list[tuple[str, str]] = field(default_factory=list)


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
    sides = [(prompt_text(p), completion_text(p.chosen), completion_text(p.rejected)) for p in pairs]
    texts = [(sides[i][0], sides[i][1 + s]) for i, s in at]
    return Pool(reward, deserved, groups, [prompt_key(pairs[i]) for i, _ in at], by, single, texts)


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
    checks = [_scored(found, names, group, gap, threshold) for group, gap in scores.items()]
    checks += [_taken(found, names, s, n, threshold) for s in selected]
    for kind, says, size, shown in (
        ("scores", SCORES, 2, set(scores)), ("selection", SELECTED, n, {s.group for s in selected}),
    ):  # fmt: skip
        why = _missing(found, names, shown, least, size)
        if len(set(names)) == 1:
            why = nobody_else(column, names[0].removeprefix(f"{column}="), "completions")
        if why:
            checks.append(not_measured(f"fairness/{kind}/{column}", says, why, fix="Give more pairs a prompt."))
    return checks


def _missing(found: Pool, names: list[str], shown: set[str], least: int, n: int) -> str:
    """Which groups were not measured, and how many prompts each has; empty where all were."""
    counts = mixed_prompts(found.reward, names, found.prompts, n=n)
    rest = too_small({g: count for g, count in counts.items() if g not in shown}, least, "mixed prompts")
    return f"{rest} with {n} scored candidates" if rest and n > 2 else rest


def _scored(found: Pool, names: list[str], group: str, gap: Estimate, threshold: float) -> Check:
    """The check of a score gap, with texts of whoever is worse off that a worse one outscores."""
    lost, examples = int(np.isnan(found.reward).sum()), _worst(found, names, group, gap, top=False)
    return Check(f"fairness/scores/{group}", _scores(found, group), gap, threshold, "outside", examples, lost)


def _taken(found: Pool, names: list[str], gap: SelectionGap, n: int, threshold: float) -> Check:
    """The check of a selection lift, with texts of whoever is worse off in whose place a worse one is selected."""
    lost, examples = int(np.isnan(found.reward).sum()), _worst(found, names, gap.group, gap.lift, top=True)
    name = f"fairness/selection/{gap.group}"
    return Check(name, _selected(found, gap, n), gap.lift, threshold, "outside", examples, lost)


def _worst(found: Pool, names: list[str], group: str, gap: Estimate, *, top: bool) -> tuple[Example, ...]:
    if not gap.value:
        return ()
    ours = (np.array(names, dtype=str) == group) == (gap.value < 0)
    return overtaken(found.texts, found.reward, found.deserved, ours, found.prompts, names, top=top)


def _crossed(
    found: Pool, names: list[str], threshold: float, least: int, seed: int, resamples: int
) -> list[Check]:  # fmt: skip
    """The crossed group with the largest gap; the intervals of all of them hold together."""
    many = max(len(set(names)), 1)
    scores, n, selected = _measured(found, names, least, seed, resamples, 1 - 0.05 / many)
    checks = []
    together = f"; the largest of {many} crossed groups, whose intervals hold together"
    small = _missing(found, names, set(scores), least, 2)
    if scores:
        worst, gap = max(scores.items(), key=lambda item: abs(item[1].value))
        check = _scored(found, names, worst, gap, threshold)
        says = f"{check.says}{together}" + (f"; not measured: {small}" if small else "")
        checks.append(replace(check, name="fairness/scores/crossed", says=says))
    else:
        checks.append(not_measured("fairness/scores/crossed", SCORES, small or "there is no candidate"))
    small = _missing(found, names, {s.group for s in selected}, least, n)
    if selected:
        lift = max(selected, key=lambda s: abs(s.lift.value))
        check = _taken(found, names, lift, n, threshold)
        says = f"{check.says}{together}" + (f"; not measured: {small}" if small else "")
        checks.append(replace(check, name="fairness/selection/crossed", says=says))
    else:
        checks.append(not_measured("fairness/selection/crossed", SELECTED, small or "there is no candidate"))
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
