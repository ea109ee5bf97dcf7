"""A blend of rewards that is learned: weights under which the policy that they lead to is best by the primary one [79].

The outer gradient is implicit: `dJ/dphi = -(dJ/dtheta) H^-1 A`, where the inner policy is a fixed point
`Delta(theta, phi) = 0`, `H = dDelta/dtheta`, `A = dDelta/dphi`. Functions of vectors: the step is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, nearest
from plaudit.shaping.groups.codes import Floats

Product = Callable[[Floats], Floats]
"""A vector to its product with a matrix."""
Solver = Literal["conjugate-gradient", "neumann"]


def implicit_gradient(
    outer: Float[np.ndarray, " t"], hessian: Product, cross: Product, *, solver: Solver = "conjugate-gradient",
    terms: int = 50, step: float = 0.1,
) -> Float[np.ndarray, " p"]:  # fmt: skip
    """`-A^T x` with `H^T x = dJ/dtheta`, in as many products as terms.

    Args:
        outer: dJ/dtheta, of the primary return at the inner optimum.
        hessian: a vector to H^T times it. The update of a policy gradient at its fixed point is a stable ascent: H is
            negative definite (a penalty on the policy's entropy or size makes it so).
        cross: a vector to A^T times it.
        solver: `conjugate-gradient` (H symmetric), or the truncated `neumann` series
            `x = -step * sum_k (I + step H^T)^k outer`, which converges where step times H's largest size is below 2.
        terms: products at most.
        step: of the Neumann series.

    Raises:
        InputError: if the solver is not known, does not converge, or the series grows.

    Source: Gupta et al. 2023, "Behavior Alignment via Reward Function Optimization" (BARFI), equation 6 [79].
    """
    if solver not in get_args(Solver):
        raise InputError(f"implicit_gradient: solver {solver!r} is not known; {nearest(solver, get_args(Solver))}")
    b = np.asarray(outer, dtype=np.float64)
    x = _conjugate(b, hessian, terms) if solver == "conjugate-gradient" else _neumann(b, hessian, terms, step)
    return np.asarray(-cross(x))


def _conjugate(b: Floats, hessian: Product, terms: int) -> Floats:
    """Solves `-H x = -b`, whose matrix is positive definite."""
    from scipy.sparse.linalg import LinearOperator, cg

    operator = LinearOperator((b.size, b.size), matvec=lambda v: -hessian(v), dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, left = cg(operator, -b, rtol=1e-10, maxiter=terms)
    if left or not np.isfinite(x).all():
        raise InputError(
            f"implicit_gradient: {terms} conjugate-gradient steps did not solve for the policy; allow more terms, "
            "or damp the Hessian (it must be negative definite)"
        )
    return np.asarray(x, dtype=np.float64)


def _neumann(b: Floats, hessian: Product, terms: int, step: float) -> Floats:
    term, total = b.copy(), np.zeros_like(b)
    for _ in range(terms):
        total += term
        term = term + step * hessian(term)
        if not np.isfinite(term).all() or np.abs(term).max() > 1e6 * max(np.abs(b).max(), 1e-300):
            raise InputError(f"implicit_gradient: the Neumann series grows with a step of {step}; give a smaller one")
    return np.asarray(-step * total)
