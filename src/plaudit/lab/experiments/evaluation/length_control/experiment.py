"""Systems against a baseline, as a judge who likes length sees them, and as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata, spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.ratings.length_control import length_controlled_winrate
from plaudit.lab.experiment import Fit

ARMS = ("controlled", "plain", "nearest", "regressed", "shuffled")
NEAREST = 0.25
"""Share of prompts on which the arm `nearest` looks."""
CHARACTERS = 5.5
"""Mean of the baseline's log length."""

Numbers = np.ndarray


@dataclass(frozen=True)
class Field:
    """Systems against a baseline on the same prompts.

    Attributes:
        preference: of the judge for each system's answer, (systems, prompts).
        length: in characters, the same shape; the baseline's (prompts,).
        worth: mean true reward of each system.
        gaming: which systems write long for nothing.
    """

    preference: Numbers
    length: Numbers
    baseline: Numbers
    worth: Numbers
    gaming: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `agreement`, see the claim, and `gamed`, the places by which the systems that game rank too high.
    """
    del fit  # nothing is trained but the regression
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"length_control: arm {arm!r} is not known; the claim lists the arms")
    likes = 0.0 if knob else float(budget["likes"])
    field = judged_field(seed, int(budget["systems"]), int(budget["prompts"]), likes, int(budget["gaming"]))
    rate = _rates(name, seed, field)
    places = rankdata(rate) - rankdata(field.worth)
    return {
        "agreement": float(spearmanr(rate, field.worth).statistic),
        "gamed": float(places[field.gaming].mean()),
    }


def _rates(name: str, seed: int, field: Field) -> Numbers:
    plain = field.preference.mean(axis=1)
    ratio = np.log(field.length / field.baseline)
    if name == "plain":
        return np.asarray(plain)
    if name == "nearest":
        near = np.abs(ratio) <= np.quantile(np.abs(ratio), NEAREST, axis=1, keepdims=True)
        return np.asarray((field.preference * near).sum(axis=1) / near.sum(axis=1))
    if name == "regressed":
        odds, mean = logit(plain), ratio.mean(axis=1)
        slope = np.cov(odds, mean)[0, 1] / mean.var(ddof=1)
        return np.asarray(odds - slope * mean)
    length, baseline = field.length, np.broadcast_to(field.baseline, field.length.shape)
    if name == "shuffled":
        rng = np.random.default_rng([seed, 3])
        deal = rng.permuted(np.broadcast_to(np.arange(length.shape[1]), length.shape), axis=1)
        length, baseline = (np.take_along_axis(x, deal, axis=1) for x in (length, baseline))
    rows = zip(field.preference, length, baseline, strict=True)
    return np.array(
        [length_controlled_winrate(p, own, theirs, resamples=0).controlled.value for p, own, theirs in rows]
    )


def judged_field(seed: int, systems: int, prompts: int, likes: float, gaming: int) -> Field:
    """Answers of systems and of a baseline to the same prompts, as they are and as a judge sees them.

    Args:
        seed: of all draws.
        systems: how many, the baseline left out.
        prompts: how many.
        likes: what the judge gives for a nat of relative length, in log-odds, on average over prompts.
        gaming: how many of the worse half write twice as long for nothing.
    """
    rng = np.random.default_rng([seed, 1])
    quality, verbose = rng.normal(0, 0.5, systems), rng.normal(0, 0.4, systems)
    worse = np.argsort(quality)[: max(gaming, systems // 2)]
    gamers = rng.choice(worse, gaming, replace=False)
    verbose[gamers] += np.log(2.0)
    effort = rng.normal(size=(systems + 1, prompts))  # the last row is the baseline's
    worth = np.append(quality, 0.0)[:, None] + 0.3 * effort + rng.normal(0, 0.6, effort.shape)
    long = CHARACTERS + rng.normal(0, 0.4, prompts) + np.append(verbose, 0.0)[:, None] + 0.3 * effort
    long = long + rng.normal(0, 0.25, long.shape)
    # how much length is liked differs between prompts, and is never disliked on average
    slope = likes * rng.lognormal(-0.125, 0.5, prompts)
    odds = 2.0 * (worth[:-1] - worth[-1]) + slope * (long[:-1] - long[-1]) + rng.normal(0, 0.5, (systems, prompts))
    return Field(expit(odds), np.exp(long[:-1]), np.exp(long[-1]), worth[:-1].mean(axis=1), gamers)
