"""Bradley-Terry strengths of systems by maximum likelihood, and which of them exist.

`P(i beats j) = sigmoid(x_i - x_j)`, ties half a win for each. The maximum is finite only among systems each of which
has beaten every other one directly or over others (Ford 1957): a system that never wins has strength minus infinity,
and two that no chain of battles connects cannot be compared. Both are told, never made up; `prior` makes everything
finite, at a price that is told too.

Differs from evalica and LMSYS: those return whatever the iteration ends at where the maximum is not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from plaudit.errors import InputError, ShapeError

TOLERANCE = 1e-10
"""Largest step, in log-odds, at which the iteration has converged."""
LIMIT = 200


@dataclass(frozen=True)
class Groups:
    """Which systems can be compared.

    Attributes:
        comparable: the largest set of systems that all have finite strengths, ascending.
        above: systems that won against those, directly or over others, and never lost to them: plus infinity.
        below: systems that lost to those and never won: minus infinity.
        apart: systems that no battle connects with those in either way that would order them.
        components: number of sets of systems between which there is no battle at all.
    """

    comparable: tuple[int, ...]
    above: tuple[int, ...]
    below: tuple[int, ...]
    apart: tuple[int, ...]
    components: int


@dataclass(frozen=True)
class Fit:
    """Strengths of m systems.

    Attributes:
        strength: log-odds, (m,), mean 0 over those that are finite; infinite where a system is above or below all of
            them, NaN where it cannot be compared. If no two systems can be, the one that is above all others is plus
            infinity and the one below all others minus infinity, if there are both, and the rest is NaN.
        groups: which systems those are.
    """

    strength: Float[np.ndarray, " m"]
    groups: Groups


def groups_of_models(wins: Float[np.ndarray, "m m"]) -> Groups:
    """Which systems have finite strengths relative to each other.

    Args:
        wins: how much row beat column; a tie is half for each.

    Source: Ford 1957, "Solution of a Ranking Problem from Binary Comparisons" (strong connection of the graph of wins).
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    graph = csr_matrix(np.asarray(wins) > 0)
    _, strong = connected_components(graph, connection="strong")
    components, _ = connected_components(graph, connection="weak")
    size = np.bincount(strong)
    # of several largest sets the one with the first system, so that the answer does not depend on labels
    chosen = strong[int(np.argmax(size[strong]))]
    inside = np.flatnonzero(strong == chosen)
    reached = {
        way: set(breadth_first_order(g, inside[0], return_predecessors=False).tolist()) - set(inside.tolist())
        for way, g in (("below", graph), ("above", graph.T.tocsr()))
    }
    apart = set(range(len(size[strong]))) - set(inside.tolist()) - reached["below"] - reached["above"]
    return Groups(
        tuple(inside.tolist()), tuple(sorted(reached["above"])), tuple(sorted(reached["below"])),
        tuple(sorted(apart)), int(components),
    )  # fmt: skip


def fit_bradley_terry(wins: Float[np.ndarray, "m m"], *, prior: float = 0.0) -> Fit:
    """Maximum-likelihood strengths.

    Where the systems fall into sets of which one always beats the other, battles between those sets say nothing about
    differences within them (they are predicted with certainty), so the largest set is fitted by itself.

    Args:
        wins: how much row beat column, (m, m), at least 0; the diagonal is left out.
        prior: battles that every system is taken to have won, and as many to have lost, against one made-up system.

    Returns:
        The fit. With a prior every strength is finite, also between systems that were never compared.

    Raises:
        ShapeError: if `wins` is not square.
        InputError: if a count or the prior is negative, or not finite.

    Source: Bradley and Terry 1952; Ford 1957.
    """
    matrix = _checked(wins)
    if not (np.isfinite(prior) and prior >= 0):
        raise InputError(f"fit_bradley_terry: prior is {prior}; give a number of battles, 0 or more")
    m = len(matrix)
    if prior > 0:
        matrix = np.pad(matrix, ((0, 1), (0, 1)), constant_values=prior)
        matrix[-1, -1] = 0.0
    groups = groups_of_models(matrix)
    strength = np.full(len(matrix), np.nan)
    if len(groups.comparable) < 2:
        first, last = _ends(matrix)
        strength[first], strength[last] = np.inf, -np.inf
        return Fit(strength[:m], groups)
    inside = np.array(groups.comparable)
    strength[inside] = strengths(matrix[np.ix_(inside, inside)][None])[0]
    if prior > 0:
        strength = strength[:m] - strength[:m].mean()
        return Fit(strength, Groups(tuple(range(m)), (), (), (), 1))
    strength[list(groups.above)], strength[list(groups.below)] = np.inf, -np.inf
    return Fit(strength, groups)


def _ends(wins: Float[np.ndarray, "m m"]) -> tuple[list[int], list[int]]:
    """The system above all others and the one below all, of systems that nowhere form a circle; neither if unclear.

    Without a circle every system lies below one that never lost and above one that never won: where there is only one
    of each kind, all others lie between the two.
    """
    first, last = (np.flatnonzero(wins.sum(axis=axis) == 0).tolist() for axis in (0, 1))
    return (first, last) if len(wins) > 1 and len(first) == len(last) == 1 else ([], [])


def strengths(
    wins: Float[np.ndarray, "r m m"], start: Float[np.ndarray, " m"] | None = None
) -> Float[np.ndarray, "r m"]:
    """Strengths of r tables of wins at once, each strongly connected, by damped Newton steps.

    With d the spread of a Newton step, the step is shortened by `log(1 + d) / d`: the logistic loss is generalised
    self-concordant, so the likelihood rises at every step whatever the start (Sun and Tran-Dinh 2019, theorem 2).

    Args:
        wins: how much row beat column.
        start: where to start, log-odds; 0 by default.

    Returns:
        Log-odds, mean 0 in each table.

    Raises:
        InputError: if the iteration does not converge: the table is not strongly connected, or hardly.
    """
    r, m, _ = wins.shape
    games = wins + wins.transpose(0, 2, 1)
    x = np.zeros((r, m)) if start is None else np.tile(np.asarray(start, dtype=np.float64), (r, 1))
    won, diagonal = wins.sum(axis=2), np.arange(m)
    todo = np.arange(r)
    for _ in range(LIMIT):
        p = expit(x[todo, :, None] - x[todo, None, :])
        slope = won[todo] - (games[todo] * p).sum(axis=2)
        curve = -games[todo] * p * (1 - p)
        curve[:, diagonal, diagonal] = 0.0
        curve[:, diagonal, diagonal] = -curve.sum(axis=2)
        # the likelihood is flat along a common shift: 1/m everywhere fixes it and changes nothing else
        step = np.linalg.solve(curve + 1.0 / m, slope[:, :, None])[:, :, 0]
        spread = np.ptp(step, axis=1)
        short = np.where(spread > 1e-3, np.log1p(spread) / np.maximum(spread, 1e-300), 1.0)
        x[todo] += step * short[:, None]
        todo = todo[spread > TOLERANCE]
        if not todo.size:
            return np.asarray(x - x.mean(axis=1, keepdims=True))
    raise InputError(
        f"bradley_terry: {todo.size} of {r} tables did not converge in {LIMIT} steps; one system wins nearly "
        "everything against the rest, so give a prior above 0"
    )


def _checked(wins: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    matrix = np.array(wins, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"fit_bradley_terry: wins has shape {matrix.shape}; give a square table, a row a system")
    np.fill_diagonal(matrix, 0.0)
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise InputError("fit_bradley_terry: a count of wins is negative or not finite; counts are 0 or more")
    return matrix
