"""A mixture of judges: what breaks a constraint earns nothing, whatever its reward is [62]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Grouped, Groups, Labels
from plaudit.shaping.transforms.bounded import sigmoid


def calibrated_reward(reward: ArrayLike, baseline: ArrayLike) -> Float[np.ndarray, " n"]:
    """`sigmoid(r - r_base)`, in (0, 1): comparable between prompts, whose levels mean nothing.

    Args:
        reward: (n,), NaN where there is none.
        baseline: (n,) reward of each prompt's reference answer.
    """
    return np.asarray(sigmoid(np.asarray(reward, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)))


def satisfied(verdicts: Float[np.ndarray, "n j"]) -> Float[np.ndarray, " n"]:
    """1 where every judge says yes, 0 where one says no; NaN where none says no and one cannot say.

    Args:
        verdicts: (n, j) 1 yes, 0 no, NaN where a judge abstained or failed: no verdict is no violation, and no licence.
    """
    v = np.asarray(verdicts, dtype=np.float64)
    if v.ndim != 2:
        raise ShapeError(f"satisfied: verdicts have shape {v.shape}; give (n, j)")
    broken = (v < 0.5).any(axis=1)
    return np.where(broken, 0.0, np.where(np.isnan(v).any(axis=1), np.nan, 1.0))


def constrained_reward(
    calibrated: ArrayLike, allowed: ArrayLike, log_ratio: ArrayLike, *, kl_max: float
) -> Float[np.ndarray, " n"]:
    """CRPG: `v * max(0, 1 - log_ratio / kl_max) * R_c`; baseline it with the mean of the group.

    Args:
        calibrated: R_c (n,), see `calibrated_reward`; NaN stays NaN.
        allowed: v (n,), see `satisfied`; NaN gives NaN.
        log_ratio: (n,) log pi / pi_ref of the completion, in nats.
        kl_max: nats at which the reward has fallen to 0, positive.

    Raises:
        InputError: if kl_max is not positive.

    Source: Xu et al. 2024, "The Perfect Blend: Redefining RLHF with Mixture of Judges", section 4 [62].
    """
    if not kl_max > 0:
        raise InputError(f"constrained_reward: kl_max is {kl_max}; give a positive number of nats")
    near = np.maximum(0.0, 1 - np.asarray(log_ratio, dtype=np.float64) / kl_max)
    return np.asarray(np.asarray(allowed, dtype=np.float64) * near * np.asarray(calibrated, dtype=np.float64))


def contrast_allowed(calibrated: ArrayLike, allowed: ArrayLike, groups: Labels | Groups) -> Int[np.ndarray, "g 2"]:
    """CODPO: the best allowed completion of each group, and the worst forbidden one (else the worst allowed).

    Args:
        calibrated: R_c (n,), NaN where there is none: never chosen.
        allowed: v (n,); NaN: never chosen.
        groups: a label a sample.

    Returns:
        Sample indices (better, worse) of the groups that have both and in which they differ.
    """
    v = np.asarray(allowed, dtype=np.float64)
    r = Grouped.of("contrast_allowed", calibrated, groups, allowed=v)
    value = np.where(np.isnan(v), np.nan, r.value)
    code = r.groups.code
    good, bad = np.where(v > 0.5, value, np.nan), np.where(v < 0.5, value, np.nan)
    best = _first(good, Grouped(good, r.groups).greatest, code)
    worst_bad = _first(bad, Grouped(bad, r.groups).least, code)
    worst_good = _first(good, Grouped(good, r.groups).least, code)
    worst = np.where(worst_bad >= 0, worst_bad, worst_good)
    both = (best >= 0) & (worst >= 0) & (best != worst)
    return np.stack([best[both], worst[both]], axis=1)


def best_allowed(
    calibrated: ArrayLike, allowed: ArrayLike, log_ratio: ArrayLike, groups: Labels | Groups, *, kl_max: float
) -> tuple[Int[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """CRRAFT: the best completion of each group that is allowed and near enough, and its weight in fine-tuning.

    Args:
        calibrated: R_c (n,), NaN where there is none.
        allowed: v (n,).
        log_ratio: (n,) in nats; beyond `kl_max` a completion is dropped.
        groups: a label a sample.
        kl_max: in nats.

    Returns:
        Sample indices, and their R_c; groups without any are left out.
    """
    v, near = np.asarray(allowed, dtype=np.float64), np.asarray(log_ratio, dtype=np.float64) <= kl_max
    r = Grouped.of("best_allowed", calibrated, groups, allowed=v, log_ratio=near)
    value = np.where((v > 0.5) & near, r.value, np.nan)
    best = _first(value, Grouped(value, r.groups).greatest, r.groups.code)
    at = best[best >= 0]
    return at, r.value[at]


def _first(value: Float[np.ndarray, " n"], wanted: Float[np.ndarray, " g"], code: Int[np.ndarray, " n"]) -> np.ndarray:
    """The first sample of each group that has the wanted value, -1 where there is none, (count,)."""
    found = np.full(wanted.size, -1, dtype=np.int64)
    at = np.flatnonzero(value == wanted[code])[::-1]
    found[code[at]] = at  # written from the last to the first, so the first stays
    return found
