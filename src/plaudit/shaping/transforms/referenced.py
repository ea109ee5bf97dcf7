"""Rewards read against those of reference completions of the same prompt: PAR, log-sigmoid centring, plain centring.

A reward model's level differs from prompt to prompt and means nothing; what a completion is worth beyond what the
starting policy would have said does.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.transforms.bounded import log_sigmoid, sigmoid


def preference_as_reward(
    reward: ArrayLike, references: ArrayLike, *, k: float = 1.0, shift: float = 0.0
) -> Float[np.ndarray, " n"]:
    """PAR: `mean_m sigmoid(k (r - shift - ref_m))`, in (0, 1): how often it would be preferred to a reference.

    Args:
        reward: (n,), NaN where there is none.
        references: (n, m) rewards of reference completions of each sample's prompt; NaN fills rows that have fewer.
        k: slope, positive; the paper's 1, and 2 and 3 do as well.
        shift: reward units; the paper's slow-growth ablation (SgFc) has 3.

    Raises:
        ShapeError: if there are not as many rows of references as rewards.
        InputError: if k is not positive, or a sample with a reward has no reference.

    Source: Fu et al. 2025, "Reward Shaping to Mitigate Reward Hacking in RLHF", equation 4 [3].
    """
    if not 0 < k < math.inf:
        raise InputError(f"par: k is {k}; give a positive slope, and a finite one")
    r, refs = _both("par", reward, references)
    return _mean_over(sigmoid(k * (r[:, None] - shift - refs)), r)


def centred(reward: ArrayLike, references: ArrayLike) -> Float[np.ndarray, " n"]:
    """`r - mean_m ref_m`, unbounded.

    Args:
        reward: (n,), NaN where there is none.
        references: as in `preference_as_reward`.

    Raises:
        ShapeError, InputError: as in `preference_as_reward`.
    """
    r, refs = _both("centred", reward, references)
    return _mean_over(r[:, None] - refs, r)


def log_sigmoid_centred(
    reward: ArrayLike, references: ArrayLike, *, quantile: float = 0.85, normal: bool = False
) -> Float[np.ndarray, " n"]:
    """LSC: `log sigmoid(r - q)`, q the references' quantile: the log of the odds-on chance to beat a good reference.

    Sums of it over several rewards are the log-probability that all of them are good, if they are independent. Below
    the reference it is nearly linear, so the worst of several rewards decides; above it, it flattens.

    Args:
        reward: (n,), NaN where there is none.
        references: as in `preference_as_reward`.
        quantile: in [0, 1]; the paper's 0.85 for helpfulness. One reference is its own quantile.
        normal: whether q is that of a normal distribution with the references' mean and deviation (over n), as in
            [3]'s comparison, instead of the empirical one with linear interpolation.

    Raises:
        ShapeError, InputError: as in `preference_as_reward`; if the quantile is outside [0, 1].

    Source: Wang et al. 2024, "Transforming and Combining Rewards for Aligning Large Language Models" [22].
    """
    if not 0 <= quantile <= 1:
        raise InputError(f"log-sigmoid: quantile is {quantile}; give a share between 0 and 1")
    r, refs = _both("log-sigmoid", reward, references)
    return np.asarray(log_sigmoid(r - _quantile(refs, quantile, normal)))


def _quantile(refs: Floats, quantile: float, normal: bool) -> Floats:
    known = ~np.isnan(refs).all(axis=1)
    out = np.full(len(refs), np.nan)
    if not known.any():
        return out
    if normal:
        if quantile in (0.0, 1.0):
            raise InputError(
                f"log-sigmoid: the {quantile:g} quantile of a normal distribution is infinite; give another"
            )
        from scipy.stats import norm

        out[known] = np.nanmean(refs[known], axis=1) + float(norm.ppf(quantile)) * np.nanstd(refs[known], axis=1)
    else:
        out[known] = np.nanquantile(refs[known], quantile, axis=1)
    return out


def _both(who: str, reward: ArrayLike, references: ArrayLike) -> tuple[Floats, Floats]:
    r, refs = np.asarray(reward, dtype=np.float64), np.asarray(references, dtype=np.float64)
    if r.ndim != 1 or refs.ndim != 2 or len(refs) != len(r):
        raise ShapeError(f"{who}: rewards {r.shape} and references {refs.shape}; they must be (n,) and (n, m)")
    bare = ~np.isnan(r) & np.isnan(refs).all(axis=1)
    if bare.any():
        raise InputError(
            f"{who}: sample {int(np.flatnonzero(bare)[0])} has no reference reward; give at least one a prompt"
        )
    return r, refs


def _mean_over(table: Floats, reward: Floats) -> Floats:
    """Mean over the references that are there, NaN where there is no reward."""
    there = ~np.isnan(table)
    total, n = np.where(there, table, 0.0).sum(axis=1), there.sum(axis=1)
    return np.where(np.isnan(reward), math.nan, total / np.maximum(n, 1))
