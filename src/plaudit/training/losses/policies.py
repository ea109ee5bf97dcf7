"""Losses over a row of a causal language model: outputs are each sequence's summed log-probability, (n, 1).

A collated row holds, besides the pairs, `reference` (n,), the same sums under the reference model; `wanted` (n,), 1, 0
or NaN where there is no label; and `mismatched` (n,), True for a completion of another prompt.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from plaudit.training.objectives.policies.likelihood import autoregressive_loss
from plaudit.training.objectives.policies.outcome import implicit_ce, implicit_kto
from plaudit.training.objectives.policies.preference import implicit_dpo, implicit_nca
from plaudit.training.objectives.policies.word import yes_no_loss


def log_ratio(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Sum over tokens of log pi - log pi_ref of each sequence."""
    return outputs[:, 0] - row["reference"].to(outputs.dtype)


def _labelled(row: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    items = row["wanted"].isfinite().nonzero()[:, 0]
    return items, row["wanted"][items]


def ce(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float) -> Tensor:
    """Cross-entropy of outcome labels."""
    items, labels = _labelled(row)
    return implicit_ce(log_ratio(outputs, row), items=items, labels=labels, beta=beta)


def kto(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float, desirable: float, undesirable: float) -> Tensor:
    """KTO, with the mean log-ratio of the row's mismatched completions as the baseline."""
    ratio = log_ratio(outputs, row)
    other = ratio[row["mismatched"]]
    baseline = other.mean() if other.numel() else ratio.new_zeros(())
    items, labels = _labelled(row)
    return implicit_kto(
        ratio, items=items, labels=labels, baseline=baseline, beta=beta, desirable=desirable, undesirable=undesirable
    )


def dpo(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float) -> Tensor:
    """DPO over the row's pairs."""
    return implicit_dpo(log_ratio(outputs, row), row["pairs"], beta=beta, weight=row["weight"])


def nca(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float) -> Tensor:
    """NCA over the row's pairs."""
    return implicit_nca(log_ratio(outputs, row), row["pairs"], beta=beta, weight=row["weight"])


def autoregressive(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float) -> Tensor:
    """Differences of log-likelihoods over the row's pairs."""
    return autoregressive_loss(outputs[:, 0], row["pairs"], beta=beta, weight=row["weight"])


def word(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy of the two words; each sequence is a question that ends with one of them."""
    return yes_no_loss(outputs[:, 0], row["pairs"], weight=row["weight"])
