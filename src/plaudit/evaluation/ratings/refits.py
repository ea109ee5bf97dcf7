"""Refits of one L1-penalised logistic regression under many weights, such as a bootstrap's counts.

All refits lie near the fit of the rows as they are. There the loss of each is nearly its Taylor polynomial in the
change of the coefficients, `sum_a (sum_i w_i l^(|a|)(z_i) x_i^a / a!) change^a`, whose coefficients are one matrix
product for all refits; steps on polynomials cost next to nothing. Newton steps on the loss itself then finish, usually
one, and check: a refit is done only when such a step moves no coefficient by more than `TOLERANCE`, whatever the
polynomial said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial
from scipy.special import expit

from plaudit.evaluation.ratings.l1_logistic import TOLERANCE, Rows, descend, lasso

DEGREE = 5
"""Of the polynomials."""
STEPS = 20
"""At most so many steps on the polynomials; each divides the error by three and more."""
REACH = 1.5
"""Largest change of a z for which a polynomial is trusted: half of its radius of convergence, pi, or less."""


def refit_l1_logistic(
    blocks: Sequence[Rows], c: float, start: Float[np.ndarray, " f"], refits: int
) -> Float[np.ndarray, "r f"]:
    """R fits as by `fit_l1_logistic`, all near one that is known.

    Args:
        blocks: rows with weights a refit, and rows that weigh the same in all.
        c: inverse strength of the penalty.
        start: coefficients near all refits: the fit of the rows as they are.
        refits: r.

    Returns:
        The coefficients, as exact as those of `fit_l1_logistic`.

    Raises:
        InputError: if a fit does not converge.
    """
    return descend(blocks, c, start + _near(blocks, c, start, refits))


def _near(blocks: Sequence[Rows], c: float, start: Float[np.ndarray, " f"], refits: int) -> Float[np.ndarray, "r f"]:
    """Changes to the minimisers of the penalised polynomials; 0 where a polynomial is not to be trusted."""
    f = start.size
    terms = np.zeros((len(_exponents(f)), refits))
    for rows in blocks:
        table = _table(rows, start)
        terms += table.T @ rows.weights[:, None] if rows.weights.ndim == 1 else (rows.weights @ table).T
    terms *= c
    # second derivatives at the start, for every step: cheaper than new ones, and positive definite wherever it goes
    curve = _curve(terms, f)
    widest = np.max([np.abs(rows.features).max(axis=0, initial=0.0) for rows in blocks], axis=0)
    change, sound = np.zeros((refits, f)), np.ones(refits, dtype=bool)
    for _ in range(STEPS):
        new = lasso(start + change, _slope(terms, change), curve) - start
        sound &= np.abs(new) @ widest < REACH
        new[~sound] = 0.0
        moved, change = np.abs(new - change).max(initial=0.0), new
        if moved < TOLERANCE / 10:
            break
    return change


def _slope(terms: Float[np.ndarray, "m r"], change: Float[np.ndarray, "r f"]) -> Float[np.ndarray, "r f"]:
    """First derivatives of the polynomials."""
    f = change.shape[1]
    exponents = _exponents(f)
    place = {e: i for i, e in enumerate(exponents)}
    powers = _monomials(change)
    slope = np.empty_like(change)
    for j in range(f):
        has = [i for i, e in enumerate(exponents) if e[j]]
        below = [place[_lowered(exponents[i], j)] for i in has]
        times = np.array([float(exponents[i][j]) for i in has])
        slope[:, j] = np.einsum("m,mr,mr->r", times, terms[has], powers[below])
    return slope


def _curve(terms: Float[np.ndarray, "m r"], f: int) -> Float[np.ndarray, "r f f"]:
    """Second derivatives of the polynomials at 0."""
    place = {e: i for i, e in enumerate(_exponents(f))}
    unit = np.eye(f, dtype=int)
    curve = np.empty((terms.shape[1], f, f))
    for j, k in product(range(f), repeat=2):
        curve[:, j, k] = terms[place[tuple((unit[j] + unit[k]).tolist())]] * (2.0 if j == k else 1.0)
    curve[:, np.arange(f), np.arange(f)] += 1e-12  # a feature that is 0 throughout
    return curve


def _table(rows: Rows, start: Float[np.ndarray, " f"]) -> Float[np.ndarray, "n m"]:
    """`l^(|a|)(z_i) x_i^a / a!` of every row and exponent; the loss itself, which no step needs, is 0."""
    x, q = rows.features, expit(rows.features @ start)
    by_order = [np.zeros_like(q), q - rows.target, *(d(q) for d in _sigmoid_derivatives())]
    scaled = [by_order[sum(e)] / math.prod(math.factorial(k) for k in e) for e in _exponents(x.shape[1])]
    return np.asarray((np.stack(scaled) * _monomials(x)).T)


def _monomials(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "m n"]:
    """`x^a` of every exponent, each from one of a lower degree."""
    exponents = _exponents(x.shape[1])
    place = {e: i for i, e in enumerate(exponents)}
    found = np.ones((len(exponents), len(x)))
    for i, e in enumerate(exponents[1:], 1):
        j = next(j for j in range(len(e)) if e[j])
        np.multiply(found[place[_lowered(e, j)]], x[:, j], out=found[i])
    return found


@lru_cache(maxsize=8)
def _exponents(f: int) -> tuple[tuple[int, ...], ...]:
    """Of the monomials of f changes up to `DEGREE`, lower degrees first."""
    return tuple(sorted((e for e in product(range(DEGREE + 1), repeat=f) if sum(e) <= DEGREE), key=sum))


def _lowered(e: tuple[int, ...], j: int) -> tuple[int, ...]:
    return (*e[:j], e[j] - 1, *e[j + 1 :])


@lru_cache(maxsize=1)
def _sigmoid_derivatives() -> tuple[Polynomial, ...]:
    """The first derivatives of the sigmoid as polynomials of its value q: `q' = q (1 - q)`."""
    q = Polynomial([0.0, 1.0])
    found = [q * (1 - q)]
    while len(found) < DEGREE - 1:
        found.append(found[-1].deriv() * q * (1 - q))
    return tuple(found)
