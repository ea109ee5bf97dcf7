"""Regressions of log-ratios on scores, and on what players of a game of preferences would do.

Log-ratios in nats, (m,); scores in the units of whoever gave them. A loss a pair or a completion comes back.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.offline.losses.checking import check_beta, check_sides
from plaudit.training.objectives.pairs.checking import check_number

Pairs = Float[Tensor, " m"]


def rebel(chosen: Pairs, rejected: Pairs, chosen_score: Pairs, rejected_score: Pairs, *, beta: float = 1.0) -> Pairs:
    """`(x_c - x_r - (s_c - s_r) / beta)^2`: differences of log-ratios are regressed on differences of scores.

    Its minimiser over all policies is `pi_ref exp(s / beta) / Z`, the optimum under a KL penalty of beta: a constant
    that is added to the scores of one prompt changes nothing, and neither does exchanging the two completions.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        chosen_score: s_c.
        rejected_score: s_r.
        beta: score units per nat.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if beta is not positive.

    Source: Deng et al. 2024, "PRDP: Proximal Reward Difference Prediction" [107], without its proximal clipping, see
    `prdp`; Gao et al. 2024, "REBEL: Reinforcement Learning via Regressing
    Relative Rewards", with `eta = 1 / beta`.
    """
    check_sides("rebel", chosen=chosen, rejected=rejected, chosen_score=chosen_score, rejected_score=rejected_score)
    check_beta("rebel", beta)
    return (chosen - rejected - (chosen_score - rejected_score) / beta).square()


def prdp(
    differences: Float[Tensor, " t"], old: Float[Tensor, " t"], owner: Int[Tensor, " t"], pairs: Int[Tensor, "m 2"],
    chosen_score: Pairs, rejected_score: Pairs, *, beta: float = 1.0, clip: float = 0.1,
) -> Pairs:  # fmt: skip
    """`max(L(b), L(clip(b, b_old - e, b_old + e)))`, with the square `L(b) = (B_c - B_r - (s_c - s_r) / beta)^2`.

    B is the sum of `b_t = (log pi - log pi_ref)(y_t)` over a completion's tokens, and b_old is b of the policy that
    drew it. A token that has moved by more than e teaches only if it moved the wrong way: the worse of the two losses
    counts, so that many steps on one batch of samples stay near the policy that drew them.

    Args:
        differences: b of each counted token, nats.
        old: b_old; zeros where the reference itself drew the completions.
        owner: which sequence each token belongs to.
        pairs: indices of chosen and rejected.
        chosen_score: s_c.
        rejected_score: s_r.
        beta: score units per nat.
        clip: e, nats a token; infinite is `rebel`.

    Raises:
        ShapeError: if what belongs to tokens, or to pairs, differs in number.
        InputError: if beta or clip is not positive.

    Source: Deng et al. 2024, "PRDP: Proximal Reward Difference Prediction" [107]. Its steps are those of denoising,
    with e of about 1e-4; here they are tokens, of which a completion has fewer and which say more.
    """
    if not differences.shape == old.shape == owner.shape:
        raise ShapeError(
            f"prdp: {tuple(differences.shape)} log-ratios, {tuple(old.shape)} old ones and {tuple(owner.shape)} "
            "owners; they must be as many"
        )
    if clip != math.inf:
        check_number("prdp", "clip", clip, low=0, within="(]")
    near = torch.clamp(differences, old - clip, old + clip)
    free, held = (_of_pairs(b, owner, pairs) for b in (differences, near))
    scores = {"chosen_score": chosen_score, "rejected_score": rejected_score}
    one = rebel(*free, **scores, beta=beta)
    return torch.maximum(one, rebel(*held, **scores, beta=beta))


def _of_pairs(tokens: Tensor, owner: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over the tokens of both sides of each pair."""
    n = int(max(owner.max(), pairs.max())) + 1
    sums = tokens.new_zeros(n).index_add(0, owner, tokens)
    return sums[pairs[:, 0]], sums[pairs[:, 1]]


