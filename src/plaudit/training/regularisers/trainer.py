"""A training run whose weights or penalty are those of whole steps, however a step is packed or accumulated.

A group's mean loss, and a dependence on attributes, are no sums over pairs: computed row by row they would change with
the packing, and in a row of one pair they do not exist. So each step looks ahead: all of its rows are run without
gradients, the weights w_i, or the penalty P and its slopes `dP/dd_i`, are computed from all margins d, and then the
rows are trained on with

    w_i * loss_i,        or        loss_i + n * (dP/dd_i) * d_i

whose gradient, summed over rows and divided by the step's n items, is that of the weighted loss, or of mean loss and P.
Eight steps of one group accumulated therefore equal one step of eight, to rounding. The price is a second forward pass.

Differs from the papers: they use the mini-batch at hand. Here that is the optimiser's batch, over all processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plaudit.training.regularisers.naming import Fair
from plaudit.training.trainer import Objective, RewardTrainer, row_outputs


def fair_objective(outputs: Tensor, row: Mapping[str, Tensor], *, objective: Objective) -> Tensor:
    """The objective under the step's weights, plus this row's part of the step's penalty.

    Args:
        outputs: (n, k), the first of which is the score.
        row: collated, with `fair_weight` and `fair_slope` (m,), and `fair_value`, the row's share of the penalty; a row
            without them is that of the objective.
        objective: the loss without the regulariser.
    """
    if "fair_slope" not in row:
        return objective(outputs, row)
    found = objective(outputs, {**row, "weight": row["weight"] * row["fair_weight"]})
    margin = margins(outputs, row)
    # the value is the penalty's, the gradient its slope's: the loss that is logged is the one that is minimised
    return found + (row["fair_slope"] * (margin - margin.detach())).sum() + row["fair_value"]


def margins(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Score of chosen minus rejected, a number a pair."""
    return outputs[row["pairs"][:, 0], 0] - outputs[row["pairs"][:, 1], 0]


class FairTrainer(RewardTrainer):
    """A `RewardTrainer` whose steps look ahead; its objective must be a `fair_objective`.

    Args:
        fair: the regulariser.
        **kwargs: what `RewardTrainer` takes.
    """

    def __init__(self, *, fair: Fair, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fair = fair
        self._ahead: list[dict[str, Any]] = []

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The micro-batches of one step, which are looked at before the first of them is trained on."""
        batches, total = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._ahead = list(batches)
        return batches, total

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """As `RewardTrainer.training_step`, with the weights and slopes of the whole step.

        Returns:
            Its share of the step's loss, penalty included.
        """
        if self._ahead:
            items = float(sum(b["n_items"] for b in self._ahead) if num_items_in_batch is None else num_items_in_batch)
            self._look(model, [row for batch in self._ahead for row in batch["rows"]], items)
            self._ahead = []
        return super().training_step(model, inputs, num_items_in_batch)

    def _look(self, model: nn.Module, rows: Sequence[dict[str, Any]], items: float) -> None:
        """Runs all rows without gradients, and writes into each what the whole step says of its pairs."""
        model.train()
        found, sizes = [], []
        with torch.no_grad():
            for row in rows:
                there = self._prepare_inputs(dict(row))
                with self.compute_loss_context_manager():
                    margin = margins(row_outputs(model, there), there).float()
                found.append(torch.stack([margin, there["weight"].float(), *self._columns(there)]))
                sizes.append(margin.numel())
        own = torch.cat(found, dim=1)
        every, start = self._everywhere(own)
        weight, slope, value = self._said(every)
        at, many = start, every.shape[1]
        for row, n in zip(rows, sizes, strict=True):
            row["fair_weight"] = weight[at : at + n].to(row["weight"].device)
            row["fair_slope"] = items * slope[at : at + n].to(row["weight"].device)
            row["fair_value"] = torch.tensor(items * value * n / max(many, 1), device=row["weight"].device)
            at += n

    def _names(self, row: Mapping[str, Any]) -> list[str]:
        return sorted(name for name in row if name.startswith("fair_") and name not in WRITTEN)

    def _columns(self, row: Mapping[str, Tensor]) -> list[Tensor]:
        self._order = self._names(row)
        return [row[name].float() for name in self._order]

    def _everywhere(self, own: Tensor) -> tuple[Tensor, int]:
        """The numbers of all processes' pairs, one after the other, and where those of this one begin."""
        if self.accelerator.num_processes == 1:
            return own, 0
        size = self.accelerator.gather(torch.tensor([own.shape[1]], device=own.device))
        wide = torch.nn.functional.pad(own, (0, int(size.max()) - own.shape[1]))
        parts = self.accelerator.gather(wide[None])
        place = self.accelerator.process_index
        return torch.cat([p[:, : int(n)] for p, n in zip(parts, size, strict=True)], dim=1), int(size[:place].sum())

    def _said(self, every: Tensor) -> tuple[Tensor, Tensor, float]:
        """Weights, slopes and value of the penalty, from all pairs of the step; in float64, since means cancel."""
        numbers = every.double()
        margin, own = numbers[0].requires_grad_(), numbers[1]
        columns = dict(zip(self._order, numbers[2:], strict=True))
        with torch.enable_grad():
            weights = self.fair.weights(margin, own, columns)
            if weights is not None:
                return weights.detach().float(), torch.zeros_like(every[0]), 0.0
            penalty = self.fair.penalty(margin, columns)
            (slope,) = torch.autograd.grad(penalty, margin)
        return torch.ones_like(every[0]), slope.float(), float(penalty.detach())


WRITTEN = ("fair_weight", "fair_slope", "fair_value")
"""What a look ahead writes into a row."""
