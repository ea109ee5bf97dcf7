"""The gap between demonstrations and a policy's samples: what inverse reinforcement learning ascends [122]."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, weighted_sum


def demonstration_gap(
    scores: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, square_coef: float = 0.5,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over pairs of `-(d - s) + square_coef (d^2 + s^2) / 2`, d the score of a demonstration, s that of a sample.

    The first part is the gradient of maximum-likelihood inverse reinforcement learning in the reward, at the policy
    that the samples are from. Linear in the scores, it has no end; with the squares a free table of scores has its
    least loss at `(p - q) / (square_coef (p + q))`, p the demonstrations' and q the policy's probability: no score is
    beyond `1 / square_coef`, and all are 0 where the policy says what demonstrations say.

    Args:
        scores: of all sequences of the row.
        pairs: indices into `scores`: demonstration, sample.
        square_coef: at least 0; 0 is the gap itself, for few steps.
        weight: of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or the weights do not have m entries.
        InputError: if the coefficient is negative or not finite.

    Source: "Inverse Reinforcement Learning with Dynamic Reward Scaling for LLM Alignment" (DR-IRL) [122], after Zeng et
    al. 2022, "Maximum-Likelihood Inverse Reinforcement Learning". Differs from the paper: the squares.
    """
    check_pairs("demonstration_gap", pairs, weight=weight)
    check_number("demonstration_gap", "square_coef", square_coef, low=0, within="[)")
    shown, said = scores[pairs[:, 0]], scores[pairs[:, 1]]
    return weighted_sum(said - shown + square_coef * (shown.square() + said.square()) / 2, weight)
