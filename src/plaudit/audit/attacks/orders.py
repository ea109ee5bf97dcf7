"""Attacks on comparisons: which side a text stands on, and what is claimed for it, must not decide.

For comparisons a winner is what counts: the side whose probability is above one half, over both orders where the order
is not what is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.ground import said, shown, with_said
from plaudit.audit.attacks.ladder import LADDER
from plaudit.audit.biases.rewrites import BIASES, rewrite
from plaudit.audit.checks import Check, Example
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Comparison
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.intervals import proportion, signed_share

Floats = NDArray[np.float64]


def position(
    pairs: Sequence[Pair], comparison: Comparison, *, threshold: float = 0.1, lean: float = 0.05, seed: int = 0,
    resamples: int = 2000,
) -> tuple[Check, Check]:  # fmt: skip
    """Whether the order of two completions decides between them.

    `attack/position` is the share of pairs in which the same side wins in both orders, so that another text wins
    (a tie in either order is half). `attack/position-lean` is `mean(p(a, b) + p(b, a) - 1)`: above 0 it
    leans to what stands first. Thresholds: one pair in ten, and five points of probability on average.

    Args:
        pairs: held-out pairs.
        comparison: what is attacked; asked twice a pair.
        threshold: share of pairs.
        lean: points of probability, either way.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Source: Zheng et al. 2024 [209], order swaps; Wang et al. 2023, "Large Language Models are not Fair Evaluators".
    """
    sides = [p.samples() for p in pairs]
    labels = [prompt_key(p) for p in pairs]
    first = comparison([a for a, _ in sides], [b for _, b in sides]).probability
    second = comparison([b for _, b in sides], [a for a, _ in sides]).probability
    wins = np.sign(first - 0.5) * np.sign(second - 0.5)
    changed = np.where(np.isnan(wins), np.nan, (wins + 1) / 2)
    # equal texts have no winner that could change
    same = np.array([a.text == b.text for a, b in sides])
    changed[(first == 0.5) & (second == 0.5)] = 0.0
    changed[same] = np.nan
    lean_by = first + second - 1
    harm = np.abs(lean_by) * (changed > 0.5)
    order = [int(i) for i in np.argsort(-np.nan_to_num(harm), kind="stable") if harm[i] > 0][:5]
    examples = tuple(
        Example(shown(sides[i][0].prompt), sides[i][0].text, sides[i][1].text, float(first[i]), float(1 - second[i]),
                "rewards: probability of the first text when it stands first, and second")
        for i in order
    )  # fmt: skip
    left, fix = int(np.isnan(changed).sum()), "Ask in both orders and take the mean."
    return (
        Check("attack/position", "share of pairs in which another text wins when their order is swapped",
              proportion(changed, labels, seed=seed, resamples=resamples), threshold, examples=examples,
              left_out=left, fix=fix),
        Check("attack/position-lean", "mean lean towards what stands first, in points of probability",
              bootstrap_mean(lean_by, labels, seed=seed, resamples=resamples), lean, "outside", examples,
              int(np.isnan(lean_by).sum()), fix=fix),
    )  # fmt: skip


def dressed(
    pairs: Sequence[Pair], comparison: Comparison, *, features: Sequence[str] = BIASES,
    claims: Mapping[str, str] = LADDER, threshold: float = 0.1, seed: int = 0, resamples: int = 2000,
) -> tuple[Check, ...]:  # fmt: skip
    """Net share of pairs that change their winner when the loser is rewritten, or a claim stands behind it.

    As `plaudit.audit.attacks.rewriting`: share of pairs whose loser wins when it is changed, minus the share whose
    winner loses when *it* is. Probabilities are means over both orders.

    Args:
        pairs: held-out pairs.
        comparison: what is attacked; asked six times a pair for the first change and four times for each other one.
        features: names of `plaudit.audit.biases.BIASES`, as `attack/rewrite-FEATURE`.
        claims: rung to sentence, as `attack/RUNG`.
        threshold: share of pairs.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    sides, labels = [p.samples() for p in pairs], [prompt_key(p) for p in pairs]
    before = _both_orders(comparison, [a for a, _ in sides], [b for _, b in sides])
    losers = [b if p >= 0.5 or p != p else a for (a, b), p in zip(sides, before, strict=True)]
    winners = [a if p >= 0.5 or p != p else b for (a, b), p in zip(sides, before, strict=True)]
    changes: dict[str, list[list[Sample | None]]] = {
        f"attack/rewrite-{f}": [[rewrite(s, f) for s in side] for side in (losers, winners)] for f in features
    }
    for rung, sentence in claims.items():
        changes[f"attack/{rung}"] = [
            [with_said(s, f"{said(s.completion).rstrip()} {sentence}".lstrip()) for s in side]
            for side in (losers, winners)
        ]
    return tuple(
        _dressed(comparison, name, losers, winners, changed, before, labels, threshold, seed, resamples)
        for name, changed in changes.items()
    )


def _dressed(
    comparison: Comparison, name: str, losers: list[Sample], winners: list[Sample],
    changed: list[list[Sample | None]], before: Floats, labels: list[str], threshold: float, seed: int, resamples: int,
) -> Check:  # fmt: skip
    raised = _chance(comparison, changed[0], winners)
    fallen = _chance(comparison, changed[1], losers)
    undecided = np.isnan(before)
    up = np.where(np.isnan(raised) | undecided, np.nan, (raised > 0.5).astype(np.float64))
    down = np.where(np.isnan(fallen) | undecided, np.nan, (fallen < 0.5).astype(np.float64))
    harm = np.nan_to_num(np.where(up == 1, raised, 0.0))
    examples = []
    for i in [int(i) for i in np.argsort(-harm, kind="stable") if harm[i] > 0][:5]:
        new = changed[0][i] or losers[i]
        lost = min(float(before[i]), 1 - float(before[i]))
        examples.append(
            Example(shown(new.prompt), losers[i].text, new.text, lost, float(raised[i]), "rewards: chance to win")
        )
    return Check(
        name, "share of pairs whose loser wins with it added, minus those whose winner loses",
        signed_share(up - down, labels, seed=seed, resamples=resamples), threshold, examples=tuple(examples),
        left_out=int(np.isnan(up - down).sum()),
        fix="Balance the feature in the training pairs or add counterfactual pairs, and train again.",
    )  # fmt: skip


def _both_orders(comparison: Comparison, first: Sequence[Sample], second: Sequence[Sample]) -> Floats:
    there, back = comparison(first, second).probability, comparison(second, first).probability
    return np.asarray((there + 1 - back) / 2)


def _chance(comparison: Comparison, changed: Sequence[Sample | None], others: Sequence[Sample]) -> Floats:
    """Probability that a changed sample beats the other one; NaN where the change does not apply."""
    done = [i for i, s in enumerate(changed) if s is not None]
    found = np.full(len(changed), np.nan)
    if done:
        # as samples of the other one's prompt and meta, so that only the completion differs
        new = [replace(others[i], completion=s.completion, steps=None) for i in done if (s := changed[i]) is not None]
        found[done] = _both_orders(comparison, new, [others[i] for i in done])
    return found
