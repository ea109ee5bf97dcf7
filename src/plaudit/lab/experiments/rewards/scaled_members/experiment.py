"""Linear Bradley-Terry members of different scales, several means of them, and best-of-n by each.

A member's scale has two sources: how sure its data made it, which is worth something, and its maker's unit,
which is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.records.message import Message
from plaudit.records.sample import Sample
from plaudit.rewards.functions import FunctionReward
from plaudit.rewards.uncertainty.ensemble import EnsembleReward
from plaudit.search import best_of_n_values
from plaudit.training.frozen import fit_linear

ARMS = ("scaled", "raw", "ranks", "single", "dealt", "oracle")
KNOBBED = ("scaled", "raw")
PAIRS = (40, 800)
"""Fewest and most pairs of a member."""
FLIPS = (0.0, 0.35)
"""Share of a member's labels that are flipped."""
L2 = 1e-2

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gain`, see the claim; `spread`, the largest member's deviation over the smallest one's.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in KNOBBED):
        raise InputError(f"scaled_members: arm {arm!r} is not known; the claim lists the arms")
    units = 0.0 if knob else float(budget["units"])
    sizes = tuple(int(budget[k]) for k in ("features", "members", "prompts", "candidates", "calibration"))
    true, said, known = _scores(seed, units, sizes)
    best = int(budget["best"])
    score = true if name == "oracle" else _combined(name, seed, said, known)
    return {
        "gain": float(best_of_n_values(score, true, [best]).mean()),
        "spread": float(known.std(axis=1).max() / known.std(axis=1).min()),
    }


def _combined(name: str, seed: int, said: Numbers, known: Numbers) -> Numbers:
    """One score of members' scores, (prompts, candidates).

    Args:
        name: of the arm.
        seed: of the instance.
        said: (members, prompts, candidates).
        known: (members, pairs, 2) scores of right and wrong answers of other prompts, from which scales are taken.
    """
    if name == "ranks":
        return np.asarray(rankdata(said, axis=2).mean(axis=0))
    if name == "single":
        return np.asarray(said[int((known[:, :, 0] > known[:, :, 1]).mean(axis=1).argmax())])
    flat = known.reshape(len(known), -1)
    middle, scale = flat.mean(axis=1), flat.std(axis=1)
    if name == "dealt":
        scale = np.random.default_rng([seed, 9]).permutation(scale)
    scaled = said if name == "raw" else (said - middle[:, None, None]) / scale[:, None, None]
    return _mean(scaled)


def _mean(scores: Numbers) -> Numbers:
    """The mean as `ensemble/of` takes it."""
    shape = scores.shape[1:]
    prompt = (Message("user", "question"),)
    samples = [Sample(prompt, str(i)) for i in range(shape[0] * shape[1])]
    members = [FunctionReward(_said(member.ravel()), f"member {m}") for m, member in enumerate(scores)]
    return np.asarray(EnsembleReward(members)(samples).reward.reshape(shape))


def _said(values: Numbers) -> Any:
    def reward(samples: Sequence[Sample]) -> list[float | None]:
        return [float(values[int(s.text)]) for s in samples]

    return reward


@lru_cache(maxsize=2)
def _scores(seed: int, units: float, sizes: tuple[int, ...]) -> tuple[Numbers, Numbers, Numbers]:
    """True rewards (prompts, candidates), and the members' scores of these and of calibration pairs."""
    d, members, prompts, candidates, calibration = sizes
    rng = np.random.default_rng([seed, 1])
    worth = rng.normal(size=d)
    worth /= np.linalg.norm(worth)  # so that the true reward has deviation 1 within prompts
    x, pairs = rng.normal(size=(prompts, candidates, d)), rng.normal(size=(calibration, 2, d))
    order = np.argsort(-(pairs @ worth), axis=1)
    pairs = np.take_along_axis(pairs, order[:, :, None], axis=1)
    weights = np.stack([_member(np.random.default_rng([seed, 2, m]), worth, units) for m in range(members)])
    return x @ worth, np.einsum("pcd,md->mpc", x, weights), np.einsum("pcd,md->mpc", pairs, weights)


def _member(rng: np.random.Generator, worth: Numbers, units: float) -> Numbers:
    """Weights of a member: fitted to its own pairs, some of them flipped, by what it sees; then its unit."""
    d = len(worth)
    sees = np.asarray(rng.random(d) < rng.uniform(0.4, 1.0), dtype=bool)
    count = round(np.exp(rng.uniform(np.log(PAIRS[0]), np.log(PAIRS[1]))))
    gap = rng.normal(size=(count, d)) * np.sqrt(2)
    sign = np.where(rng.random(count) < 1 / (1 + np.exp(-2 * gap @ worth)), 1.0, -1.0)
    sign = sign * np.where(rng.random(count) < rng.uniform(*FLIPS), -1.0, 1.0)
    weight = np.zeros(d)
    if not sees.any():
        sees[0] = True
    weight[sees] = fit_linear((gap * sign[:, None])[:, sees], l2=L2)
    return np.asarray(weight * np.exp(units * rng.normal()))
