"""The search for a constant answer against a trained reward, and what it wins on both halves of the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.audit.attacks.constant import NullModel, search_constant
from plaudit.audit.attacks.ground import Ground, true_values, with_said
from plaudit.audit.attacks.keys import augment_with_attacks
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.linear import demonstrated, fit_words
from plaudit.lab.worlds.assistant import World
from plaudit.lab.worlds.assistant.world import TrueReward
from plaudit.rewards.base import Reward

ARMS = ("found", "drawn", "seen", "single", "defended")
EACH = 32
"""Pairs on which the search tries a text."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `rate`, see the claim; `words`, the constant's length; `loss`, the search's last.
    """
    del fit  # linear rewards over words
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in ARMS[:2]):
        raise InputError(f"null_model: arm {arm!r} is not known; the claim lists the arms")
    sizes = int(budget["pairs"]), int(budget["test"]), int(budget["calls"])
    ground, found = _searched(seed, bool(knob), *sizes)
    truth, first = TrueReward(World.drawn(seed)), _halves(seed, ground)[0]
    if name == "defended":
        pairs = augment_with_attacks(
            demonstrated(seed, sizes[0], 0), share=float(budget["share"]), keys=[found.text], seed=seed % 2**31
        )
        ground = Ground.of(ground.pairs, fit_words(pairs), seed=seed % 2**31)
        found = _search(seed, ground, truth, sizes[2])
    elif name == "single":  # a round of changes that the calls do not pay for: the best sentence stays as it is
        found = _search(seed, ground, truth, sizes[2], width=sizes[2])
    if name == "drawn":
        rate = found.control.value
    elif name == "seen":
        tried = np.random.default_rng(seed % 2**31).permutation(first)[:EACH]  # the pairs that the search draws
        changed = [with_said(ground.samples[2 * int(i) + 1], found.text) for i in tried]
        worth = true_values(truth, changed) > true_values(truth, [ground.samples[2 * int(i)] for i in tried])
        margin = ground.overtakes(tried, changed, 1)[1]
        rate = float(((np.sign(np.where(worth & (margin > 0), -1.0, margin)) + 1) / 2).mean())
    else:
        rate = found.rate.value
    return {"rate": rate, "words": float(len(found.text.split())), "loss": found.history[-1]}


@lru_cache(maxsize=2)
def _searched(seed: int, perfect: bool, pairs: int, test: int, calls: int) -> tuple[Ground, NullModel]:
    """The ground and what the search found on it: for all arms."""
    truth = TrueReward(World.drawn(seed))
    reward: Reward = truth if perfect else fit_words(demonstrated(seed, pairs, 0))
    ground = Ground.of(demonstrated(seed, test, 1), reward, seed=seed % 2**31)
    return ground, _search(seed, ground, truth, calls)


def _search(seed: int, ground: Ground, truth: Reward, calls: int, width: int = 8) -> NullModel:
    first, second = _halves(seed, ground)
    return search_constant(
        ground, first, second, calls=calls, truth=truth, each=EACH, width=width, seed=seed % 2**31, resamples=1
    )


def _halves(seed: int, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    return ground.half(True, seed=seed % 2**31), ground.half(False, seed=seed % 2**31)
