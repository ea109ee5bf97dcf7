"""An algorithm as the trainer's objective: the sum of its losses over a row, and what is watched meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plaudit._lazy import attribute
from plaudit.policy.algorithms import NamedAlgorithm
from plaudit.policy.offline.step import StepFunction
from plaudit.policy.offline.view import View

WATCHED = (
    "pairs", "margin", "right", "chosen", "chosen_reward", "chosen_logp", "chosen_tokens", "rejected",
    "rejected_reward", "rejected_logp", "rejected_tokens", "kl", "kl_tokens",
)  # fmt: skip
"""Sums that are kept over the rows of a step: of pairs, of chosen (or wanted) and rejected (unwanted) completions."""


class Alignment:
    """`(logps (t,), row) -> sum over the row's items`, as `plaudit.training.trainer.Objective`; it adds up `watched`.

    Args:
        named: the algorithm with its options.
    """

    def __init__(self, named: NamedAlgorithm) -> None:
        self.named = named
        self.watched = torch.zeros(len(WATCHED), dtype=torch.float64)
        self._loss = attribute(named.algorithm.loss)
        self.step: StepFunction | None = attribute(named.algorithm.step) if named.algorithm.step else None

    def __call__(self, outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
        """The sum of the losses; a step's statistics that the row does not bring are made from the row alone."""
        view = self.view(outputs, row)
        if self.step is not None and not any(name in row for name in self.named.algorithm.reads):
            view.row = {**row, **self.step([self.view(outputs.detach(), row)])[0]}
        found = self._loss(*(view[name] for name in self.named.algorithm.reads), **self.named.loss_options)
        total: Tensor = found.sum()
        coefficient = self.named.options.get("nll_coef", 0.0)
        if coefficient:
            # a mean over the tokens of the step, where the sum is later divided by the items of the step
            total = total - coefficient * row["token_share"].to(total.dtype) * view["chosen_whole"].sum()
        self._watch(view)
        return total

    def view(self, logps: Tensor, row: Mapping[str, Tensor]) -> View:
        """What the loss reads of a row."""
        return View(logps, row, length_alpha=self.named.options.get("length_alpha", 1.0))

    def drained(self) -> Tensor:
        """The sums since the last call, in the order of `WATCHED`."""
        found, self.watched = self.watched, torch.zeros_like(self.watched)
        return found

    @torch.no_grad()
    def _watch(self, view: View) -> None:
        found = dict.fromkeys(WATCHED, 0.0)
        beta = float(self.named.options.get("beta", 1.0))
        reward = beta * self._implicit(view)
        margin = reward[view.better] - reward[view.worse]
        found |= {"pairs": len(margin), "margin": float(margin.sum()), "right": float((margin > 0).sum())}
        logp, tokens = view.sums(view.logps), view.row["tokens"]
        for side, which in zip(("chosen", "rejected"), self._members(view), strict=True):
            found[side] = which.numel()
            found[f"{side}_reward"] = float(reward[which].sum())
            found[f"{side}_logp"], found[f"{side}_tokens"] = float(logp[which].sum()), float(tokens[which].sum())
        if view.divergence is not None:  # the whole distribution was looked at
            found["kl"], found["kl_tokens"] = float(view.divergence.sum()), view.logps.numel()
        elif self.named.algorithm.reference:
            ratio = view.differences[self._answers(view)]
            found["kl"], found["kl_tokens"] = float((torch.expm1(ratio) - ratio).sum()), ratio.numel()
        self.watched += torch.tensor([float(found[name]) for name in WATCHED], dtype=torch.float64)

    def _answers(self, view: View) -> Tensor:
        """Which counted tokens are of a completion, (t,), and not of an answer about two of them."""
        if not self.named.algorithm.judge:
            return torch.ones_like(view.logps, dtype=torch.bool)
        sides = torch.zeros(len(view.row["wanted"]), dtype=torch.bool, device=view.logps.device)
        sides[view.row["pairs"].reshape(-1)] = True
        return sides[view.row["owner"]]

    def _members(self, view: View) -> tuple[Tensor, Tensor]:
        """Sequences that count as chosen and as rejected: sides of pairs, or wanted and unwanted ones."""
        if self.named.algorithm.item == "pair":
            return view.better, view.worse
        wanted = view.row["wanted"]
        if self.named.algorithm.weighted:  # a share is no label: all are shown, some of them less often
            return wanted.isfinite().nonzero()[:, 0], wanted.new_zeros(0, dtype=torch.int64)
        return (wanted > 0.5).nonzero()[:, 0], (wanted <= 0.5).nonzero()[:, 0]

    def _implicit(self, view: View) -> Tensor:
        """What the policy's reward is of each sequence, (n,), beta left out."""
        kind = self.named.algorithm.implicit
        sums = view.sums(view.differences if kind.endswith("ratio") else view.logps)
        return sums / view.row["tokens"] if kind.startswith("mean") else sums


def told(sums: Tensor, *, reference: bool) -> dict[str, float]:
    """What is written of a step, from the sums over it.

    Args:
        sums: in the order of `WATCHED`.
        reference: whether there is one, so that a divergence from it is defined.

    Returns:
        `margin` and `accuracy` over pairs; `chosen_reward` and `rejected_reward`; `chosen_logp` and `rejected_logp`, in
        nats a token; `kl`, in nats a token: what KL(reference, policy) would be if the reference had written the data,
        `mean(pi / pi_ref - 1 - log(pi / pi_ref))`, which is at least 0; of an anchored algorithm KL(reference, policy)
        itself, over the vocabulary. What there is nothing of is left out.
    """
    s = dict(zip(WATCHED, sums.tolist(), strict=True))
    found: dict[str, float] = {}
    if s["pairs"]:
        found |= {"margin": s["margin"] / s["pairs"], "accuracy": s["right"] / s["pairs"]}
    for side in ("chosen", "rejected"):
        if s[side]:
            found[f"{side}_reward"] = s[f"{side}_reward"] / s[side]
            found[f"{side}_logp"] = s[f"{side}_logp"] / s[f"{side}_tokens"]
    if reference and s["kl_tokens"]:
        found["kl"] = s["kl"] / s["kl_tokens"]
    return found
