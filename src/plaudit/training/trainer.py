"""`transformers.Trainer` over groups: what is ours is how a step runs its rows and divides its sums.

Accelerate, FSDP, precision, trackers, checkpoints and the hub come with the Trainer. A step's loss is a sum
over its rows divided by the weight of all items in the whole step (over accumulation and processes), so that eight
steps of one group accumulated equal one step of eight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from plaudit.engine.engine import has_read_head
from plaudit.engine.heads import reading
from plaudit.engine.plan import TreePlan

Objective = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""`(outputs (n, k), row) -> sum over the row's items`; the row holds the labels, as `Collator` makes them.

The trainer adds `progress`, the share of training that is done, and `head`, the head's parameters, for objectives that
weigh their terms by gradients."""

Outputs = Callable[[nn.Module, dict[str, Tensor]], Tensor]
"""`(model, row) -> outputs (n, k)`: one forward call of the (wrapped) model over a collated row."""


def row_outputs(model: nn.Module, row: dict[str, Tensor]) -> Tensor:
    """Head outputs at the leaves of one collated row, (n, k): one forward call of the (wrapped) model."""
    if "segments" in row:
        plan = TreePlan(row["segments"].cpu(), row["position_ids"])
        width = row["input_ids"].shape[0]
        inputs: dict[str, Any] = {
            "input_ids": row["input_ids"][None],
            "position_ids": row["position_ids"][None],
            "attention_mask": torch.empty(1, 1, width, 0, device=row["input_ids"].device),
            "tree_plan": plan,
            "use_cache": False,
        }
    else:
        inputs = {"input_ids": row["input_ids"], "attention_mask": row["attention_mask"]}
        if not has_read_head(model):  # an encoder: its own classification output, a row each
            plain: Tensor = model(**inputs).logits
            return plain.index_select(0, row["leaf_positions"] // row["input_ids"].shape[1]).float()
        inputs["use_cache"] = False
    with reading(row["leaf_positions"], row.get("prompt_positions")):
        logits: Tensor = model(**inputs).logits
    return logits[0].float().reshape(len(row["leaf_positions"]), -1)


def head_parameters(model: nn.Module) -> list[Tensor]:
    """The trained parameters of the `score` slot, whatever the model is wrapped in; none where it has no such slot."""
    return [p for name, p in model.named_parameters() if p.requires_grad and "score" in name.split(".")]


def rate_at(step: int, *, warmup: int, steps: int) -> float:
    """The share of the learning rate that a step has: `(step + 1) / (warmup + 1)`, then half a cosine from 1 to 0.

    Differs from transformers' own schedule, whose warm-up begins at 0: a fit of one step would learn nothing, and of
    every online run the first batch would be sampled and judged for nothing.

    Args:
        step: from 0 on.
        warmup: steps of it.
        steps: of the whole fit.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))))


class RewardTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
    """Fits a reward model to groups. The batch size counts groups.

    Args:
        objective: sum over the items of a row, see `Objective`.
        outputs: runs a row; by default the head is read at its leaves.
        **kwargs: what `transformers.Trainer` takes; the data collator must be a `Collator`.
    """

    def __init__(self, *, objective: Objective, outputs: Outputs = row_outputs, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.objective, self.outputs = objective, outputs
        self.distinct_tokens = 0
        """Tokens that this process ran forward and backward."""

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The micro-batches of one step, and the weight of their items summed over processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        total = torch.stack([b["n_items"] for b in batches]).sum().to(device)
        if self.accelerator.num_processes > 1:
            total = self.accelerator.gather(total.reshape(1).float()).sum()
        return batches, total

    lr_scheduler: Any

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """A linear warm-up that does not begin at 0, then a cosine to 0: see `rate_at`."""
        if self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            rate = partial(rate_at, warmup=warmup, steps=num_training_steps)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward over the rows of one micro-batch.

        Returns:
            This micro-batch's share of the step's mean loss, times the number of processes: added over micro-batches
            and averaged over processes, as the Trainer does, shares give that mean.
        """
        model.train()
        inputs = self._prepare_inputs(inputs)
        items = float(inputs["n_items"] if num_items_in_batch is None else num_items_in_batch)
        # data-parallel wrappers average gradients over processes; the division by all items already is the average
        scale = self.accelerator.num_processes / items
        total = torch.zeros((), device=self.args.device)
        done = torch.tensor(self.state.global_step / max(self.state.max_steps, 1))
        head = head_parameters(model)
        for row in inputs["rows"]:
            row["progress"], row["head"] = done, head
            with self.compute_loss_context_manager():
                loss = scale * self.objective(self.outputs(model, row), row)
            self.accelerator.backward(loss)
            total += loss.detach()
            self.distinct_tokens += int(row["input_ids"].numel())
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Six operations a parameter and token: forward and backward, attention left out."""
        tokens = sum(int(row["input_ids"].numel()) for row in inputs["rows"])
        return 6 * tokens * int(sum(p.numel() for p in self.model.parameters()))
