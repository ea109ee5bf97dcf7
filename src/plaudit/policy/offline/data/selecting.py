"""Selections of scored completions: the best to be imitated, pairs that differ in the score and in little else.

Both end where training begins: sampling completions, and scoring them (`plaudit score`), are steps of their own, and
each round of an iterated method is one run of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from plaudit.errors import InputError
from plaudit.policy.offline.data.scored import ScoredList, scored_lists
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample, completion_text


def best_of(rows: Sequence[Any], *, keep: int = 1, share: float = 0.0, who: str = "raft") -> list[Sample]:
    """The best completions, to be imitated.

    Args:
        rows: see `scored_lists`.
        keep: how many of each prompt's, the best first; equal scores in the order of the rows.
        share: above 0 the best share of all completions is taken instead, whatever their prompts: what the paper calls
            global ranking. Prompts on which the policy does badly are then left out.
        who: begins messages.

    Returns:
        Samples, their score in `meta["reward"]`.

    Raises:
        InputError: if a row has no score, or a number is out of range.

    Source: Dong et al. 2023, "RAFT: Reward rAnked FineTuning" [119].
    """
    if keep < 1 or not 0 <= share <= 1:
        raise InputError(f"{who}: keep is {keep} and share {share}; give keep of at least 1 and a share from 0 to 1")
    lists = scored_lists(rows, who=who)
    if share:
        flat = [(s, i, j) for i, one in enumerate(lists) for j, s in enumerate(one.scores)]
        best = sorted(flat, key=lambda x: (-x[0], x[1], x[2]))[: max(1, round(share * len(flat)))]
        return [_sample(lists[i], j) for _, i, j in sorted(best, key=lambda x: (x[1], x[2]))]
    return [_sample(one, j) for one in lists for j in _descending(one.scores)[:keep]]


def best_of_superbatch(
    rows: Sequence[Any], *, keep: int = 1, share: float = 0.0, length_coef: float = 0.0
) -> list[Sample]:
    """`best_of`, where each character costs.

    Args:
        rows: see `scored_lists`.
        keep: see `best_of`.
        share: see `best_of`.
        length_coef: taken off the score for each character of a completion before they are compared.

    Returns:
        Samples, what is left of their score in `meta["reward"]`.

    Raises:
        InputError: as `best_of`; if `length_coef` is negative or not finite.

    Source: Mukobi et al. 2023, "SuperHF: Supervised Iterative Learning from Human Feedback" [220].
    """
    if not 0 <= length_coef < math.inf:
        raise InputError(f"superhf: length_coef is {length_coef}; give what a character costs, at least 0")
    lists = scored_lists(rows, who="superhf")
    cheaper = [
        Ranked(
            one.prompt, tuple(one.completions),
            tuple(s - length_coef * len(completion_text(c)) for s, c in zip(one.scores, one.completions, strict=True)),
            meta=one.meta,
        )
        for one in lists
    ]  # fmt: skip
    return best_of(cheaper, keep=keep, share=share, who="superhf")


def _descending(scores: Sequence[float]) -> list[int]:
    """Places of the scores, the highest first; equal ones in their order."""
    return sorted(range(len(scores)), key=lambda j: (-scores[j], j))


def _sample(one: ScoredList, j: int) -> Sample:
    return Sample(one.prompt, one.completions[j], meta={**one.meta, "reward": one.scores[j]})


def quoted_pairs(rows: Sequence[Any], *, score_gap: float = 0.1, length_gap: float = 0.1) -> list[Pair]:
    """One pair a prompt: scores that differ by more than a gap, lengths that do not, and of these the highest mean.

    The mean keeps the worse one decent; without the rule of lengths a score that grows with length teaches length.

    Args:
        rows: see `scored_lists`; the paper's scores are QUIP, the share of an answer that a trusted corpus holds.
        score_gap: the scores must differ by more than this.
        length_gap: `|len_c - len_r| / min(len_c, len_r)` must be below this; lengths in characters.

    Returns:
        Pairs with both scores; prompts without any such pair are left out.

    Raises:
        InputError: if a row has no score, a gap is negative, or there is no such pair at all.

    Source: Zhang et al. 2024, "Verifiable by Design: Aligning Language Models to Quote from Pre-Training Data" [192].
    Differs from the paper: lengths in characters.
    """
    if score_gap < 0 or length_gap < 0:
        raise InputError(f"quote-tuning: score_gap is {score_gap} and length_gap {length_gap}; neither may be negative")
    found = []
    for one in scored_lists(rows, who="quote-tuning"):
        sizes = [len(completion_text(c)) for c in one.completions]
        allowed = [
            (one.scores[a] + one.scores[b], a, b)
            for a in range(len(sizes))
            for b in range(len(sizes))
            if one.scores[a] - one.scores[b] > score_gap
            and abs(sizes[a] - sizes[b]) < length_gap * min(sizes[a], sizes[b])
        ]
        if allowed:
            _, a, b = max(allowed, key=lambda x: (x[0], -x[1], -x[2]))
            found.append(
                Pair(
                    one.prompt, one.completions[a], one.completions[b], chosen_score=one.scores[a],
                    rejected_score=one.scores[b], meta=one.meta,
                )
            )  # fmt: skip
    if not found:
        raise InputError(
            f"quote-tuning: no prompt has two completions whose scores differ by more than {score_gap:g} and lengths "
            f"by less than {length_gap:.0%}; sample more completions a prompt, or widen length_gap"
        )
    return found


def centred(rows: Sequence[Any]) -> list[Ranked]:
    """Each prompt's completions with their scores less the mean of them.

    Args:
        rows: see `scored_lists`.

    Raises:
        InputError: if a row has no score, or no prompt has two different ones.
    """
    found = []
    for one in scored_lists(rows, who="gpo"):
        mean = sum(one.scores) / len(one.scores)
        if max(one.scores) > min(one.scores):
            scores = tuple(s - mean for s in one.scores)
            found.append(Ranked(one.prompt, tuple(one.completions), scores, meta=one.meta))
    if not found:
        raise InputError("gpo: no prompt has two completions of different scores; there is nothing to learn")
    return found
