"""Losses over the pairs of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.rewards.readers.head import Head
from plaudit.training.objectives.pairs.checking import check_number
from plaudit.training.objectives.pairs.convex import convex_bradley_terry
from plaudit.training.objectives.pairs.cotraining import dropped_share, peer_selection
from plaudit.training.objectives.pairs.dynamic import dynamic_bradley_terry
from plaudit.training.objectives.pairs.gap import demonstration_gap
from plaudit.training.objectives.pairs.internal import self_consistent_preference
from plaudit.training.objectives.pairs.judgements import judgement_weights
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.soft import soft_bradley_terry
from plaudit.training.objectives.pairs.strength import combined_strength, margin_regression, scaled_bradley_terry
from plaudit.training.objectives.pairs.thurstone import thurstone_pairs
from plaudit.training.objectives.pairs.ties import davidson, rao_kupper


def logistic(
    outputs: Tensor, row: Mapping[str, Tensor], *, margin_scale: float = 0.0, label_smoothing: float = 0.0,
    center_coef: float = 0.0,
) -> Tensor:  # fmt: skip
    """Bradley-Terry on the first output; with a margin scale above 0 the rows' margins shift the difference."""
    margin = row["margin"] * margin_scale if margin_scale else None
    return bradley_terry(
        outputs[:, 0], row["pairs"], margin=margin, weight=row["weight"], label_smoothing=label_smoothing,
        center_coef=center_coef,
    )  # fmt: skip


def dynamic(outputs: Tensor, row: Mapping[str, Tensor], *, scale: float, boost: float, rate: float) -> Tensor:
    """Bradley-Terry that is the steeper, the larger the row's margin; without margins it is plain."""
    return dynamic_bradley_terry(
        outputs[:, 0], row["pairs"], margin=row["margin"], scale=scale, boost=boost, rate=rate, weight=row["weight"]
    )


def gap(outputs: Tensor, row: Mapping[str, Tensor], *, square_coef: float) -> Tensor:
    """The score of chosen (a demonstration) less that of rejected (a policy's sample), held by squares."""
    return demonstration_gap(outputs[:, 0], row["pairs"], square_coef=square_coef, weight=row["weight"])


