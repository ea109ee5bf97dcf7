"""Pairs of responses ranked by a simulated user's log-likelihood of what it would say next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.rewards.likelihood.followups import follow_up_reward

SETS = ("both", "positive", "negative", "mixed")
ARMS = (*(f"{s}_{n}" for s in SETS for n in (2, 8, 32)), "constant", "oracle")
KNOBS = {"": 1.0, "0": 0.0, "2": 2.0}
"""What the deviation of the response's constant is multiplied by."""
MOST = 32


@dataclass(frozen=True)
class Said:
    """What a user would say after either response of each pair.

    Attributes:
        quality: (pairs, 2), deviation 1.
        constant: (pairs, 2), added to the log-likelihood of every follow-up, in nats a token.
        positive: (pairs, 2, 32), log-likelihood of each positive follow-up, with the constant, in nats a token.
        negative: (pairs, 2, 32), of each negative one.
    """

    quality: np.ndarray
    constant: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on pairs of responses to one prompt, ties half.
    """
    del fit  # nothing is trained: the user's likelihoods are given
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in KNOBS:
        raise InputError(f"followup_likelihood: arm {arm!r} is not known; the claim lists the arms")
    said = _said(seed, int(budget["pairs"]), float(budget["noise"]), KNOBS[knob] * float(budget["bias"]))
    reward = _reward(name, said)
    agree = np.sign(reward[:, 0] - reward[:, 1]) * np.sign(said.quality[:, 0] - said.quality[:, 1])
    return {"accuracy": float((agree + 1).mean() / 2)}


def _said(seed: int, pairs: int, noise: float, bias: float) -> Said:
    """The user: `p(f+ | quality) = sigmoid(offset_f + slope_f * quality + noise)`; `sigmoid(-...)` of negative ones."""
    rng = np.random.default_rng([seed, 1])
    offset, slope = rng.normal(size=(2, MOST)), rng.lognormal(0, 0.3, (2, MOST))
    rng = np.random.default_rng([seed, 2])
    quality, constant = rng.normal(size=(2, pairs, 2))
    off = noise * rng.normal(size=(2, pairs, 2, MOST))
    odds = [sign * (offset[i] + slope[i] * quality[..., None] + off[i]) for i, sign in enumerate((1.0, -1.0))]
    constant = bias * constant
    positive, negative = (log_expit(o) + constant[..., None] for o in odds)
    return Said(quality, constant, positive, negative)


def _reward(name: str, said: Said) -> np.ndarray:
    """Reward of both responses of each pair, (pairs, 2)."""
    kind, _, count = name.partition("_")
    if kind == "oracle":
        return said.quality
    if kind == "constant":
        return said.constant
    n = int(count)
    flat = [x.reshape(-1, MOST) for x in (said.positive, said.negative)]
    none = np.zeros((len(flat[0]), 0))
    if kind == "positive":
        found = follow_up_reward(flat[0][:, :n], none)
    elif kind == "negative":
        found = -follow_up_reward(flat[1][:, :n], none)
    else:
        sets = [x[:, : n // 2] for x in flat]
        if kind == "mixed":  # every other follow-up changes its set, so that both sets are half of each sign
            other = np.arange(n // 2) % 2 == 1
            sets = [np.where(other, sets[1 - i], sets[i]) for i in range(2)]
        found = follow_up_reward(*sets)
    return found.reshape(said.quality.shape)
