"""Whether the members of an ensemble still agree on what a policy writes once it has been optimised [148].

Policies at a growing distance from the start are best-of-n policies over one pool of candidates a prompt: the pool is
dealt at random into sets of n, and what is picked from each set is one sample of the policy.

Differs from the paper: best-of-n in place of policies trained by reinforcement learning, so that one pool serves for
all distances. The KL that is reported is the upper bound `log n - (n - 1) / n`, loose where candidates are duplicates;
it is not the measured KL of a trained policy. Agreement at every n is measured among equally many samples of a prompt,
because a rank correlation of few samples is smaller than that of many.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.strata import without_interval
from plaudit.search.best_of_n import kl_best_of_n_bound
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True, slots=True)
class DisagreementCurve:
    """Agreement of an ensemble's members on the samples of best-of-n policies, one entry an n.

    Attributes:
        ns: the n's, ascending.
        kl_bound: upper bound on the KL from the start, nats.
        agreement: rank correlation of two members within prompts, the mean over all pairs of members; -1 to 1.
        samples: of a prompt, among which ranks are compared.
    """

    ns: tuple[int, ...]
    kl_bound: tuple[float, ...]
    agreement: tuple[Estimate, ...]
    samples: int


def disagreement_curve(
    members: Float[np.ndarray, "k p c"],
    *,
    ns: Sequence[int] = (1, 2, 4, 8, 16),
    by: Float[np.ndarray, "p c"] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> DisagreementCurve:
    """Rank correlation of members within prompts, under growing optimisation.

    For two members a, b with ranks among a prompt's samples, centred: `sum ab / sqrt(sum aa sum bb)`, over all prompts.

    Selecting by what the members say lowers their agreement even where their errors stay as they are: of two that add
    up to much, one is high where the other is low. Selecting `by` a judge of its own shows what is left without that.

    Args:
        members: scores of k members, p prompts, c candidates of the start policy; a shift by member and prompt is free.
        ns: sizes of best-of-n; the largest leaves at least two samples a prompt. 1 is the start.
        by: what picks the best; by default the members' mean, each centred within prompts.
        seed: of the dealing and of the bootstrap over prompts.
        resamples: of the bootstrap.

    Returns:
        The curve. Agreement is NaN where a member ranks nothing in any prompt.

    Raises:
        ShapeError: if `members` is not (k, p, c) or `by` is not (p, c).
        InputError: if there are fewer than two members, a score is not finite, or an n is too large.

    Source: Eisenstein et al. 2023, "Helping or Herding? Reward Model Ensembles Mitigate but do not Eliminate Reward
        Hacking" [148].
    """
    chosen_by = _checked(members, by)
    sizes = sorted(set(ns))
    most = members.shape[2] // max(sizes, default=1)
    if not sizes or sizes[0] < 1 or most < 2:
        raise InputError(
            f"disagreement_curve: ns is {list(ns)} for {members.shape[2]} candidates; "
            "give sizes of at least 1, the largest at most half of the candidates"
        )
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(members.shape[2]), (members.shape[1], 1)), axis=1)
    agreement = [
        _agreement(np.take_along_axis(members, _picked(chosen_by, order, n)[None], axis=2), most, seed, resamples)
        for n in sizes
    ]
    return DisagreementCurve(tuple(sizes), tuple(map(kl_best_of_n_bound, sizes)), tuple(agreement), most)


def _checked(members: np.ndarray, by: np.ndarray | None) -> np.ndarray:
    if members.ndim != 3 or (by is not None and by.shape != members.shape[1:]):
        shape = None if by is None else by.shape
        raise ShapeError(f"disagreement_curve: members is {members.shape} and by {shape}; give (k, p, c) and (p, c)")
    if members.shape[0] < 2:
        raise InputError(f"disagreement_curve: {members.shape[0]} members; agreement needs at least 2")
    if not np.isfinite(members).all() or (by is not None and not np.isfinite(by).all()):
        raise InputError("disagreement_curve: a score is not finite; leave out candidates that a member cannot judge")
    return (members - members.mean(axis=2, keepdims=True)).mean(axis=0) if by is None else by


def _picked(by: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Candidates that are picked, (p, c // n): the best of each set of n neighbours in the order."""
    sets = order[:, : order.shape[1] // n * n].reshape(len(order), -1, n)
    best = np.take_along_axis(by[:, None, :].repeat(sets.shape[1], axis=1), sets, axis=2).argmax(axis=2)
    return np.take_along_axis(sets, best[:, :, None], axis=2)[:, :, 0]


def _agreement(samples: np.ndarray, most: int, seed: int, resamples: int) -> Estimate:
    """Mean over pairs of members of their correlation of ranks among `most` samples, (k, p, s) of them."""
    k, p, s = samples.shape
    rounds = samples[:, :, : s // most * most].reshape(k, p, -1, most)
    ranks = rankdata(rounds, axis=3) - (most + 1) / 2  # average ranks have this mean, with ties too
    sums = [(ranks[a] * ranks[b]).sum(axis=(1, 2)) for a, b in itertools.combinations_with_replacement(range(k), 2)]
    place = {pair: i for i, pair in enumerate(itertools.combinations_with_replacement(range(k), 2))}

    def mean(t: np.ndarray) -> np.ndarray:
        found = [
            t[:, place[a, b]] / np.sqrt(t[:, place[a, a]] * t[:, place[b, b]])
            for a, b in itertools.combinations(range(k), 2)
        ]
        return np.asarray(np.mean(found, axis=0))

    return without_interval(bootstrap_totals(mean, sums, np.arange(p), seed=seed, resamples=resamples))
