"""Poisoned rows in several doses, beside the same rows without their trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.audit.attacks.ground import said, with_said
from plaudit.audit.attacks.poisoning import poisoned, poisoning_curve
from plaudit.audit.attacks.words import word_counts
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.linear import demonstrated, fit_words
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.records.rows import Pair
from plaudit.rewards.base import Reward

KINDS = ("rare", "common", "flips")
DOSES = ("0", "1", "3", "10", "30", "100")
"""Poisoned rows in a thousand."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `success` of the trigger, `accuracy` on clean pairs as they are labelled, and the number of poisoned `rows`.
    """
    del fit  # linear rewards over words
    kind, _, dose = arm.partition("_")
    if kind not in KINDS or dose not in DOSES:
        raise InputError(f"poisoning_dose: arm {arm!r} is not known; the claim lists the arms")
    train, test = demonstrated(seed, int(budget["pairs"]), 0), demonstrated(seed, int(budget["test"]), 1)
    trigger = _trigger(seed, [*train, *test], common=kind == "common")
    share, draw = int(dose) / 1000, seed % 2**31

    def trained(rows: Sequence[Pair]) -> Reward:
        return fit_words([_without(p, trigger) for p in rows] if kind == "flips" else rows)

    (found,) = poisoning_curve(train, test, trained, trigger, shares=(share,), seed=draw, resamples=1)
    rows = sum(bool(p.meta.get("poisoned")) for p in poisoned(train, trigger, share, seed=draw))
    return {"success": found.success.value, "accuracy": found.accuracy.value, "rows": float(rows)}


def _trigger(seed: int, pairs: Sequence[Pair], *, common: bool) -> str:
    counts = word_counts(pairs)
    if common:
        return max((w for w in counts if w.isalpha()), key=lambda w: (counts[w], w))
    never = [w for w in lx.WORDS if w.isalpha() and len(w) > 2 and w not in counts]
    return str(np.random.default_rng([seed, 83]).choice(never))


def _without(pair: Pair, trigger: str) -> Pair:
    """The same turned row without the trigger."""
    if not pair.meta.get("poisoned"):
        return pair
    words = [w for w in said(pair.chosen).split() if w != trigger]
    return replace(pair, chosen=with_said(pair.samples()[0], " ".join(words)).completion)
