"""Losses of pairs of completions within an update: pairwise policy gradients (P3O), DPO under constraints (CODPO).

Both work on flat tokens: a completion's log-probability is the sum over its own.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import Level, TokenBatch, check_owner, sum_by
from plaudit.training.objectives.policies.preference import implicit_dpo


def pairwise_gradient(
    batch: TokenBatch, pairs: Int[Tensor, "m 2"], difference: Float[Tensor, " m"], *, level: Level = "sequence-sum",
    clip_low: float = 0.2, clip_high: float = 0.2,
) -> Surrogate:  # fmt: skip
    """`-sum over pairs of (min(w_i d, clip(w_i) d) + min(-w_j d, -clip(w_j) d)) / 2`, d the difference `r_i - r_j`.

    Only differences of rewards enter, so that a reward that is known up to a constant of the prompt is enough. Where
    the ratios are 1 and all pairs of a group of g are given, the gradient is `(g - 1) / 2` times that of RLOO. Unlike a
    mean advantage, a completion that beats one sibling and loses to another is cut on both sides.

    Args:
        batch: the tokens; their advantages are not read.
        pairs: (m, 2) indices of completions, each unordered pair once.
        difference: (m,) how much better the first is; constants. 2 p - 1 for a probability p will do.
        level: of the ratio; the paper's is that of whole completions.
        clip_low: at least 0.
        clip_high: at least 0.

    Returns:
        A loss a token, the same for all tokens of a completion at the levels of sequences: with `sequence` weights it
        sums to the mean over completions.

    Raises:
        ShapeError: if differences and pairs differ in number.
        InputError: if a pair names a completion that is not there, or a bound is negative.

    Source: Wu et al. 2023, "Pairwise Proximal Policy Optimization" (P3O), its pairwise policy gradient, with the two
    ratios of a pair clipped separately [143].

    Differs from the paper: any number of completions a prompt; its joint clipping of both ratios is not here.
    """
    _check_pairs("pairwise_gradient", pairs, batch.n)
    if difference.shape != (len(pairs),):
        raise ShapeError(f"pairwise_gradient: {tuple(difference.shape)} differences for {len(pairs)} pairs; give (m,)")
    if clip_low < 0 or clip_high < 0:
        raise InputError(f"pairwise_gradient: bounds are {clip_low} and {clip_high}; give at least 0")
    ratio = batch.log_ratio(level).exp()
    near = ratio.clamp(1 - clip_low, 1 + clip_high)
    both = torch.cat([difference, -difference]).detach().to(ratio.dtype) / 2
    at = pairs.T.reshape(-1)
    # min(w d, clip(w) d) is linear in d of one sign: all wins of a completion are one sum, all its losses another
    ahead, behind = (sum_by(part, at, batch.n)[batch.owner] for part in (both.clamp(min=0), both.clamp(max=0)))
    loss = -torch.minimum(ratio, near) * ahead - torch.maximum(ratio, near) * behind
    return Surrogate.of(
        loss, ratio, low=(ratio < 1 - clip_low) & (behind < 0), high=(ratio > 1 + clip_high) & (ahead > 0)
    )


def constrained_preference_loss(
    logp: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int,
    pairs: Int[Tensor, "m 2"], *, beta: float = 0.1, likelihood: float = 0.1,
) -> Float[Tensor, ""]:  # fmt: skip
    """CODPO: sum over pairs of `-log sigmoid(beta (x+ - x-)) - likelihood * logp(y+) / |y+|`.

    The second term keeps the likelihood of what is allowed from falling together with that of what is not, which DPO
    alone permits.

    Args:
        logp: (t,) of the tokens under the policy; carries the gradient.
        ref_logp: (t,) under the reference.
        owner: int64 (t,).
        n: completions.
        pairs: (m, 2) better and worse, from `shaping.constraints.contrast_allowed`.
        beta: reward units per nat.
        likelihood: weight of the second term, at least 0.

    Returns:
        The sum; divide by the pairs of the step.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if an index or a number is out of range.

    Source: Xu et al. 2024, "The Perfect Blend" (CGPO), section 4 [62].
    """
    if not logp.shape == ref_logp.shape == owner.shape:
        raise ShapeError(
            f"constrained_preference_loss: {tuple(logp.shape)}, {tuple(ref_logp.shape)} and {tuple(owner.shape)}; give "
            "(t,) each"
        )
    if not likelihood >= 0:
        raise InputError(f"constrained_preference_loss: likelihood is {likelihood}; give a weight of at least 0")
    check_owner("constrained_preference_loss", owner, n)
    _check_pairs("constrained_preference_loss", pairs, n)
    lengths = torch.bincount(owner, minlength=n).clamp(min=1).to(logp.dtype)
    mean = sum_by(logp, owner, n) / lengths
    return implicit_dpo(sum_by(logp - ref_logp, owner, n), pairs, beta=beta) - likelihood * mean[pairs[:, 0]].sum()


def codpo_pairs(
    batch: TokenBatch, *, group: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"], beta: float = 0.1,
    likelihood: float = 0.1,
) -> Surrogate:  # fmt: skip
    """`constrained_preference_loss` of the pair of each group, an equal part of it on each token of both completions.

    With `sequence-sum` weights the step's loss is the mean over its pairs.

    Args:
        batch: the tokens; the better completion of a group has advantages above 0, the worse one below, as
            `ContrastAllowed` gives them. Others take no part.
        group: (t,) number of the prompt of each token.
        ref_logp: (t,) under the reference, nats.
        beta: reward units per nat.
        likelihood: weight of the better completion's mean log-probability, at least 0.

    Returns:
        A loss a token; 0 for completions without a partner.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if a group has several better or several worse completions, or a number is out of range.

    Source: Xu et al. 2024, "The Perfect Blend" (CGPO), section 4 [62].
    """
    if not group.shape == ref_logp.shape == batch.logp.shape:
        raise ShapeError(f"codpo_pairs: {tuple(group.shape)} groups and {tuple(ref_logp.shape)}; give (t,) both")
    pairs = _partners(batch, group)
    found = batch.logp.new_zeros(batch.n)
    for better, worse in pairs:  # of a micro-batch: a few
        pair = torch.tensor([[better, worse]], device=batch.logp.device)
        loss = constrained_preference_loss(
            batch.logp, ref_logp, batch.owner, batch.n, pair, beta=beta, likelihood=likelihood
        )
        found = found.index_add(0, pair[0], loss.expand(2))
    part = found / batch.lengths.clamp(min=1).to(found.dtype)
    return Surrogate.of(part[batch.owner], batch.log_ratio().exp())


def _partners(batch: TokenBatch, group: Tensor) -> list[tuple[int, int]]:
    """Better and worse completion of each group that has both."""
    sides: dict[float, dict[bool, int]] = {}
    standing = batch.mean_by(batch.advantage).tolist()
    label = group.new_zeros(batch.n).index_copy(0, batch.owner, group).tolist()
    for i, (at, advantage, length) in enumerate(zip(label, standing, batch.lengths.tolist(), strict=True)):
        if not advantage or not length:
            continue
        if (advantage > 0) in sides.setdefault(at, {}):
            raise InputError("codpo_pairs: a group has several better or several worse completions; give one of each")
        sides[at][advantage > 0] = i
    return [(found[True], found[False]) for found in sides.values() if len(found) == 2]


def _check_pairs(who: str, pairs: Int[Tensor, "m 2"], n: int) -> None:
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ShapeError(f"{who}: pairs have shape {tuple(pairs.shape)}; give (m, 2)")
    if pairs.numel() and (int(pairs.min()) < 0 or int(pairs.max()) >= n):
        raise InputError(f"{who}: pairs name completions {int(pairs.min())} to {int(pairs.max())} of {n}")
