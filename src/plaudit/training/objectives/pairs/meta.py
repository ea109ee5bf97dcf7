"""A reward model that keeps telling a shifted policy's completions apart: the meta step of MetaRM [13].

Differs from the paper: nothing in the formulas; as there, the second gradient is taken at the shifted weights and
applied to the original ones, so no second derivatives are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_number

Parameters = Mapping[str, Tensor]


def score_spread(scores: Float[Tensor, " n"], lists: Sequence[Int[Tensor, " _"]]) -> Float[Tensor, ""]:
    """Sum over lists of `2 / k^2 * sum_{i<j} sigmoid(|scores_i - scores_j|)`: how well a list is told apart.

    Args:
        scores: scores of all sequences of the row.
        lists: for each prompt the indices of its k completions by the shifted policy, in any order.

    Returns:
        To be raised, not lowered. A list of k lies between `(k - 1) / 2k` (all equal) and `(k - 1) / k`.

    Raises:
        InputError: if a list has fewer than two members.

    Source: Wang et al. 2024, "Secrets of RLHF II" [13].
    """
    total = scores.sum() * 0
    for place, members in enumerate(lists):
        k = members.numel()
        if k < 2:
            raise InputError(f"score_spread: lists[{place}] has {k} completions; give at least 2 of a prompt")
        first, second = torch.triu_indices(k, k, offset=1, device=scores.device)
        one = scores[members]
        total = total + torch.sigmoid((one[first] - one[second]).abs()).sum() * (2 / k**2)
    return total


def meta_gradients(
    parameters: Parameters,
    *,
    spread: Callable[[Parameters], Tensor],
    loss: Callable[[Parameters], Tensor],
    rate: float,
) -> dict[str, Tensor]:
    """Gradient of `loss` at `parameters + rate * grad spread(parameters)`, for a step from `parameters`.

    Args:
        parameters: the weights by name; they are not changed.
        spread: weights to what the meta step raises, such as the mean `score_spread` of a batch.
        loss: weights to what is lowered, such as the mean Bradley-Terry loss.
        rate: size of the meta step, at least 0 (the paper's eta); 0 gives the plain gradient of `loss`.

    Returns:
        The gradient by name; zero for weights that the loss does not reach.

    Raises:
        InputError: if the rate is negative.

    Source: Wang et al. 2024 [13].
    """
    check_number("meta_gradients", "rate", rate, low=0)
    upward = _gradients(parameters, spread)
    shifted = {name: value.detach() + rate * upward[name] for name, value in parameters.items()}
    return _gradients(shifted, loss)


def _gradients(parameters: Parameters, function: Callable[[Parameters], Tensor]) -> dict[str, Tensor]:
    leaves = {name: value.detach().clone().requires_grad_() for name, value in parameters.items()}
    found = torch.autograd.grad(function(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))
