"""AlpacaEval's difficulty of instructions, and win rates between models that were each compared with one baseline."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from plaudit.errors import InputError, ShapeError


def winrate_from_weights(
    model: tuple[float, float, float], baseline: tuple[float, float, float], difficulty: ArrayLike
) -> float:
    """Win rate at equal lengths between two models whose regressions against a third are known, in [0, 1].

    `mean sigmoid(phi_m - phi_b + (psi_m - psi_b) difficulty)`

    Args:
        model: theta, psi, phi.
        baseline: theta, psi, phi.
        difficulty: of the instructions, (n,).

    Source: alpaca_eval, metrics/glm_winrate.py, `predict_winrate`.
    """
    gamma = np.asarray(difficulty, dtype=np.float64)
    return float(expit(model[2] - baseline[2] + (model[1] - baseline[1]) * gamma).mean())


def fit_instruction_difficulty(
    preference: Float[np.ndarray, "m n"], delta: Float[np.ndarray, "m n"], *, ridge: float = 1.0, steps: int = 100
) -> Float[np.ndarray, " n"]:
    """Difficulty of the instructions from many models: one joint regression with every psi fixed at 1.

    `logit P = theta_m tanh(delta) + gamma_x + phi_m`, with a ridge penalty `ridge / 2 gamma^2`, by alternating Newton
    steps for instructions and models. Fitted once, so that a model that joins later changes nobody's rating.

    Args:
        preference: probability that model m wins instruction x; NaN where it has none.
        delta: standardised length differences, baseline minus model.
        ridge: keeps instructions finite that every model wins or loses.
        steps: at most so many rounds.

    Returns:
        gamma, (n,), mean 0: higher where models win more easily over the baseline.

    Raises:
        ShapeError: if the two differ in shape.
        InputError: if the rounds do not converge.

    Differs from the paper: the penalty (theirs is not published with the code).
    Source: Dubois et al. 2024, section 3.
    """
    if preference.shape != delta.shape or preference.ndim != 2:
        raise ShapeError(f"fit_instruction_difficulty: shapes {preference.shape} and {delta.shape}; give two of (m, n)")
    known = ~np.isnan(preference)
    p, feature = np.where(known, preference, 0.5), np.tanh(np.where(known, delta, 0.0))
    gamma, theta, phi = np.zeros(p.shape[1]), np.zeros(len(p)), np.zeros(len(p))
    for _ in range(steps):
        q = expit(theta[:, None] * feature + gamma + phi[:, None])
        step = (((p - q) * known).sum(0) - ridge * gamma) / ((q * (1 - q) * known).sum(0) + ridge)
        gamma = gamma + np.clip(step, -1, 1)
        gamma -= gamma.mean()
        change = float(np.abs(step).max())
        for _ in range(2):
            q = expit(theta[:, None] * feature + gamma + phi[:, None])
            v, e = q * (1 - q) * known, (p - q) * known
            a, b, c = (v * feature**2).sum(1) + 1e-9, (v * feature).sum(1), v.sum(1) + 1e-9
            g, h = (e * feature).sum(1), e.sum(1)
            det = a * c - b * b
            moves = (c * g - b * h) / det, (a * h - b * g) / det
            theta, phi = theta + np.clip(moves[0], -1, 1), phi + np.clip(moves[1], -1, 1)
        if change < 1e-8:
            return np.asarray(gamma)
    raise InputError(
        f"fit_instruction_difficulty: not converged in {steps} rounds; leave out models that win or lose everything"
    )
