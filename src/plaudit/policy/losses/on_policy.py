"""Losses of policy improvement, on log-probabilities of the tokens that were sampled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plaudit.errors import ShapeError


def on_policy_loss(
    logps: Sequence[Float[Tensor, " _"]], advantages: Float[Tensor, " n"], included: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Policy gradient on fresh samples: `-sum_i A_i sum_t logp_it / number of included tokens`.

    One update a batch of samples needs no ratio to the policy that drew them: it is 1.

    Args:
        logps: log-probability of each completion's tokens under the current policy, nats, (t_i,) each.
        advantages: (n,), constants.
        included: True where a completion takes part; the others count neither above nor below the line.

    Returns:
        The loss; 0 where nothing is included.

    Raises:
        ShapeError: if the three differ in length.

    Source: Williams 1992, REINFORCE; the token mean of Yu et al. 2025, "DAPO", equation 8.
    """
    if not len(logps) == len(advantages) == len(included):
        raise ShapeError(
            f"on_policy_loss: {len(logps)} completions, {len(advantages)} advantages and {len(included)} marks; "
            "they must be as many"
        )
    kept = [i for i in range(len(logps)) if bool(included[i])]
    tokens = sum(int(logps[i].numel()) for i in kept)
    if not tokens:
        return advantages.new_zeros(())
    total = torch.stack([logps[i].sum() * advantages[i] for i in kept]).sum()
    return -total / tokens
