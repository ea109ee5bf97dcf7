"""One word: cross-entropy of yes or no as the next token.

Differs from the papers: the cross-entropy is over the two words, not the vocabulary; the reward reads no more than
their difference, so that mass on other words is neither learned nor needed.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_pairs, weighted_sum


def yes_no_loss(
    logp: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, weight: Float[Tensor, " m"] | None = None
) -> Float[Tensor, ""]:
    """Sum over questions of `-log (p(right) / (p(right) + p(wrong)))`: cross-entropy on the difference of the logits.

    Args:
        logp: log-probability of a word as the next token, in nats.
        pairs: indices of the right word and of the wrong one, a question each.
        weight: of each question, default 1.

    Returns:
        The weighted sum; 0 for no questions.

    Raises:
        ShapeError: if pairs are not (m, 2) or weights not (m,).

    Source: Wu et al. 2025, "RewardDance: Reward Scaling in Visual Generation"; Wang et al. 2025, "RLBFF: Binary
    Flexible Feedback to bridge between Human Feedback & Verifiable Rewards".
    """
    check_pairs("yes_no_loss", pairs, weight=weight)
    return weighted_sum(-F.logsigmoid(logp[pairs[:, 0]] - logp[pairs[:, 1]]), weight)
