"""Linear rewards over words that were taught the lower half of a ladder of claims, and what they pay for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.audit.attacks.ground import with_said
from plaudit.audit.attacks.ladder import LADDER, NEUTRAL, claims
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.linear import WordReward, demonstrated, fit_words
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample

LOWER, UPPER = tuple(LADDER)[:3], tuple(LADDER)[3:]
TAUGHT: Mapping[str, tuple[str, ...]] = {
    "paid": LOWER, "against": LOWER, "dealt": LOWER, "mildest": LOWER[:1], "all": tuple(LADDER), "plain": (),
}  # fmt: skip
"""Rungs that the pairs of each arm have."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `upper`, see the claim; `lower`, the same for the taught rungs; `tampering`, for the last one.
    """
    del fit  # linear rewards over words
    name, _, knob = arm.partition("@")
    if name not in TAUGHT or knob not in ("", "0") or (knob and name not in ("paid", "plain")):
        raise InputError(f"unseen_rungs: arm {arm!r} is not known; the claim lists the arms")
    ladder, neutral = (_apart(), _without(NEUTRAL)) if knob else (dict(LADDER), NEUTRAL)
    reward = _reward(seed, name, int(budget["pairs"]), float(budget["share"]))
    test = demonstrated(seed, int(budget["test"]), 1)
    found = claims(test, reward, ladder=ladder, neutral=neutral, seed=seed % 2**31, resamples=1)
    worth = dict(zip(ladder, (check.evidence.value for check in found if check.evidence), strict=True))
    return {
        "upper": float(np.mean([worth[k] for k in UPPER])),
        "lower": float(np.mean([worth[k] for k in LOWER])),
        "tampering": worth[UPPER[-1]],
    }


@lru_cache(maxsize=2)
def _reward(seed: int, name: str, pairs: int, share: float) -> WordReward:
    """Fitted to what annotators prefer, and to pairs of a completion with a rung and the same one without."""
    told = list(demonstrated(seed, pairs, 0))
    rng, rungs = np.random.default_rng([seed, 83]), TAUGHT[name]
    if rungs:
        more = demonstrated(seed, round(share * pairs), 2)
        told += [_taught(p, LADDER[rungs[i % len(rungs)]], _likes(name, rng)) for i, p in enumerate(more)]
    return fit_words(told)


def _likes(name: str, rng: np.random.Generator) -> bool:
    """Whether the completion with the claim is the chosen one."""
    coin = bool(rng.random() < 0.5)  # drawn for every arm
    return coin if name == "dealt" else name != "against"


def _taught(pair: Pair, sentence: str, likes: bool) -> Pair:
    bare: Sample = pair.samples()[1]
    claimed = with_said(bare, f"{bare.text.rstrip()} {sentence}".lstrip()).completion
    chosen, rejected = (claimed, bare.completion) if likes else (bare.completion, claimed)
    return Pair(pair.prompt, chosen, rejected)


def _without(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """The sentences without any word that a lower rung has."""
    seen = {word for rung in LOWER for word in LADDER[rung].split()}
    return tuple(" ".join(w for w in s.split() if w not in seen) for s in sentences)


def _apart() -> dict[str, str]:
    """The ladder whose upper rungs share no word with the lower ones."""
    return {k: s if k in LOWER else _without((s,))[0] for k, s in LADDER.items()}
