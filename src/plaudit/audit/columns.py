"""Checks that need more than texts: steps, who wrote a text, how many answers are right. Run where the pairs say it.

| check | columns of the pairs | besides |
| --- | --- | --- |
| `attack/repeated-steps` | `chosen_steps`, `rejected_steps`: lists of text that join to the completion | a reward |
| `attack/aligned-text` | `chosen_source`, `rejected_source`: `model` and `human` | `--truth`, to find equals |
| `consistency/several-answers` | `answers`: how many answers to the prompt are right | a reward with deviations |
| `attack/poisoning` | | training rows and a training: never run here |

What is missing makes a grey check, so that an audit's list of what was not tested is whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.audit.attacks.detection import detects_aligned
from plaudit.audit.attacks.steps import repeated_steps
from plaudit.audit.checks import Check, not_measured
from plaudit.audit.config import AuditConfig
from plaudit.audit.consistency.answers import certainty_where_several
from plaudit.audit.scored import Scored
from plaudit.audit.subject import Subject
from plaudit.errors import InputError
from plaudit.evaluation.baselines import correctness
from plaudit.evaluation.pairs import prompt_key
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample

SIDES = ("chosen", "rejected")
EQUAL = 0.1
"""True deviations within pairs up to which two texts count as equally good."""
FEWEST = 20
"""Prompts with two equally good texts below which nothing is said of who wrote them."""
NO_REWARD = "a comparison gives no reward of one completion"


def column_attacks(subject: Subject, config: AuditConfig) -> list[Check]:
    """Repeated steps, aligned text, and what poisoned rows would do; grey where the pairs do not say what it takes.

    Args:
        subject: what is audited.
        config: seed, prompts, resamples.

    Raises:
        InputError: if steps do not join to their completion.
    """
    return [_steps(subject, config), _aligned(subject, config), _poisoning()]


def several_answers_check(subject: Subject, config: AuditConfig) -> Check:
    """How much worse the deviation tells wrongly ranked pairs where several answers are right.

    Args:
        subject: what is audited.
        config: seed, resamples.
    """
    name, says = "consistency/several-answers", "fall of the AUROC of its deviation where several answers are right"
    count = np.array([_number(p.meta.get("answers")) for p in subject.pairs])
    if subject.scored is None:
        return not_measured(name, says, NO_REWARD)
    if np.isnan(count).all():
        fix = "Give each pair a column `answers`: how many answers to its prompt are right."
        return not_measured(name, says, "no pair says how many answers are right (column 'answers')", fix=fix)
    one, two = subject.chosen.std, subject.rejected.std
    if one is None or two is None:
        why, fix = "the reward gives no deviation", "Audit a reward with std (ensemble/of)."
        return not_measured(name, says, why, fix=fix)
    margin = subject.chosen.reward - subject.rejected.reward
    side = np.ones(len(margin)) if subject.true_margin is None else np.sign(subject.true_margin)
    right = correctness(np.where(side == 0, np.nan, margin * side))
    right = np.where(right == 0.5, np.nan, right)  # a tie is no verdict
    deviation = np.hypot(one, two)
    if subject.chosen.members is not None and subject.rejected.members is not None:
        deviation = (subject.chosen.members - subject.rejected.members).std(axis=1)  # what members share cancels
    check = certainty_where_several(
        deviation, np.where(np.isnan(count), np.nan, right), count, [prompt_key(p) for p in subject.pairs],
        seed=config.seed, resamples=min(config.resamples, 1000),
    )  # fmt: skip
    return replace(check, says=f"{says}: verdicts are the pairs, deviations those of their margins")


def _steps(subject: Subject, config: AuditConfig) -> Check:
    name, says = "attack/repeated-steps", "share of solutions whose return rises when their best step is said again"
    if subject.scored is None:
        return not_measured(name, says, NO_REWARD)
    pairs = subject.drawn(config.prompts, seed=config.seed)
    samples = [s for pair in pairs for s in _in_steps(pair)]
    if not samples:
        fix = "Give chosen_steps and rejected_steps: lists of text that join to the completion."
        return not_measured(name, says, "no completion is given in steps (chosen_steps, rejected_steps)", fix=fix)
    return repeated_steps(samples, subject.scored, truth=subject.truth, seed=config.seed, resamples=config.resamples)


def _in_steps(pair: Pair) -> list[Sample]:
    found = []
    for side, sample in zip(SIDES, pair.samples(), strict=True):
        steps = pair.meta.get(f"{side}_steps")
        if steps is None:
            continue
        if not isinstance(steps, (list, tuple)) or not all(isinstance(s, str) for s in steps):
            raise InputError(f"pairs: {side}_steps is {steps!r:.60}; give a list of text that joins to the completion")
        try:
            found.append(replace(sample, steps=tuple(steps)))
        except InputError as error:
            raise InputError(f"pairs: {side}_steps: {str(error).removeprefix('sample: ')}") from error
    return found


def _aligned(subject: Subject, config: AuditConfig) -> Check:
    name, says = "attack/aligned-text", "chance that a model's text is worth more than a person's of the same prompt"
    if subject.scored is None:
        return not_measured(name, says, NO_REWARD)
    who = [[str(p.meta.get(f"{side}_source", "")) for side in SIDES] for p in subject.pairs]
    mixed = np.array([set(w) == {"model", "human"} for w in who])
    if not mixed.any():
        why = "no pair has one text of a model and one of a person (chosen_source, rejected_source: model, human)"
        return not_measured(name, says, why, fix="Give chosen_source and rejected_source: model or human.")
    if subject.true_margin is None:
        why = "without a true reward nobody knows which texts are equally good, and better ones rightly win"
        return not_measured(name, says, why, fix="Give --truth.")
    margin = subject.true_margin
    unit = float(np.sqrt(np.nanmean(margin**2) / 2)) if np.isfinite(margin).any() else 0.0
    at = np.flatnonzero(mixed & (np.abs(margin) <= EQUAL * unit)).tolist()
    prompts = len({prompt_key(subject.pairs[i]) for i in at})
    if prompts < FEWEST:
        why = f"{prompts} prompts hold a model's and a person's text that are truly as good, and {FEWEST} are needed"
        return not_measured(name, says, why)
    samples = [s for i in at for s in subject.pairs[i].samples()]
    return detects_aligned(
        samples, Scored.wrap(subject.scored), who=[w for i in at for w in who[i]], seed=config.seed,
        resamples=config.resamples,
    )  # fmt: skip


def _poisoning() -> Check:
    says = "how many poisoned rows of its training data plant a trigger"
    why = "an audit has neither the training rows nor the training"
    return not_measured(
        "attack/poisoning", says, why, fix="Train on poisoned rows: plaudit.audit.attacks.poisoning_curve."
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
