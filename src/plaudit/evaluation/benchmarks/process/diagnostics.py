"""What a step reward attends to, and how best-of-n inflates it [227, 158].

A solution's steps are pairs of thought (words) and expression (mathematics). Masks: `FC` everything up to step i,
`MO` all expressions, `SSMO` the last expression only, `NT` the history in full with the last thought but not its
expression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, nearest
from plaudit.evaluation.baselines import correctness
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share, signed_share

MASKS = ("FC", "MO", "SSMO", "NT")
"""Full context, mathematics only, single-step mathematics only, next thought."""


def mask_inputs(steps: Sequence[tuple[str, str]], kind: str, *, joiner: str = "\n") -> str:
    """What a step reward sees of a solution so far.

    Args:
        steps: (thought, expression) of each step up to and with the one that is judged; empty texts are left out.
        kind: one of `MASKS`.
        joiner: between parts.

    Raises:
        InputError: if the mask is not known, or there is no step.

    Source: Ma et al. 2024, "What Are Step-Level Reward Models Rewarding?" [227].
    """
    if kind not in MASKS:
        raise InputError(f"mask_inputs: {kind!r} is not known; {nearest(kind, MASKS)}")
    if not steps:
        raise InputError("mask_inputs: there is no step; give at least one")
    if kind == "MO":
        parts = [expression for _, expression in steps]
    elif kind == "SSMO":
        parts = [steps[-1][1]]
    else:
        parts = [part for step in steps for part in step]
        parts = parts[:-1] if kind == "NT" else parts
    return joiner.join(part for part in parts if part)


@dataclass(frozen=True)
class MaskTable:
    """Preference accuracy under each mask.

    Attributes:
        accuracy: mask to share of sibling pairs ranked right, ties half.
        against_full: mask to its accuracy minus that of FC, paired; masks other than FC.
    """

    accuracy: Mapping[str, Estimate]
    against_full: Mapping[str, Estimate]


def mask_table(margins: Mapping[str, ArrayLike], clusters: Clusters | None = None, *, seed: int = 0) -> MaskTable:
    """Accuracies of step preferences under masks, with paired differences to the full context.

    Differs from the paper: the paired t-test of FC against MO is a paired interval over problems.

    Args:
        margins: mask to (n,) margins of preferred over other siblings, the same pairs in the same order; NaN leaves.
        clusters: (n,) labels of the problems.
        seed: of the bootstrap.

    Raises:
        InputError: if FC is not among them.
    """
    if "FC" not in margins:
        raise InputError(f"mask_table: the full context FC is missing; given: {', '.join(margins) or 'none'}")
    right = {kind: correctness(m) for kind, m in margins.items()}
    accuracy = {kind: share(r, clusters, seed=seed) for kind, r in right.items()}
    others = {k: signed_share(r - right["FC"], clusters, seed=seed) for k, r in right.items() if k != "FC"}
    return MaskTable(accuracy, others)


def minimum_at_end(steps: Sequence[ArrayLike], clusters: Clusters | None = None, *, seed: int = 0) -> Estimate:
    """Share of solutions whose lowest step reward is the last step's: the sign that a process reward judges outcomes.

    Args:
        steps: for each solution its step rewards; fewer than two steps or a NaN leave the share. A tie with an earlier
            step counts by the share of tied steps that are the last.
        clusters: label of each solution's problem.
        seed: of the bootstrap.

    Source: Zhang et al. 2025 [158]: above 40% in several process rewards trained on Monte-Carlo labels.
    """
    values = []
    for given in steps:
        p = np.asarray(given, np.float64)
        lowest = p == p.min() if p.size > 1 and not np.isnan(p).any() else np.zeros(0, dtype=bool)
        values.append(lowest[-1] / lowest.sum() if lowest.size else math.nan)
    return share(values, clusters, seed=seed)


def right_answer_wrong_process(
    scores: Sequence[ArrayLike], answer_right: Sequence[ArrayLike], process_right: Sequence[ArrayLike], *, seed: int = 0
) -> dict[str, Estimate]:
    """How far best-of-n credits solutions that reach the right answer by a wrong process.

    Args:
        scores: for each problem the rewards of its n candidates; a NaN leaves the problem.
        answer_right: whether each candidate's answer is right.
        process_right: whether each candidate's steps are.
        seed: of the bootstrap over problems.

    Returns:
        `answer` and `process`: shares of selected candidates (ties shared) with a right answer, with right steps as
        well; `inflation`: the difference.

    Source: Zhang et al. 2025 [158].
    """
    answers, processes = [], []
    for score, answer, process in zip(scores, answer_right, process_right, strict=True):
        s, a, p = (np.asarray(x, np.float64) for x in (score, answer, process))
        if not s.size or np.isnan(s).any():
            answers.append(math.nan)
            processes.append(math.nan)
            continue
        best = s == s.max()
        answers.append(float(a[best].mean()))
        processes.append(float((a * p)[best].mean()))
    return {
        "answer": share(answers, seed=seed), "process": share(processes, seed=seed),
        "inflation": signed_share(np.subtract(answers, processes), seed=seed),
    }  # fmt: skip