def gpo(ratio: Pairs, score: Pairs, *, beta: float = 1.0) -> Pairs:
    """`(x - s / beta)^2`: a log-ratio is regressed on how much better than its siblings a completion is.

    Args:
        ratio: x, log-ratios in nats.
        score: s, mean score against the policy's own completions, less the mean of these over the prompt.
        beta: score units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: Zhang et al. 2024, "General Preference Modeling with Preference Representations" [98], its GPO; with win
    rates for scores it is SPPO, whose partition function is taken to be constant.
    """
    check_sides("gpo", ratio=ratio, score=score)
    check_beta("gpo", beta)
    return (ratio - score / beta).square()


def dno(chosen: Pairs, rejected: Pairs, chosen_score: Pairs, rejected_score: Pairs, *, beta: float = 0.1) -> Pairs:
    """`-p log sigmoid(z) - (1 - p) log sigmoid(-z)`, with `p = sigmoid(s_c - s_r)` and `z = beta (x_c - x_r)`.

    Least where `z = s_c - s_r`. Scores are expected win rates against the policy's own completions, so that the target
    is a step towards the Nash equilibrium, also of preferences that are not transitive.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        chosen_score: s_c.
        rejected_score: s_r.
        beta: the paper's eta.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if beta is not positive.

    Source: Rosset et al. 2024, "Direct Nash Optimization" [20], equation 8. Its practical form is DPO on pairs of large
    margins, sampled anew in each round.
    """
    check_sides("dno", chosen=chosen, rejected=rejected, chosen_score=chosen_score, rejected_score=rejected_score)
    check_beta("dno", beta)
    target, z = torch.sigmoid(chosen_score - rejected_score), beta * (chosen - rejected)
    return -target * F.logsigmoid(z) - (1 - target) * F.logsigmoid(-z)


def inpo(chosen: Pairs, rejected: Pairs, *, eta: float = 7.5e-3, tau: float = 2.5e-3) -> Pairs:
    """`(h_c - h_r - 1 / (2 eta))^2`, with `h = log pi - (tau / eta) log pi_ref - (1 - tau / eta) log pi_t`.

    One step of mirror descent in the game of preferences that is regularised towards the reference: over pairs that
    pi_t drew, the least h is `(2 P - 1) / (2 eta)`.

    Args:
        chosen: h_c, the log-ratio with `blended` reference and start, in nats.
        rejected: h_r.
        eta: step size's inverse, above tau.
        tau: regularisation, above 0.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if not `0 < tau < eta`.

    Source: Zhang et al. 2024, "Iterative Nash Policy Optimization" [146], equation 9.
    """
    check_sides("inpo", chosen=chosen, rejected=rejected)
    _check_step(eta, tau)
    return (chosen - rejected - 1 / (2 * eta)).square()


def blended(reference: Tensor, start: Tensor, *, eta: float, tau: float) -> Tensor:
    """`(tau / eta) log pi_ref + (1 - tau / eta) log pi_t`, token by token: what INPO's log-ratios are taken to.

    Args:
        reference: log-probabilities under pi_ref, nats, any shape.
        start: the same under pi_t, the policy that the step starts from.
        eta: see `inpo`.
        tau: see `inpo`.

    Raises:
        InputError: if not `0 < tau < eta`.
    """
    _check_step(eta, tau)
    return (tau / eta) * reference + (1 - tau / eta) * start


def consistent(chosen: Pairs, rejected: Pairs, consistency: Pairs, *, beta: float = 0.1) -> Pairs:
    """`-c log sigmoid(z) - (1 - c) log sigmoid(-z)`, with `z = beta (x_c - x_r)`: a label that two models agree about.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        consistency: c of each pair, in [0, 1]: 1 is DPO, one half teaches that the two are equal; see
            `plaudit.training.objectives.pairs.ranking_consistency`.
        beta: reward units per nat.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if beta is not positive.

    Source: Wang et al. 2024, "CREAM: Consistency Regularized Self-Rewarding Language Models" [116].
    """
    check_sides("consistent", chosen=chosen, rejected=rejected, consistency=consistency)
    check_beta("consistent", beta)
    z = beta * (chosen - rejected)
    return -consistency * F.logsigmoid(z) - (1 - consistency) * F.logsigmoid(-z)


def _check_step(eta: float, tau: float) -> None:
    check_number("inpo", "tau", tau, low=0, within="(]")
    check_number("inpo", "eta", eta, low=0, within="(]")
    if tau >= eta:
        raise InputError(
            f"inpo: tau is {tau} and eta {eta}; tau must be below eta, or the step leads away from the start"
        )
