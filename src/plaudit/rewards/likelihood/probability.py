"""The probability of a reference answer as a number between 0 and 1, and what remains of it without luck.

Differs from the paper: the constants of the sigmoid and leaky forms are ours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError

Aggregate = Literal["mean", "product", "geometric"]
Debias = Literal["threshold_0", "sigmoid", "leaky", "none"]


def answer_probability(
    logp: Float[np.ndarray, "*b t"], *, mask: Bool[np.ndarray, "*b t"] | None = None, aggregate: Aggregate = "mean"
) -> Float[np.ndarray, "*b"]:
    """One probability of an answer from those of its tokens.

    `mean` of the tokens' probabilities; their `product`, the probability of the whole; their `geometric` mean. A single
    token that is worded otherwise than the model would sinks the product, and moves the mean by its share only.

    Args:
        logp: of each token of the reference answer, in nats.
        mask: True where a token counts; all of them by default.
        aggregate: which of the three.

    Returns:
        In [0, 1]; NaN where no token counts.

    Raises:
        InputError: if the aggregate is not known.

    Source: Yu et al. 2025, "RLPR: Extrapolating RLVR to General Domains without Verifiers".
    """
    if aggregate not in ("mean", "product", "geometric"):
        raise InputError(f"answer_probability: aggregate is {aggregate!r}; give 'mean', 'product' or 'geometric'")
    counts = np.ones(logp.shape, dtype=bool) if mask is None else mask
    n = counts.sum(axis=-1)
    if aggregate == "mean":
        total = np.where(counts, np.exp(logp), 0.0).sum(axis=-1)
        return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))
    total = np.where(counts, logp, 0.0).sum(axis=-1)
    return np.asarray(np.where(n > 0, np.exp(total / (np.maximum(n, 1) if aggregate == "geometric" else 1)), np.nan))


def debiased(
    probability: Float[np.ndarray, " n"], base: Float[np.ndarray, " n"], *, shape: Debias = "threshold_0",
    slope: float = 0.01, sharpness: float = 6.0,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """What the reasoning adds to the probability that the answer has without it.

    With `d = probability - base`: `threshold_0` is `max(d, 0)`; `leaky` is `d` above 0 and `slope * d` below;
    `sigmoid` is `1 / (1 + exp(-sharpness * d))`; `none` is the probability itself.

    Args:
        probability: after the reasoning.
        base: the same answer without any reasoning.
        shape: which of the four.
        slope: of `leaky` below 0, in [0, 1].
        sharpness: of `sigmoid`, positive.

    Raises:
        InputError: if the shape is not known or a constant out of range.

    Source: Yu et al. 2025.
    """
    if shape not in ("threshold_0", "sigmoid", "leaky", "none"):
        raise InputError(f"debiased: shape is {shape!r}; give 'threshold_0', 'sigmoid', 'leaky' or 'none'")
    if not 0 <= slope <= 1 or sharpness <= 0:
        raise InputError(f"debiased: slope is {slope} and sharpness {sharpness}; slope in [0, 1], sharpness above 0")
    gain = probability - base
    if shape == "none":
        return probability.copy()
    if shape == "threshold_0":
        return np.asarray(np.maximum(gain, 0.0))
    if shape == "leaky":
        return np.asarray(np.where(gain > 0, gain, slope * gain))
    return np.asarray(1 / (1 + np.exp(-sharpness * gain)))


def with_format(
    gain: Float[np.ndarray, " n"], formatted: Bool[np.ndarray, " n"], *, format_coef: float = 0.1
) -> Float[np.ndarray, " n"]:
    """`(1 - c) * gain + c * formatted`.

    Args:
        gain: the debiased probability.
        formatted: True where the completion has its format.
        format_coef: c, in [0, 1].

    Raises:
        InputError: if the coefficient is out of range.

    Source: Yu et al. 2025.
    """
    if not 0 <= format_coef <= 1:
        raise InputError(f"with_format: format_coef is {format_coef}; it must lie in [0, 1]")
    return np.asarray((1 - format_coef) * gain + format_coef * formatted)
