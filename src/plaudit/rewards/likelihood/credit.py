"""A response's log-ratio spread over its tokens and steps: process rewards that nobody labelled.

Differs from the paper: nothing in the formulas; the score of a response is its whole log-ratio unless a minimum or sum
over steps is asked for, and beta is what the caller gives (the paper scores with a fiftieth of what it trains with,
which changes the unit alone). Votes weighed by the scores of equal answers are left to the caller.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError

Credit = Literal["single", "accumulative"]
Over = Literal["total", "min", "sum"]


def implicit_values(
    log_ratio: Float[np.ndarray, " t"], ends: Int[np.ndarray, " s"], *, beta: float = 0.05
) -> Float[np.ndarray, " s"]:
    """Value after each step, `q_s = beta * sum of log_ratio before ends[s]`.

    It equals `beta * log E[exp(r / beta)]` over completions that the reference draws from there on, where
    `r = beta * sum log_ratio` of the whole response: an exact soft value, learned from outcomes alone.

    Args:
        log_ratio: log pi - log pi_ref of each token, in nats.
        ends: for each step the number of tokens up to its end, in [0, t], not falling.
        beta: reward units per nat, positive.

    Returns:
        One value a step; without steps none.

    Raises:
        InputError: if an end is out of range or beta is not positive.

    Source: Yuan et al. 2024, "Free Process Rewards without Process Labels".
    """
    if beta <= 0:
        raise InputError(f"implicit_values: beta is {beta}; it must be positive")
    if ends.size and (ends.min() < 0 or ends.max() > log_ratio.size or (np.diff(ends) < 0).any()):
        raise InputError(f"implicit_values: ends {ends.tolist()} for {log_ratio.size} tokens; give rising counts")
    sums = np.concatenate([[0.0], np.cumsum(log_ratio)])
    return np.asarray(beta * sums[ends])


def step_rewards(values: Float[np.ndarray, " s"], *, credit: Credit = "single") -> Float[np.ndarray, " s"]:
    """Rewards of steps from their values: `single` is `q_s - q_(s-1)` with `q_0 = 0`, `accumulative` is `q_s` itself.

    Single rewards sum to the reward of the response.

    Args:
        values: q, in reward units.
        credit: which of the two.

    Raises:
        InputError: if the credit is not known.

    Source: Yuan et al. 2024, with its released code, where these are options.
    """
    if credit not in ("single", "accumulative"):
        raise InputError(f"step_rewards: credit is {credit!r}; give 'single' or 'accumulative'")
    return values.copy() if credit == "accumulative" else np.diff(values, prepend=0.0)


def response_score(total: float, steps: Float[np.ndarray, " s"], *, over: Over = "total") -> float:
    """One number for a response: its `total`, or the least or the sum of its steps' rewards.

    Args:
        total: reward of the whole response.
        steps: rewards of its steps.
        over: which; without steps the total is returned whatever is asked for.

    Raises:
        InputError: if `over` is not known.

    Source: Yuan et al. 2024.
    """
    if over not in ("total", "min", "sum"):
        raise InputError(f"response_score: over is {over!r}; give 'total', 'min' or 'sum'")
    if over == "total" or not steps.size:
        return total
    return float(steps.min() if over == "min" else steps.sum())


def density_ratio(
    logp: Float[np.ndarray, " t"], reference_logp: Float[np.ndarray, " u"], *, average: Literal["sum", "token"] = "sum"
) -> float:
    """`log pi(y|x) - log pi_ref(y|x)` in nats, or the difference of the two means a token.

    Args:
        logp: under the strong model, a token each.
        reference_logp: under the weak one; its tokens may be others.
        average: `sum`, or `token`, in which each side is divided by its own number of tokens.

    Returns:
        A difference; an empty side counts 0.

    Raises:
        InputError: if the average is not known.

    Source: Xu et al. 2024, "Dr. SoW: Density Ratio of Strong-over-weak LLMs".
    """
    if average not in ("sum", "token"):
        raise InputError(f"density_ratio: average is {average!r}; give 'sum' or 'token'")
    parts = [float(x.sum()) / (max(x.size, 1) if average == "token" else 1) for x in (logp, reference_logp)]
    return parts[0] - parts[1]
