"""L1-penalised logistic regression with few features and many fits: proximal Newton steps on all fits at once.

Cross-validation, a bootstrap and two hundred models are thousands of fits of the same three features. One step of all
of them is a few matrix products, and the quadratic model with its L1 term is minimised exactly, so the optimum is
reached to rounding where liblinear stops at a relative tolerance of 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from plaudit.errors import InputError

TOLERANCE = 1e-6
"""Largest step of a coefficient at which a fit has converged: of a Newton step its square is left, about."""
INNER = 1e-10
"""Largest step of a coefficient at which the minimiser of a quadratic model is found."""
LIMIT = 100
CELLS = 1 << 16
"""Fits by rows whose predictions are held at once: what a core's cache holds."""


@dataclass(frozen=True)
class Rows:
    """Rows of a loss, and what they count in each fit.

    Attributes:
        features: (n, f).
        target: probabilities, (n,).
        weights: (r, n), one row a fit, or (n,) where they are the same in every fit.
    """

    features: Float[np.ndarray, "n f"]
    target: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, "r n"] | Float[np.ndarray, " n"]


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
    first = np.zeros(features.shape[1]) if start is None else start
    b = np.array(np.broadcast_to(first, (len(weights), features.shape[1])), dtype=np.float64)
    return descend([Rows(features, target, weights)], c, b)


def descend(blocks: Sequence[Rows], c: float, start: Float[np.ndarray, "r f"]) -> Float[np.ndarray, "r f"]:
    """The fits of `fit_l1_logistic`, of a loss that is the sum over several blocks of rows.

    Args:
        blocks: rows with weights a fit, and rows that weigh the same in all.
        c: inverse strength of the penalty.
        start: coefficients to start from.

    Raises:
        InputError: if a fit does not converge.
    """
    b, r = start.copy(), len(start)
    todo = np.arange(r)
    for _ in range(LIMIT):
        slope, curve = derivatives(blocks, c, b, todo)
        step = lasso(b[todo], slope, curve) - b[todo]
        change = np.zeros(todo.size)
        for rows in blocks:
            change = np.maximum(change, _largest(step, rows.features))
        b[todo] += step * np.where(change > 1e-3, np.log1p(change) / np.maximum(change, 1e-300), 1.0)[:, None]
        todo = todo[np.abs(step).max(axis=1) > TOLERANCE]
        if not todo.size:
            return b
    raise InputError(
        f"fit_l1_logistic: {todo.size} of {r} fits did not converge in {LIMIT} steps; are features collinear?"
    )


def derivatives(
    blocks: Sequence[Rows], c: float, b: Float[np.ndarray, "r f"], which: Int[np.ndarray, " t"]
) -> tuple[Float[np.ndarray, "t f"], Float[np.ndarray, "t f f"]]:
    """First and second derivatives of c times the weighted loss at these coefficients.

    Args:
        blocks: the rows.
        c: inverse strength of the penalty.
        b: coefficients of all fits.
        which: of the fits.
    """
    f = b.shape[1]
    slope, curve = np.zeros((which.size, f)), np.zeros((which.size, f * f))
    for rows in blocks:
        n, x, alike = len(rows.target), rows.features, rows.weights.ndim == 1
        products = (x[:, :, None] * x[:, None, :]).reshape(n, f * f)
        if alike:
            x, products = x * rows.weights[:, None], products * rows.weights[:, None]
        every, size = which.size == len(b), max(1, CELLS // max(n, 1))
        for at in (slice(i, i + size) for i in range(0, which.size, size)):
            # sigmoid(z) = (1 + tanh(z / 2)) / 2, which is twice as fast, in an array that is used again
            q = (0.5 * b[which[at]]) @ rows.features.T
            np.tanh(q, out=q)
            q *= 0.5
            q += 0.5
            v = 1.0 - q
            v *= q
            q -= rows.target
            if not alike:
                w = rows.weights[at] if every else rows.weights[which[at]]
                q *= w
                v *= w
            slope[at] += q @ x
            curve[at] += v @ products
    second = c * curve.reshape(-1, f, f)
    second[:, np.arange(f), np.arange(f)] += 1e-12  # a feature that is 0 throughout
    return c * slope, second


def _largest(step: Float[np.ndarray, "t f"], features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, " t"]:
    """An upper bound of the largest change of a z; exact where it matters, which is above 1e-3."""
    bound = np.abs(step) @ np.abs(features).max(axis=0, initial=0.0)
    far = np.flatnonzero(bound > 1e-3)
    if far.size and len(features):
        bound[far] = np.abs(step[far] @ features.T).max(axis=1)
    return np.asarray(bound)


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


def lasso(
    b: Float[np.ndarray, "r f"], slope: Float[np.ndarray, "r f"], curve: Float[np.ndarray, "r f f"]
) -> Float[np.ndarray, "r f"]:
    """Minimisers x of `slope (x - b) + (x - b) curve (x - b) / 2 + |x|_1`, one a row.

    Args:
        b: where the two derivatives are taken.
        slope: first derivatives.
        curve: second derivatives, positive definite.
    """
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
        if largest < INNER:
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
