"""The same distances from samples: EPIC and DARD for any rewards that can be called, STARC from logged transitions.

Differs from the papers: EPIC's and DARD's expectations are means over one batch of coverage samples, as in the
published code; STARC's value canonicalisation uses the transitions and the policy that the log itself shows, weighted
by visits, so that it says nothing of what was never visited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.distances.tabular import pearson_distance

Array = NDArray[Any]
Callable3 = Callable[[Array, Array, Array], Float[np.ndarray, " n"]]
"""A reward: states, actions, next states (first axis n, whatever the others are) to n numbers."""


def epic_distance_sampled(
    a: Callable3,
    b: Callable3,
    transitions: tuple[Array, Array, Array],
    coverage: tuple[Array, Array],
    *,
    discount: float,
) -> float:
    """EPIC's distance, in [0, 1], from n transitions and m coverage samples.

    Args:
        a: a reward.
        b: another.
        transitions: states, actions, next states on which the forms are compared, n each.
        coverage: states and actions by which expectations are taken, m each, drawn independently of each
            other; the states are the next states, too.
        discount: gamma, in [0, 1].

    Returns:
        The distance; NaN where one of the forms is constant.

    Raises:
        ShapeError: if there are not as many states, actions and next states, or none.

    Source: Gleave et al. 2021, section 5.
    """
    forms = [_epic(r, transitions, coverage, discount) for r in (a, b)]
    return pearson_distance(forms[0], forms[1], np.ones(len(forms[0])))


def dard_distance_sampled(
    a: Callable3,
    b: Callable3,
    transitions: tuple[Array, Array, Array],
    actions: Array,
    step: Callable[[Array, Array], Array],
    *,
    discount: float,
) -> float:
    """DARD's distance, in [0, 1], from n transitions, m actions and a model of the transitions.

    Args:
        a: a reward.
        b: another.
        transitions: states, actions, next states, n each.
        actions: samples of the coverage of actions, m, numbers or arrays.
        step: samples next states of states and actions, as learned or simulated.
        discount: gamma, in [0, 1].

    Returns:
        The distance; NaN where one of the forms is constant.

    Raises:
        ShapeError: if there are not as many states, actions and next states, or none.

    Source: Wulfe et al. 2022, section 4.
    """
    state, action, after = _alike("dard_distance_sampled", transitions)
    (actions,) = _alike("dard_distance_sampled", (actions,))
    n, m = len(state), len(actions)
    act = _tiled(actions, n)
    one, two = (np.asarray(step(np.repeat(x, m, axis=0), act)) for x in (state, after))
    # the action of S' -> S'' is that of S'': every pair of a drawn S' and a drawn S''
    firsts = one.reshape(n, m, *one.shape[1:])
    seconds = two.reshape(n, m, *two.shape[1:])
    crossed_from = np.repeat(firsts, m, axis=1).reshape(-1, *one.shape[1:])
    crossed_to = np.tile(seconds, (1, m) + (1,) * (one.ndim - 1)).reshape(-1, *one.shape[1:])
    crossed_by = _tiled(actions, n * m)
    forms = []
    for r in (a, b):
        own = np.asarray(r(state, action, after), dtype=np.float64)
        from_state = np.asarray(r(np.repeat(state, m, axis=0), act, one)).reshape(n, m).mean(axis=1)
        from_after = np.asarray(r(np.repeat(after, m, axis=0), act, two)).reshape(n, m).mean(axis=1)
        crossed = np.asarray(r(crossed_from, crossed_by, crossed_to)).reshape(n, m * m).mean(axis=1)
        forms.append(own + discount * from_after - from_state - discount * crossed)
    return pearson_distance(forms[0], forms[1], np.ones(n))


def starc_distance_sampled(
    a: ArrayLike, b: ArrayLike, state: ArrayLike, action: ArrayLike, after: ArrayLike, *, discount: float
) -> float:
    """STARC's distance with the value canonicalisation, in [0, 2], from logged transitions of few states.

    Args:
        a: a reward of each transition, (n,).
        b: another.
        state: whole numbers, (n,).
        action: whole numbers.
        after: next states; one that never occurs as a state ends the episode, with value 0.
        discount: gamma, in [0, 1).

    Raises:
        ShapeError: if the columns differ in length.
        InputError: if there is no transition or the discount is out of range.
    """
    columns = [np.asarray(x).reshape(-1) for x in (a, b, state, action, after)]
    if len({c.size for c in columns}) != 1:
        raise ShapeError(f"starc_distance_sampled: columns of {[c.size for c in columns]} rows; give as many of each")
    if not columns[0].size or not 0 <= discount < 1:
        raise InputError(
            f"starc_distance_sampled: {columns[0].size} transitions, discount {discount}; give some, and 0..1"
        )
    states, s = np.unique(columns[2], return_inverse=True)
    k = states.size
    place = np.searchsorted(states, columns[4]).clip(0, k - 1)
    goes_on = states[place] == columns[4]
    cell = np.unique(np.stack([s, columns[3]]), axis=1, return_inverse=True)[1]
    cell, visits = cell.reshape(-1), np.bincount(cell.reshape(-1))
    moves = np.zeros((k, k))
    np.add.at(moves, (s[goes_on], place[goes_on]), 1.0)
    seen = np.bincount(s, minlength=k)
    inverse = np.linalg.inv(np.eye(k) - discount * moves / seen[:, None])
    forms = []
    for r in columns[:2]:
        values = inverse @ (np.bincount(s, weights=r, minlength=k) / seen)
        own = r + discount * np.where(goes_on, values[place], 0.0) - values[s]
        form = np.bincount(cell, weights=own) / visits
        size = np.sqrt((visits * form**2).sum() / visits.sum())
        scale = float(np.abs(r).max()) / (1 - discount)
        forms.append(form / size if size > 1e-12 * scale else np.zeros_like(form))
    return float(np.sqrt((visits * (forms[0] - forms[1]) ** 2).sum() / visits.sum()))


def _alike(who: str, columns: Sequence[Array]) -> list[Array]:
    """The columns as arrays, which have the same number of rows and at least one."""
    arrays = [np.asarray(c) for c in columns]
    sizes = [len(a) if a.ndim else 0 for a in arrays]
    if len(set(sizes)) != 1 or not sizes[0]:
        raise ShapeError(f"{who}: columns of {sizes} rows; give as many of each, and at least one")
    return arrays


def _tiled(rows: Array, n: int) -> Array:
    """All rows n times over, whatever a row is: `np.tile(rows, n)` would repeat the last axis."""
    return np.asarray(np.tile(rows, (n,) + (1,) * (rows.ndim - 1)))


def _epic(
    r: Callable3, transitions: tuple[Array, Array, Array], coverage: tuple[Array, Array], discount: float
) -> Float[np.ndarray, " n"]:
    state, action, after = _alike("epic_distance_sampled", transitions)
    cover, actions = _alike("epic_distance_sampled: coverage", coverage)
    m = len(cover)

    def potential(at: Array) -> Float[np.ndarray, " k"]:
        n = len(at)
        told = r(np.repeat(at, m, axis=0), _tiled(actions, n), _tiled(cover, n))
        return np.asarray(np.asarray(told, dtype=np.float64).reshape(n, m).mean(axis=1))

    own = np.asarray(r(state, action, after), dtype=np.float64)
    return np.asarray(own + discount * potential(after) - potential(state) - discount * potential(cover).mean())
