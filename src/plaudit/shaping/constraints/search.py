"""The points up to which rewards are proxies, found by a few evaluations and no gradient [117]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
        thresholds: the best that were evaluated.
        value: what they were worth.
        history: (thresholds, value) of every evaluation, in order.
        converged: whether the simplex shrank to the tolerance before the evaluations ran out.
    """

    thresholds: tuple[float, ...]
    value: float
    history: tuple[tuple[tuple[float, ...], float], ...]
    converged: bool


def search_thresholds(
    evaluate: Callable[[Floats], float], start: Sequence[float], *, step: float | Sequence[float] = 0.5,
    evaluations: int = 40, tolerance: float = 1e-3,
) -> Searched:  # fmt: skip
    """Nelder and Mead's simplex over thresholds, raising what an evaluation returns.

    Args:
        evaluate: thresholds (k,) to the true worth of the policy that they lead to, by people, a verifier or a held-out
            reward; dear, so their number is bounded.
        start: thresholds to begin with.
        step: by how much the simplex's other corners differ from them, one or k numbers.
        evaluations: at most.
        tolerance: of thresholds and worth, at which the simplex counts as shrunk.

    Raises:
        InputError: if fewer evaluations than corners are allowed, or one is not finite.

    Source: Moskovitz et al. 2023 [117]; SciPy's Nelder-Mead.
    """
    from scipy.optimize import minimize

    begin = np.asarray(start, dtype=np.float64)
    if evaluations <= begin.size:
        raise InputError(f"search_thresholds: {evaluations} evaluations for {begin.size + 1} corners; allow more")
    seen: list[tuple[tuple[float, ...], float]] = []

    def lost(theta: Float[np.ndarray, " k"]) -> float:
        value = float(evaluate(theta))
        if not np.isfinite(value):
            raise InputError(f"search_thresholds: the evaluation at {theta.tolist()} gave {value}; it must be finite")
        seen.append((tuple(theta.tolist()), value))
        return -value

    corners = np.concatenate([begin[None], begin + np.diag(np.broadcast_to(step, begin.shape))])
    options = {"initial_simplex": corners, "maxfev": evaluations, "xatol": tolerance, "fatol": tolerance}
    done = minimize(lost, begin, method="Nelder-Mead", options=options)
    best = max(seen, key=lambda row: row[1])
    return Searched(best[0], best[1], tuple(seen), bool(done.success))
