"""Pairs whose labels two rewards vouch for: the best and the worst of a list, and how well two rankings agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.training.objectives.pairs.consistency import extreme_pairs, ranking_consistency


def consistent_pairs(rows: Sequence[Any], *, average: bool = True) -> list[Pair]:
    """The best and the worst completion of each prompt, with the consistency of two rankings as the label's certainty.

    Args:
        rows: ranked rows whose scores are the current model's rewards (its log-ratio with the first model), and which
            have `previous`, the list of the model before it.
        average: whether every pair gets the mean consistency (the paper's default), or that of its own prompt.

    Returns:
        Pairs with `preference` in their meta; a prompt whose scores are all equal is left out.

    Raises:
        InputError: if a row lacks the second ranking, or all rows are left out.

    Source: Wang et al. 2024, "CREAM: Consistency Regularized Self-Rewarding Language Models" [116].
    """
    found: list[tuple[Pair, float]] = []
    for i, row in enumerate(rows):
        before = row.meta.get("previous") if isinstance(row, Ranked) else None
        numbers = isinstance(before, Sequence) and all(isinstance(x, int | float) and math.isfinite(x) for x in before)
        if not isinstance(row, Ranked) or not numbers or len(before or ()) != len(row.completions):
            raise InputError(
                f"cream: row {i + 1} has previous {before!r}; give ranked rows with previous, a reward of the model "
                "before for each of its completions"
            )
        if max(row.scores) == min(row.scores):
            continue
        scores, members = torch.tensor(row.scores, dtype=torch.float64), [torch.arange(len(row.scores))]
        rate = float(ranking_consistency(scores, torch.tensor(before, dtype=torch.float64), members)[0])
        best, worst = extreme_pairs(scores, members)[0].tolist()
        found.append((Pair(row.prompt, row.completions[best], row.completions[worst], meta=row.meta), rate))
    if not found:
        raise InputError("cream: all scores of a prompt are equal everywhere; there is nothing to learn")
    mean = sum(rate for _, rate in found) / len(found)
    return [
        Pair(p.prompt, p.chosen, p.rejected, meta={**p.meta, "preference": mean if average else rate})
        for p, rate in found
    ]
