"""OREAL: right completions are copied, wrong ones are pushed away, each token by its part in the outcome [24].

Differs from the paper: sums over the tokens of right and of wrong completions are each divided by their own number of
tokens over the whole step (`outcome_weights`), so that any division into micro-batches adds up.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import TokenBatch, check_owner, sum_by
from plaudit.policy.losses.weights import token_weights


@torch.no_grad()
def outcome_importance(
    scores: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int, correct: Bool[Tensor, " n"]
) -> Float[Tensor, " t"]:
    """How much each token had to do with the outcome, in [0, 1], from the scores of a token reward model.

    With the mean m_t of a completion's first t scores: `clip(2 sigmoid(m_t) - 1, 0, 1)` in right completions,
    `clip(1 - 2 sigmoid(m_t), 0, 1)` in wrong ones: a token counts where the model believes the outcome by then.

    Args:
        scores: (t,) logits of the token reward model.
        owner: int64 (t,), see `TokenBatch`.
        n: completions.
        correct: (n,) True for right ones.

    Raises:
        ShapeError: if parts differ in number.

    Source: Lyu et al. 2025, OREAL, section 3 and the released code.
    """
    if scores.shape != owner.shape or correct.shape != (n,):
        raise ShapeError(
            f"outcome_importance: scores {tuple(scores.shape)}, owners {tuple(owner.shape)} and {tuple(correct.shape)} "
            f"outcomes of {n} completions; give (t,), (t,) and (n,)"
        )
    check_owner("outcome_importance", owner, n)
    right = torch.sigmoid(_running_mean(scores, owner, n))
    belief = torch.where(correct[owner], right, 1 - right)
    return (2 * belief - 1).clamp(0, 1)


def outcome_score_loss(
    scores: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int, correct: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Cross-entropy of each outcome by the mean of its tokens' scores: what the token reward model is fitted to.

    Args:
        scores: (t,) logits; carry the gradient.
        owner: int64 (t,).
        n: completions.
        correct: (n,) 1 right, 0 wrong, NaN not known: a loss of 0.

    Returns:
        (n,), to be averaged over the outcomes that are known.
    """
    check_owner("outcome_score_loss", owner, n)
    known = correct.isfinite() & (torch.bincount(owner, minlength=n) > 0)
    mean = sum_by(scores, owner, n) / torch.bincount(owner, minlength=n).clamp(min=1).to(scores.dtype)
    loss = F.binary_cross_entropy_with_logits(mean, correct.nan_to_num(nan=0.0).to(mean.dtype), reduction="none")
    return torch.where(known, loss, loss.new_zeros(()))


@torch.no_grad()
def outcomes_told(scores: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int, correct: Bool[Tensor, " n"]) -> float:
    """Share of outcomes that the mean of a completion's token scores tells: above 0 is right; 0 itself counts half.

    What to watch: at 1/2, where completions of both kinds are as many, the weights of tokens are noise.

    Args:
        scores: (t,) logits of the token reward model.
        owner: int64 (t,).
        n: completions, at least one token each.
        correct: (n,) True for right ones.

    Returns:
        NaN without completions.
    """
    check_owner("outcomes_told", owner, n)
    if not n:
        return float("nan")
    total = sum_by(scores, owner, n)
    told = torch.where(correct, total > 0, total < 0).double() + (total == 0).double() / 2
    return float(told.mean())


def outcome_loss(
    batch: TokenBatch, importance: Float[Tensor, " t"], correct: Bool[Tensor, " n"], *, wrong: float = 0.5
) -> Surrogate:
    """`-w_t A logp` for tokens of right completions, `-wrong * w_t A r_t` for those of wrong ones, A at most 0.

    Behaviour cloning on what is right, weighted by the advantage, needs no ratio: its optimum is that of the
    KL-regularised outcome. What is wrong is pushed away by importance, which vanishes with its probability.

    Args:
        batch: the tokens; advantages from `OneOfEachKind`.
        importance: (t,) from `outcome_importance`; ones for none.
        correct: (n,) True for right ones.
        wrong: weight of the second term, at least 0.

    Returns:
        The loss, to be weighted by `outcome_weights`, which sum to 1 over the right and to 1 over the wrong: 0.01 of a
        mean KL over all tokens, which the paper adds, is 0.005 with them.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if the weight is negative.
    """
    if importance.shape != batch.logp.shape or correct.shape != (batch.n,):
        raise ShapeError(
            f"outcome_loss: importance {tuple(importance.shape)} and outcomes {tuple(correct.shape)} for "
            f"{tuple(batch.logp.shape)} tokens of {batch.n} completions"
        )
    if not wrong >= 0:
        raise InputError(f"outcome_loss: wrong is {wrong}; give a weight of at least 0")
    ratio = batch.log_ratio().exp()
    push = -wrong * importance * batch.advantage * ratio
    copy = -importance * batch.advantage * batch.logp
    return Surrogate.of(torch.where(correct[batch.owner], copy, push), ratio)


def outcome_pairs(batch: TokenBatch, *, correct: Float[Tensor, " t"], wrong: float = 0.5) -> Surrogate:
    """`outcome_loss` as an online run calls it: every token of a completion with importance 1.

    Args:
        batch: the tokens; advantages from `OneOfEachKind`.
        correct: (t,) 1 for tokens of right completions, 0 for those of wrong ones.
        wrong: see `outcome_loss`.

    Source: as `outcome_loss`, without the token reward model (its ablation).
    """
    right = batch.mean_by(correct.to(batch.logp.dtype)) > 0.5
    return outcome_loss(batch, torch.ones_like(batch.logp), right, wrong=wrong)


def outcome_tokens(
    batch: TokenBatch, *, correct: Float[Tensor, " t"], importance: Float[Tensor, " t"], wrong: float = 0.5
) -> Surrogate:
    """`outcome_loss` as an online run calls it, with what a token reward model says of each token.

    Args:
        batch: the tokens; advantages from `OneOfEachKind`.
        correct: (t,) 1 for tokens of right completions, 0 for those of wrong ones.
        importance: (t,) in [0, 1], from `outcome_importance`.
        wrong: see `outcome_loss`.

    Source: as `outcome_loss`.
    """
    right = batch.mean_by(correct.to(batch.logp.dtype)) > 0.5
    return outcome_loss(batch, importance.to(batch.logp.dtype), right, wrong=wrong)


def outcome_weights(
    lengths: Int[np.ndarray, " n"], included: Bool[np.ndarray, " n"], correct: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """`1 / tokens of the right` for right completions, `1 / tokens of the wrong` for wrong ones.

    Args:
        lengths: (n,) of all completions of the step.
        included: (n,).
        correct: (n,) True for right ones.
    """
    right = np.asarray(correct, dtype=bool)
    kept = np.asarray(included, dtype=bool)
    return np.asarray(token_weights(lengths, kept & right) + token_weights(lengths, kept & ~right))


def _running_mean(scores: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int) -> Float[Tensor, " t"]:
    """Mean of each completion's scores up to and including each token."""
    lengths = torch.bincount(owner, minlength=n)
    starts = lengths.cumsum(0) - lengths
    # from one sum over all tokens, that of the completions before is taken away
    total = torch.cat([scores.new_zeros(1, dtype=torch.float64), scores.double().cumsum(0)])
    place = torch.arange(1, len(scores) + 1, device=scores.device)
    inside = place - starts[owner]
    return ((total[1:] - total[starts[owner]]) / inside).to(scores.dtype)
