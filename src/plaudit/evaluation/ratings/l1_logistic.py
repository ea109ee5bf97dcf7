"""L1-penalised logistic regression with few features and many fits: proximal Newton steps on all fits at once.

Cross-validation, a bootstrap and two hundred models are thousands of fits of the same three features. One step of all
of them is a few matrix products, and the quadratic model with its L1 term is minimised exactly, so the optimum is
reached to rounding where liblinear stops at a relative tolerance of 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from plaudit.errors import InputError

TOLERANCE = 1e-9
"""Largest step of a coefficient at which a fit has converged."""
LIMIT = 100


def fit_l1_logistic(
    features: Float[np.ndarray, "n f"],
    target: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "r n"],
    c: float,
    start: Float[np.ndarray, ...] | None = None,
) -> Float[np.ndarray, "r f"]:
    """R fits: minimises `|b|_1 + c sum_i w_i (p_i log(1 + e^-z_i) + (1 - p_i) log(1 + e^z_i))`, `z = features @ b`.

    A Newton step s is shortened by `log(1 + d) / d` with d the largest change of a z: the loss falls at every step
    whatever the start (Sun and Tran-Dinh 2019, section 5).

    Args:
        features: without an intercept; give a column of ones for a penalised one.
        target: probabilities, in [0, 1].
        weights: of the rows, one row a fit.
        c: inverse strength of the penalty.
        start: coefficients to start from, (f,) or (r, f); 0 by default.

    Returns:
        The coefficients; 0 exactly where the penalty holds them there.

    Raises:
        InputError: if a fit does not converge.
    """
    n, f = features.shape
    r = len(weights)
    b = np.zeros((r, f)) if start is None else np.array(np.broadcast_to(start, (r, f)), dtype=np.float64)
    products = (features[:, :, None] * features[:, None, :]).reshape(n, f * f)
    todo = np.arange(r)
    for _ in range(LIMIT):
        w = weights[todo] if todo.size < r else weights
        q = expit(b[todo] @ features.T)
        slope = c * ((w * (q - target)) @ features)
        curve = c * ((w * q * (1 - q)) @ products).reshape(-1, f, f)
        curve[:, np.arange(f), np.arange(f)] += 1e-12  # a feature that is 0 throughout
        step = _lasso(b[todo], slope, curve) - b[todo]
        change = np.abs(step @ features.T).max(axis=1)
        b[todo] += step * np.where(change > 1e-3, np.log1p(change) / np.maximum(change, 1e-300), 1.0)[:, None]
        todo = todo[np.abs(step).max(axis=1) > TOLERANCE]
        if not todo.size:
            return b
    raise InputError(
        f"fit_l1_logistic: {todo.size} of {r} fits did not converge in {LIMIT} steps; are features collinear?"
    )


def choose_penalty(
    features: Float[np.ndarray, "n f"],
    target: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    penalties: Sequence[float],
    *,
    folds: int = 5,
) -> float:
    """The inverse strength with the best held-out weighted log loss; the strongest penalty of equals.

    Args:
        features: as in `fit_l1_logistic`.
        target: probabilities.
        weight: of the rows.
        penalties: inverse strengths, ascending.
        folds: number of folds, dealt as scikit-learn's `GroupKFold` deals groups of equal size.
    """
    fold = _dealt(len(target), folds)
    held = fold[None, :] == np.arange(folds)[:, None]
    weights = np.where(held, 0.0, weight)
    best, chosen, beta = -np.inf, penalties[0], np.zeros((folds, features.shape[1]))
    for c in penalties:
        beta = fit_l1_logistic(features, target, weights, c, start=beta)
        q = np.clip(expit(np.einsum("nf,nf->n", features, beta[fold])), 1e-15, 1 - 1e-15)
        likelihood = weight * (target * np.log(q) + (1 - target) * np.log1p(-q))
        score = float((np.bincount(fold, weights=likelihood, minlength=folds) / held.sum(axis=1)).sum())
        if score > best:
            best, chosen = score, c
    return float(chosen)


def _lasso(
    b: Float[np.ndarray, "r f"], slope: Float[np.ndarray, "r f"], curve: Float[np.ndarray, "r f f"]
) -> Float[np.ndarray, "r f"]:
    """Minimisers x of `slope (x - b) + (x - b) curve (x - b) / 2 + |x|_1`, one a row."""
    sign = np.sign(b)
    x = b - np.linalg.solve(curve, (slope + sign)[:, :, None])[:, :, 0]
    # with no coefficient at 0 and no sign changed this is the minimiser; the others go coordinate by coordinate
    hard = np.flatnonzero(((np.sign(x) != sign) | (sign == 0)).any(axis=1))
    if hard.size:
        x[hard] = _by_coordinate(b[hard], slope[hard], curve[hard])
    return np.asarray(x)


def _by_coordinate(
    b: Float[np.ndarray, "r f"], slope: Float[np.ndarray, "r f"], curve: Float[np.ndarray, "r f f"]
) -> Float[np.ndarray, "r f"]:
    x, gradient = b.copy(), slope.copy()
    for _ in range(1000):
        largest = 0.0
        for j in range(b.shape[1]):
            stiff = curve[:, j, j]
            free = x[:, j] - gradient[:, j] / stiff
            new = np.sign(free) * np.maximum(np.abs(free) - 1.0 / stiff, 0.0)
            move = new - x[:, j]
            gradient += move[:, None] * curve[:, j]
            x[:, j] = new
            largest = max(largest, float(np.abs(move).max()))
        if largest < TOLERANCE / 10:
            return x
    return x  # the outer steps go on from here


@lru_cache(maxsize=8)
def _dealt(n: int, folds: int) -> Int[np.ndarray, " n"]:
    """Fold of each row."""
    from sklearn.model_selection import GroupKFold

    found = np.empty(n, dtype=np.int64)
    for i, (_, test) in enumerate(GroupKFold(folds).split(np.zeros((n, 1)), groups=np.arange(n))):
        found[test] = i
    return found
