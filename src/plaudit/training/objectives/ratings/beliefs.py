"""Levels under independent plausibilities: belief in each, confusion between them, ignorance of all [179].

Differs from the paper: whose loss was not at hand. The loss here is the negative log of the belief in the observed
level, with extra weight on the plausibility of the others; it is exactly a binary cross-entropy a level. What to
predict at which ignorance and confusion (the paper's set of levels with two thresholds) is left to the caller.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum

Column = Float[Tensor, " m"]


def beliefs_of(logits: Float[Tensor, "m k"]) -> tuple[Float[Tensor, "m k"], Column, Column]:
    """Belief in each level, confusion, ignorance: masses that add up to 1.

    With plausibility `p = sigmoid(logit)`: belief k is the mass of "only k is plausible", ignorance that of "none is",
    confusion the rest ("two or more are").

    Args:
        logits: of k levels.

    Returns:
        Belief (m, k), confusion (m,), ignorance (m,).

    Source: "Flexible Visual Recognition by Evidential Modeling of Confusion and Ignorance" [179].
    """
    no = F.logsigmoid(-logits)
    none = no.sum(dim=-1)
    belief = torch.exp(none[:, None] - no + F.logsigmoid(logits))
    ignorance = none.exp()
    return belief, (1 - ignorance - belief.sum(dim=-1)).clamp(min=0), ignorance


def belief_rating(
    outputs: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    levels: Int[Tensor, " m"],
    others_coef: float = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log belief(level) - others_coef * sum_{k != level} log(1 - p_k)`, in nats.

    Args:
        outputs: logits of the k levels of all sequences of the row.
        items: indices of the m rated sequences.
        levels: observed, 0 to k - 1.
        others_coef: extra weight against the other levels, at least 0.
        weight: weight of each rating, default 1.

    Returns:
        The sum over the m items; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a level is not one of the k or the coefficient is negative.

    Source: [179], its mass of singletons; the coefficient is ours.
    """
    check_number("belief_rating", "others_coef", others_coef, low=0)
    check_columns("belief_rating", "items", items.numel(), levels=levels, weight=weight)
    check_values("belief_rating", "levels", levels, low=0, high=outputs.shape[1] - 1)
    logits = outputs[items]
    against = -F.logsigmoid(-logits)
    own = levels[:, None]
    others = against.sum(dim=-1) - against.gather(1, own)[:, 0]
    right = -F.logsigmoid(logits.gather(1, own)[:, 0])
    return weighted_sum(right + (1 + others_coef) * others, weight)


def dirichlet_opinion(evidence: Float[Tensor, "m k"]) -> tuple[Float[Tensor, "m k"], Column, Column]:
    """Belief, dissonance and ignorance of a Dirichlet distribution with parameters `evidence + 1`.

    `S = sum(evidence) + k`; belief `evidence / S`; ignorance `k / S`; dissonance
    `sum_i b_i sum_{j != i} b_j Bal(i, j) / sum_{j != i} b_j`, `Bal = 1 - |b_i - b_j| / (b_i + b_j)`.

    Args:
        evidence: for each level, at least 0.

    Returns:
        Belief (m, k), dissonance (m,), ignorance (m,). Belief and ignorance add up to 1; the dissonance is a part of
        the belief, 0 where fewer than two levels have evidence.

    Raises:
        InputError: if an evidence is negative or not finite.

    Source: Josang 2016, "Subjective Logic"; the alternative in [179].
    """
    check_values("dirichlet_opinion", "evidence", evidence, low=0)
    k = evidence.shape[1]
    total = evidence.sum(dim=1, keepdim=True) + k
    belief = evidence / total
    one, other = belief[:, :, None], belief[:, None, :]
    both = (one * other > 0) & ~torch.eye(k, dtype=torch.bool, device=evidence.device)
    balance = torch.where(both, 1 - (one - other).abs() / (one + other).where(both, torch.ones_like(one)), 0.0)
    rest = belief.sum(dim=1, keepdim=True) - belief
    shared = (other * balance).sum(dim=2) / rest.where(rest > 0, torch.ones_like(rest))
    return belief, (belief * shared).sum(dim=1), k / total[:, 0]
