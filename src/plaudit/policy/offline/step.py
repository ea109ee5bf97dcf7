"""What must be known of a whole step before its parts are run: baselines and partners, over rows and processes.

A function takes the step's rows, each as a `View` of what the policy says now, and returns for each the columns that
its loss reads. Nothing in them has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from plaudit.policy.offline.losses.transport import aot_partners
from plaudit.policy.offline.view import View

StepFunction = Callable[[Sequence[View]], list[dict[str, Tensor]]]


def baseline(views: Sequence[View]) -> list[dict[str, Tensor]]:
    """KTO's baseline: the mean log-ratio of the step's completions of other prompts, at least 0; 0 without any."""
    ratios = torch.cat([view.sums(view.differences)[view.row["mismatched"]] for view in views])
    mean = ratios.mean().clamp(min=0) if ratios.numel() else ratios.new_zeros(())
    return [{"baseline": mean} for _ in views]


def paired_partners(views: Sequence[View]) -> list[dict[str, Tensor]]:
    """For each pair the reference's margin of the same rank, see `aot_paired`."""
    found = aot_partners(
        _all(views, "chosen_logp", "rejected_logp"), _all(views, "chosen_reference", "rejected_reference")
    )
    return [{"partner": part} for part in torch.split(found, _sizes(views))]


def unpaired_partners(views: Sequence[View]) -> list[dict[str, Tensor]]:
    """For each side of a pair the log-ratio of the other sides' same rank, see `aot_unpaired`."""
    chosen, rejected = _all(views, "chosen_ratio"), _all(views, "rejected_ratio")
    first = torch.split(aot_partners(chosen, rejected), _sizes(views))
    second = torch.split(aot_partners(rejected, chosen), _sizes(views))
    return [{"chosen_partner": a, "rejected_partner": b} for a, b in zip(first, second, strict=True)]


def _all(views: Sequence[View], name: str, less: str = "") -> Tensor:
    return torch.cat([view[name] - view[less] if less else view[name] for view in views])


def _sizes(views: Sequence[View]) -> list[int]:
    return [len(view.better) for view in views]
