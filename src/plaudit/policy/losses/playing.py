"""Steps towards the Nash equilibrium of preferences, on a policy's own fresh samples: DNO and INPO within groups.

Both are regressions of differences of log-ratios over all pairs of a prompt's completions. The scores are win rates
against the siblings, which are samples of the policy itself: unbiased estimates of `P(y beats the policy)`.

Differs from the papers: pairs are weighed by win rates of both sides, not by one label drawn for each (INPO's target
`(2 label - 1) / (2 eta)` has the mean that is regressed on here, with more noise); all pairs of a group are used, not
those of large margins, nor the best against the worst; a step is one update of the loop, not a data set.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.offline.losses.regression import blended, dno, rebel

PairLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def dno_pairs(
    batch: TokenBatch, *, reward: Float[Tensor, " t"], group: Float[Tensor, " t"], beta: float = 0.1
) -> Surrogate:
    """`mean_j of -p log sigmoid(z) - (1 - p) log sigmoid(-z)` over the siblings j of completion i, spread over tokens.

    With `p = sigmoid(r_i - r_j)`, `z = beta (x_i - x_j)` and x the log-ratio to the policy that sampled, which is the
    reference of a step.

    Args:
        batch: the tokens; their advantages are not read.
        reward: (t,) r, win rates, the same for all tokens of a completion.
        group: (t,) number of the prompt of each.
        beta: the paper's eta.

    Returns:
        A loss a token, to be weighted by `sequence-sum`; 0 for a completion without siblings.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if beta is not positive.

    Source: Rosset et al. 2024, "Direct Nash Optimization" [20], equation 8, as `offline.losses.regression.dno`.
    """
    x = batch.sum_by(batch.logp - batch.old_logp)
    return _over_pairs(batch, x, reward, group, lambda a, b, r, s: dno(a, b, r, s, beta=beta))


def inpo_pairs(
    batch: TokenBatch, *, reward: Float[Tensor, " t"], group: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"],
    eta: float = 7.5e-3, tau: float = 2.5e-3,
) -> Surrogate:  # fmt: skip
    """`mean_j of (h_i - h_j - (r_i - r_j) / eta)^2` over the siblings j of completion i, spread over tokens.

    With `h = log pi - (tau / eta) log pi_ref - (1 - tau / eta) log pi_t`. Its minimiser is the mirror step
    `pi_ref^(tau / eta) pi_t^(1 - tau / eta) exp(r / eta) / Z`.

    Args:
        batch: the tokens; `old_logp` is that of pi_t, advantages are not read.
        reward: (t,) r, win rates, the same for all tokens of a completion.
        group: (t,) number of the prompt of each.
        ref_logp: (t,) under the starting policy, nats.
        eta: step size's inverse, above tau.
        tau: regularisation, above 0.

    Returns:
        A loss a token, to be weighted by `sequence-sum`; 0 for a completion without siblings.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if not `0 < tau < eta`.

    Source: Zhang et al. 2024, "Iterative Nash Policy Optimization" [146], equation 8 and proposition 4.
    """
    if ref_logp.shape != batch.logp.shape:
        raise ShapeError(f"inpo_pairs: {tuple(ref_logp.shape)} and {tuple(batch.logp.shape)}; give (t,) both")
    h = batch.sum_by(batch.logp - blended(ref_logp, batch.old_logp, eta=eta, tau=tau))
    return _over_pairs(batch, h, reward, group, lambda a, b, r, s: rebel(a, b, r, s, beta=eta))


def _over_pairs(batch: TokenBatch, ratio: Tensor, reward: Tensor, group: Tensor, loss: PairLoss) -> Surrogate:
    """The mean loss over the pairs of each completion with its siblings, an equal part of it on each of its tokens."""
    if not reward.shape == group.shape == batch.logp.shape:
        raise ShapeError(
            f"pairs: rewards {tuple(reward.shape)} and groups {tuple(group.shape)} for {tuple(batch.logp.shape)} "
            "tokens; give (t,) each"
        )
    worth = batch.mean_by(reward.to(ratio.dtype)).detach()
    first, second = _siblings(batch, group)
    found = loss(ratio[first], ratio[second], worth[first], worth[second])
    total = ratio.new_zeros(batch.n).index_add(0, first, found).index_add(0, second, found)
    met = torch.bincount(torch.cat([first, second]), minlength=batch.n)
    part = total / (met * batch.lengths).clamp(min=1).to(total.dtype)
    return Surrogate.of(part[batch.owner], batch.log_ratio().exp())


def _siblings(batch: TokenBatch, group: Tensor) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Indices of all pairs of completions of one prompt, each once."""
    label = group.new_full((batch.n,), -1.0)
    label[batch.owner] = group  # all tokens of a completion say the same
    same = (label[:, None] == label[None, :]) & (label >= 0)
    first, second = torch.triu(same, diagonal=1).nonzero(as_tuple=True)
    return first, second
