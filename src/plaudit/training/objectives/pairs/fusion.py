"""A reward smoothed over the nearest training completions, at inference [17].

Differs from the paper: a neighbour weighs its cosine, the completion itself 1; the entry leaves the weights open.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_columns, check_number


def fused_rewards(
    rewards: Float[Tensor, " q"],
    embeddings: Float[Tensor, "q d"],
    *,
    corpus_rewards: Float[Tensor, " c"],
    corpus: Float[Tensor, "c d"],
    neighbours: int = 5,
    threshold: float = 0.9,
) -> Float[Tensor, " q"]:
    """`(r + sum_i cos_i r_i) / (1 + sum_i cos_i)` over the nearest chosen completions of the training data.

    Args:
        rewards: of the completions to be smoothed.
        embeddings: of the same.
        corpus_rewards: rewards of the training data's chosen completions, by the same model.
        corpus: embeddings of the same.
        neighbours: at most so many of the nearest, at least 1.
        threshold: a neighbour's cosine is at least this, in (0, 1].

    Returns:
        The smoothed rewards; unchanged where no completion is near enough.

    Raises:
        ShapeError: if rewards and embeddings do not belong together.
        InputError: if a hyper-parameter is outside its range.

    Source: "RewardFusion" of the Contrast Instructions paper [17].
    """
    check_columns("fused_rewards", "embeddings", embeddings.shape[0], rewards=rewards)
    check_columns("fused_rewards", "embeddings of the corpus", corpus.shape[0], corpus_rewards=corpus_rewards)
    check_number("fused_rewards", "threshold", threshold, low=0, high=1, within="(]")
    if neighbours < 1:
        raise InputError(f"fused_rewards: neighbours is {neighbours}; it must be at least 1")
    alike = F.normalize(embeddings, dim=-1) @ F.normalize(corpus, dim=-1).T
    cosine, nearest = alike.topk(min(neighbours, corpus.shape[0]), dim=-1)
    share = torch.where(cosine >= threshold, cosine, torch.zeros_like(cosine))
    return (rewards + (share * corpus_rewards[nearest]).sum(dim=-1)) / (1 + share.sum(dim=-1))
