"""Hedge: how shares of experts move with what a few pairs cost each of them [139]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import log_expit

from plaudit.errors import InputError, ShapeError


def hedge(
    shares: Float[np.ndarray, "... k"], losses: Float[np.ndarray, "... k"], *, temperature: float = 1.0
) -> Float[np.ndarray, "... k"]:
    """`shares * exp(-losses / temperature)`, made to add up to 1: one step of mirror descent on the simplex.

    Args:
        shares: of the experts before, at least 0 with sum 1.
        losses: of each expert on what was seen, in nats.
        temperature: above 0, in nats; the larger, the less the shares move, and towards 0 the best expert takes all.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if the temperature is not positive, or a loss is not finite.

    Source: Freund and Schapire 1997; Shen et al. 2025, equation 9 [139].
    """
    if np.shape(shares) != np.shape(losses):
        raise ShapeError(f"hedge: losses have shape {np.shape(losses)} for shares of {np.shape(shares)}")
    with np.errstate(divide="ignore"):  # an expert without a share stays without one
        log = np.log(np.asarray(shares, np.float64)) - _checked(losses, temperature) / temperature
    odds = np.exp(log - log.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def user_tilt(losses: Float[np.ndarray, "n k"], *, temperature: float = 1.0) -> Float[np.ndarray, " k"]:
    """What a user's pairs add to the logarithm of every prompt's shares: `-sum_i losses_i / temperature`.

    Hedge over the pairs one after another gives this whatever their order. Its largest entry is made 0, which shares do
    not feel.

    Args:
        losses: of each expert on each of the user's pairs, in nats.
        temperature: above 0, in nats.

    Raises:
        InputError: if the temperature is not positive, or a loss is not finite.
    """
    tilt = -_checked(losses, temperature).sum(axis=0) / temperature
    return np.asarray(tilt - tilt.max())


def _checked(losses: Float[np.ndarray, "... k"], temperature: float) -> Float[np.ndarray, "... k"]:
    if not 0 < temperature < np.inf:
        raise InputError(f"hedge: temperature is {temperature}; it must be positive")
    given = np.asarray(losses, np.float64)
    if not np.isfinite(given).all():
        raise InputError("hedge: a loss is not finite; are the experts' scores?")
    return given


def expert_losses(chosen: Float[np.ndarray, "n k"], rejected: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """`-log sigmoid` of the difference of each expert's scores on each pair, in nats."""
    return np.asarray(-log_expit(np.asarray(chosen, np.float64) - np.asarray(rejected, np.float64)))