def scaled(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Bradley-Terry in which a pair counts as often as its preference is strong."""
    return scaled_bradley_terry(outputs[:, 0], row["pairs"], strength=row["strength"], weight=row["weight"])


def strengths(outputs: Tensor, row: Mapping[str, Tensor], *, scale: float) -> Tensor:
    """Squared distance of the score difference and the strength."""
    return margin_regression(outputs[:, 0], row["pairs"], strength=row["strength"], scale=scale, weight=row["weight"])


def combined(outputs: Tensor, row: Mapping[str, Tensor], *, regression_coef: float, scale: float) -> Tensor:
    """Both: order by the first, size by the second."""
    return combined_strength(
        outputs[:, 0], row["pairs"], strength=row["strength"], regression_coef=regression_coef, scale=scale,
        weight=row["weight"],
    )  # fmt: skip


def soft(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy to the row's probability that chosen is better."""
    return soft_bradley_terry(outputs[:, 0], row["pairs"], target=row["preference"], weight=row["weight"])


def judged(outputs: Tensor, row: Mapping[str, Tensor], *, scale: float) -> Tensor:
    """Bradley-Terry in which a pair counts the less, the more its repeated judgements differ."""
    weight = row["weight"] * judgement_weights(row["spread"], scale=scale)
    return bradley_terry(outputs[:, 0], row["pairs"], weight=weight)


def mixed(outputs: Tensor, row: Mapping[str, Tensor], *, alpha: float) -> Tensor:
    """Bradley-Terry on convex combinations of two pairs each, their shares drawn from Beta(alpha, alpha).

    Partners are drawn within a packed row, the part of a step that is run at once: where a row holds one pair it is its
    own partner, which is plain Bradley-Terry, and eight rows of one pair are not one row of eight.
    """
    if not 0 < alpha < float("inf"):
        raise InputError(f"objective convex-bradley-terry: alpha is {alpha}; give a positive number")
    m, device = row["pairs"].shape[0], outputs.device
    # drawn from torch's own generator, whose state a checkpoint keeps: a resumed run mixes as an undisturbed one
    share = torch.distributions.Beta(alpha, alpha).sample((m,)).to(device)
    partner = torch.randperm(m).to(device)
    return convex_bradley_terry(
        outputs[:, 0], row["pairs"], partner=partner, share=torch.maximum(share, 1 - share), weight=row["weight"]
    )


def thurstone(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Thurstone's case II: each completion has a mean and a variance of its own."""
    return thurstone_pairs(outputs, row["pairs"], weight=row["weight"])


def tied_threshold(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Rao-Kupper with a learned threshold: the second output, the same for every sample."""
    return rao_kupper(
        outputs[:, 0], row["pairs"], tied=row["tied"] > 0.5, threshold=F.softplus(outputs[0, 1]), weight=row["weight"]
    )


def tied_share(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Davidson with a learned share of ties: the second output, the same for every sample."""
    return davidson(outputs[:, 0], row["pairs"], tied=row["tied"] > 0.5, log_tie=outputs[0, 1], weight=row["weight"])


def tie_head(**_: object) -> Head:
    """The score, and a number of the whole model that says how common ties are."""
    return Head("first", 2, network={"completion": 1, "constants": [0.0]})


def cotrained(
    outputs: Tensor, row: Mapping[str, Tensor], *, noise: float, ramp: float, easy_first: bool = False
) -> Tensor:
    """Two heads, each of which learns from the pairs that the other finds easy.

    What is left out is chosen within the row, the part of a step that is run at once: a row of so few pairs that none
    is left out (two, with a fifth) trains on all of them. The sum is scaled up to the weight of all pairs, so that a
    step's mean stays one over pairs that count.
    """
    del easy_first  # the order of an epoch: see `plaudit.training.curriculum`
    losses = [_losses(outputs[:, i], row["pairs"]) for i in (0, 1)]
    dropped = dropped_share(float(row["progress"]), noise=noise, ramp=ramp)
    kept = peer_selection(losses[0].detach(), losses[1].detach(), dropped=dropped)
    return (_scaled_up(losses[0], kept[0], row["weight"]) + _scaled_up(losses[1], kept[1], row["weight"])) / 2


def cotraining_head(*, noise: float, ramp: float, easy_first: bool) -> Head:
    """Two scores; the model's is their mean."""
    del easy_first
    check_number("objective cotraining", "noise", noise, low=0, high=1, within="[)")
    check_number("objective cotraining", "ramp", ramp, low=0, high=1)
    return Head("aspects", 2, {"names": ["first", "second"]})


def agreeing(outputs: Tensor, row: Mapping[str, Tensor], *, consistency_coef: float, entropy_coef: float) -> Tensor:
    """Two heads that learn from the labelled pairs, and on the others from each other.

    The heads share a backbone and begin apart, which is all that distinguishes their opinions: where a model has two
    rewards of unlike kinds (the paper's are a judge's and a policy's own), what they agree about says more.
    """
    labelled = row["labelled"] > 0.5
    pairs, weight = row["pairs"][labelled], row["weight"][labelled]
    known = torch.stack([bradley_terry(outputs[:, i], pairs, weight=weight) for i in (0, 1)]).mean()
    better, worse = row["pairs"][~labelled].unbind(dim=1)
    return known + self_consistent_preference(
        (outputs[better, :2] - outputs[worse, :2]).T, consistency_coef=consistency_coef, entropy_coef=entropy_coef,
        weight=row["weight"][~labelled],
    )  # fmt: skip


def agreeing_head(*, consistency_coef: float, entropy_coef: float) -> Head:
    """Two scores; the model's is their mean."""
    check_number("objective internal-agreement", "consistency_coef", consistency_coef, low=0)
    check_number("objective internal-agreement", "entropy_coef", entropy_coef, low=0)
    return Head("aspects", 2, {"names": ["first", "second"]})


def partly_labelled(rows: Sequence[Pair | Ranked]) -> Sequence[Pair | Ranked]:
    """The rows as they are.

    Raises:
        InputError: if all of them say `labelled: false`: two heads would learn to agree, and nothing about what; or if
            none does: there is nothing to agree about.
    """
    silent = sum(isinstance(row, Pair) and row.meta.get("labelled") is False for row in rows)
    if all(isinstance(row, Ranked) or row.meta.get("labelled", True) is True for row in rows):
        raise InputError(
            f"objective internal-agreement: none of the {len(rows)} rows has labelled false, and the two heads have "
            "nothing to agree about; say it of the pairs of which it is not known which is better, or use bradley-terry"
        )
    if silent == len(rows):
        raise InputError(
            f"objective internal-agreement: none of the {len(rows)} pairs is labelled; leave labelled out of those "
            "whose chosen completion is known to be better"
        )
    return rows


def _scaled_up(losses: Tensor, kept: Tensor, weight: Tensor) -> Tensor:
    """The mean loss of the pairs that are kept, times the weight of all; 0 where none is kept."""
    counted = weight * kept
    return (losses * counted).sum() * weight.sum() / counted.sum().clamp(min=torch.finfo(weight.dtype).tiny)


def _losses(scores: Tensor, pairs: Tensor) -> Tensor:
    return -F.logsigmoid(scores[pairs[:, 0]] - scores[pairs[:, 1]])
