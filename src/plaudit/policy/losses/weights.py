"""Denominators of a loss: what one token counts for in an optimisation step, whatever micro-batch it lies in.

A step's loss is `sum_t weight_t * loss_t` over all its tokens. The weights carry every denominator, so the sum over
eight micro-batches of one completion is that over one of eight, and processes can divide the completions among them:
each adds up its own part, and the parts are added (a host that averages gradients over w processes multiplies by w).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError, nearest

How = Literal["token", "sequence", "constant", "sequence-sum", "batch-token"]


def token_weights(
    lengths: Int[np.ndarray, " n"], included: Bool[np.ndarray, " n"], *, how: How = "token",
    max_tokens: int | None = None, count: ArrayLike | None = None, batches: ArrayLike | None = None,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """The weight of each token of completion i; N is the number of included completions, L_i their lengths.

    | how | weight | whose |
    | --- | --- | --- |
    | `token` | `1 / sum_j L_j` | DAPO, TRL's `dapo`, `cispo`, `vespo`: long completions count more |
    | `sequence` | `1 / (N L_i)` | GRPO, TRL's `grpo`, `sapo`: a token of a long completion counts less |
    | `constant` | `1 / (N max_tokens)` | Dr. GRPO: no length in any denominator |
    | `sequence-sum` | `1 / N` | LUSPO; REINFORCE as it is derived |
    | `batch-token` | `1 / (B sum_{j in the batch of i} L_j)` | TRL's `bnpo`, over B micro-batches |

    The last depends on the micro-batches by its definition: eight of one are not one of eight, unless all lengths are
    equal. It is here for parity; `token` is what it approximates.

    Args:
        lengths: (n,) counted tokens of all completions of the step, on all processes.
        included: (n,) True where a completion takes part; the others have weight 0 and enter no denominator.
        how: see the table.
        max_tokens: of `constant`: the longest completion that was allowed.
        count: (n,) how often each counts, at least 0; 2 is the same as being there twice, and only ratios matter.
        batches: of `batch-token`: (n,) which micro-batch each lies in.

    Returns:
        (n,); multiplied by the lengths they sum to 1 for `token`, `sequence` (where no length is 0) and `batch-token`.

    Raises:
        ShapeError: if the parts differ in number.
        InputError: if `how` is not known, or what it needs is missing.

    Source: Shao et al. 2024 (GRPO); Yu et al. 2025, "DAPO", equation 8; Liu et al. 2025, "Dr. GRPO"; TRL's GRPOTrainer.

    Differs from TRL: completions without a reward leave the denominators; a step of unequal micro-batches has the mean
    over its completions, not the mean of the micro-batches' means.
    """
    length, there = np.asarray(lengths, dtype=np.float64), np.asarray(included, dtype=bool)
    often = np.ones(length.shape) if count is None else np.asarray(count, dtype=np.float64)
    if length.ndim != 1 or there.shape != length.shape or often.shape != length.shape:
        raise ShapeError(
            f"token_weights: lengths {length.shape}, marks {there.shape} and counts {often.shape}; give (n,) of each"
        )
    if how not in get_args(How):
        raise InputError(f"token_weights: how {how!r} is not known; {nearest(how, get_args(How))}")
    if not (often >= 0).all() or not np.isfinite(often).all():
        raise InputError(f"token_weights: a count is {often[~(np.isfinite(often) & (often >= 0))][0]}; give at least 0")
    often = np.where(there, often, 0.0)
    if how == "batch-token":
        below = _batch_tokens(often * length, there, batches)
    elif how == "token":
        below = np.full(length.shape, (often * length).sum())
    else:
        below = often.sum() * _own(how, length, max_tokens)
    return np.asarray(np.divide(often, below, out=np.zeros(length.shape), where=(below > 0) & (length > 0)))


def _own(how: How, length: Float[np.ndarray, " n"], max_tokens: int | None) -> Float[np.ndarray, " n"]:
    if how == "sequence":
        return length
    if how == "sequence-sum":
        return np.ones(length.shape)
    if max_tokens is None or max_tokens < 1:
        raise InputError(f"token_weights: max_tokens is {max_tokens}; `constant` divides by it: give at least 1")
    return np.full(length.shape, float(max_tokens))


def _batch_tokens(
    tokens: Float[np.ndarray, " n"], included: Bool[np.ndarray, " n"], batches: ArrayLike | None
) -> Float[np.ndarray, " n"]:
    if batches is None:
        raise InputError("token_weights: `batch-token` needs batches: which micro-batch each completion lies in")
    _, code = np.unique(np.asarray(batches), return_inverse=True)
    if code.shape != tokens.shape:
        raise ShapeError(f"token_weights: batches {code.shape} for lengths {tokens.shape}; give one a completion")
    total = np.bincount(code, weights=tokens)
    # a micro-batch without any included completion is no micro-batch: its zero would only dilute the others
    return np.asarray(np.unique(code[included]).size * total[code])
