"""A comparison out of a reward model that has learned how common ties are: better, worse, or no difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from scipy.special import expit, softmax

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, PreferenceBatch
from plaudit.rewards.models import ModelReward
from plaudit.rewards.preferences import check_sides

Shares = tuple[Floats, Floats]
"""Probability that the first is better, and of a tie, each (n,)."""


def rao_kupper_shares(lead: Floats, constant: Floats) -> Shares:
    """`sigmoid(d - h)` and what `sigmoid(-d - h)` leaves, the threshold being `h = softplus(constant)`.

    Args:
        lead: score of the first less that of the second, in the head's own unit (n,).
        constant: the head's second output (n,), the same for every sample.
    """
    width = np.logaddexp(0, constant)
    first, second = expit(lead - width), expit(-lead - width)
    return first, np.maximum(1 - first - second, 0.0)


def davidson_shares(lead: Floats, constant: Floats) -> Shares:
    """The first and the third of `softmax(d / 2, -d / 2, constant)`; as `rao_kupper_shares`."""
    shares = softmax(np.stack([lead / 2, -lead / 2, constant], axis=1), axis=1)
    return shares[:, 0], shares[:, 2]


MODELS: Mapping[str, Callable[[Floats, Floats], Shares]] = {
    "davidson": davidson_shares,
    "rao-kupper": rao_kupper_shares,
}


@final
class TieComparison:
    """P(the first is better) and P(tie) from a model that was trained with ties.

    `probability` counts a tie half, `tie` is that of no difference: the first is better with
    `probability - tie / 2`, the second with the rest. A pair whose outputs are not finite is an instrument fault.

    Args:
        core: trained with the objective `rao-kupper` or `davidson`.

    Raises:
        InputError: if it was trained with another; from the call, if the sides differ in number or a pair has
            different prompts.

    Source: Rao and Kupper 1967; Davidson 1970.
    """

    def __init__(self, core: ModelReward) -> None:
        objective = core.manifest.objective.partition("?")[0]
        if objective not in MODELS:
            raise InputError(
                f"compare/ties: {core.name} was trained with {objective or 'no objective that is known'}; ties are "
                "learned by rao-kupper and davidson"
            )
        self.core, self.shares = core, MODELS[objective]
        self.name = f"{core.name}-ties"

    @property
    def fingerprint(self) -> str:
        """The model's, as a comparison."""
        return content_hash(["ties", self.core.fingerprint])

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Compares pairs; both sides are scored in one call, so that pairs of a prompt are truncated alike."""
        check_sides(self.name, first, second)
        if not first:
            return PreferenceBatch(np.zeros(0), np.zeros(0, dtype=np.int8), tie=np.zeros(0))
        outputs = np.asarray(self.core.outputs([*first, *second])[0], dtype=np.float64)
        n = len(first)
        lead = outputs[:n, 0] - outputs[n:, 0]
        finite = np.isfinite(lead) & np.isfinite(outputs[:n, 1])
        better, tie = self.shares(np.where(finite, lead, 0.0), np.where(finite, outputs[:n, 1], 0.0))
        return PreferenceBatch(
            np.where(finite, better + tie / 2, np.nan),
            np.where(finite, Outcome.SCORED, Outcome.INSTRUMENT_FAULT).astype(np.int8),
            tie=np.where(finite, tie, np.nan),
            detail=tuple(
                {"lead": float(d)} if ok else {"error": f"the lead is {d}: the model's activations overflowed"}
                for d, ok in zip(lead, finite, strict=True)
            ),
        )


def open_ties(of: str | Mapping[str, Any]) -> TieComparison:
    """`compare/ties`: a tie-aware reward model as a comparison.

    Args:
        of: reference of its model folder.

    Raises:
        InputError: if it is no model folder of ours, or was trained without ties.
    """
    from plaudit.rewards.registry import load

    reward = load(of)
    if not isinstance(reward, ModelReward):
        raise InputError(f"compare/ties: {of} is no reward model; give a folder that plaudit train wrote")
    return TieComparison(reward)
