"""Losses over the pairs of a row."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from plaudit.training.objectives.pairs.dynamic import dynamic_bradley_terry
from plaudit.training.objectives.pairs.logistic import bradley_terry


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
