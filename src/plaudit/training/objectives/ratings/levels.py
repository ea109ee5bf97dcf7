"""From a mean and a standard deviation of ratings to a soft label over the levels of the scale, and back [86].

Differs from the paper: a label whose negative parts were cut off is divided by its sum, so every label is a
distribution; where its mean is then off by more than a threshold, or the standard deviation is small, it is
interpolated between two levels, as there. The thresholds are ours. Without fallback and division the sums can reach 8.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_values


def soft_levels(
    mean: Float[Tensor, " m"],
    std: Float[Tensor, " m"],
    *,
    levels: int = 5,
    density: bool = False,
    min_std: float = 0.2,
    max_shift: float = 0.1,
) -> Float[Tensor, "m levels"]:
    """Probabilities of the levels 1 to `levels` with the given mean, shaped like a Gaussian.

    Raw probabilities (below) become `max(alpha p + beta, 0)`, with alpha and beta such that the sum is 1 and the mean
    is exact.

    Args:
        mean: of the ratings of each item, in [1, levels].
        std: of the same, at least 0.
        levels: number of levels, at least 2.
        density: raw probabilities from the Gaussian's density at the levels (for large standard deviations) instead of
            its mass between the midpoints.
        min_std: below it the two-level interpolation is used, at least 0.
        max_shift: the same where cutting off moved the mean by more, at least 0.

    Returns:
        (m, levels), rows adding up to 1. Two neighbouring levels alone, with the exact mean, where interpolated.

    Raises:
        ShapeError: if mean and std differ in number.
        InputError: if a number is outside its range.

    Source: You et al. 2025, "DeQA-Score" [86].
    """
    if mean.shape != std.shape:
        raise ShapeError(f"soft_levels: {mean.numel()} means and {std.numel()} standard deviations")
    if levels < 2:
        raise InputError(f"soft_levels: levels is {levels}; it must be at least 2")
    check_values("soft_levels", "mean", mean, low=1, high=levels)
    check_values("soft_levels", "std", std, low=0)
    check_number("soft_levels", "min_std", min_std, low=0)
    check_number("soft_levels", "max_shift", max_shift, low=0)
    scale = torch.arange(1, levels + 1, dtype=mean.dtype, device=mean.device)
    fitted = _fitted(mean.double(), std.double(), levels, density)
    shift = (fitted @ scale.double() - mean).abs()
    usable = (std > 0) & (std >= min_std) & (shift <= max_shift) & fitted.isfinite().all(dim=1)
    return torch.where(usable[:, None], fitted.to(mean.dtype), interpolated_levels(mean, levels=levels))


def interpolated_levels(mean: Float[Tensor, " m"], *, levels: int = 5) -> Float[Tensor, "m levels"]:
    """`max(1 - |level - mean|, 0)`: the two levels beside the mean, with exactly that mean.

    Raises:
        InputError: if a mean is outside [1, levels].

    Source: You et al. 2025, "DeQA-Score" [86].
    """
    check_values("interpolated_levels", "mean", mean, low=1, high=levels)
    scale = torch.arange(1, levels + 1, dtype=mean.dtype, device=mean.device)
    return (1 - (scale - mean[:, None]).abs()).clamp(min=0)


def level_moments(logits: Float[Tensor, "m k"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Mean and variance of the levels 1 to k under the softmax of the logits.

    Source: You et al. 2025, "DeQA-Score" [86].
    """
    scale = torch.arange(1, logits.shape[1] + 1, dtype=logits.dtype, device=logits.device)
    chance = logits.softmax(dim=-1)
    mean = chance @ scale
    return mean, (chance * (scale - mean[:, None]).square()).sum(dim=1)


def _fitted(mean: Tensor, std: Tensor, levels: int, density: bool) -> Tensor:
    """The linear correction; not finite or wrong in its mean where it does not exist, which the caller looks for."""
    centre = (levels + 1) / 2
    scale = torch.arange(1, levels + 1, dtype=mean.dtype, device=mean.device)
    wide = std.clamp(min=1e-12)[:, None]
    raw, slope = _density(scale, mean, wide) if density else _mass(scale, mean, wide)
    total, pull = raw.sum(dim=1), (raw * (scale - centre)).sum(dim=1)
    # at the centre of the scale the ratio is 0 / 0; its limit is the ratio of the derivatives by the mean
    central = (mean - centre).abs() <= 1e-6
    alpha = torch.where(central, 1 / (slope * (scale - centre)).sum(dim=1), (mean - centre) / pull)
    beta = (1 - alpha * total) / levels
    cut = (alpha[:, None] * raw + beta[:, None]).clamp(min=0)
    distribution: Tensor = cut / cut.sum(dim=1, keepdim=True)
    return distribution


def _density(scale: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """The normal density at the levels, and its derivative by the mean."""
    at = (scale - mean[:, None]) / std
    density = torch.exp(-0.5 * at.square()) / (std * math.sqrt(2 * math.pi))
    return density, density * at / std


def _mass(scale: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """The normal probability between the midpoints, and its derivative by the mean."""
    below, above = _density(scale - 0.5, mean, std)[0], _density(scale + 0.5, mean, std)[0]
    upper, lower = ((scale + step - mean[:, None]) / std for step in (0.5, -0.5))
    mass = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    return mass, below - above
