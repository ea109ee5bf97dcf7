"""The meta step of MetaRM in a training run: gradients are taken where a shifted policy is told apart better [13].

A step goes from `theta` up the mean `score_spread` of a batch of the shifted policy's completions, takes the gradient
of the ordinary loss there, puts `theta` back bit by bit, and leaves that gradient to the optimiser: what
`meta_gradients` computes for functions of the weights, here for a trained module.

Differs from the paper: nothing in the formulas. The rate is not scaled with the learning rate, which falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from plaudit.engine.sharding import check_undivided
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.training.config import FitConfig
from plaudit.training.groups import Group
from plaudit.training.methods import chosen
from plaudit.training.objectives.pairs.meta import score_spread
from plaudit.training.shifted import turn
from plaudit.training.trainer import RewardTrainer

SCORED_FIRST = ("scalar", "first")
"""Kinds of head whose first output is the score: what the meta step can tell apart."""


def check_meta(config: FitConfig, shifted: Sequence[Sample]) -> None:
    """A meta step needs a rate, samples, and a head one of whose outputs is the score; none of them may be ignored.

    Raises:
        InputError: naming what is missing.
    """
    if not config.meta_rate and shifted:
        raise InputError("shifted: samples of a shifted policy have no effect without meta_rate; set it (1e-3)")
    if not config.meta_rate:
        return
    if not shifted:
        raise InputError(
            f"meta_rate is {config.meta_rate}, and there are no samples of a shifted policy; "
            "give them (--shifted FILE), or leave meta_rate out"
        )
    kind = chosen(config.objective).head.kind
    if kind not in SCORED_FIRST:
        raise InputError(
            f"meta_rate: the head of {config.objective} is of the kind {kind}, none of whose outputs is the score; "
            "leave meta_rate out, or use an objective with one score such as bradley-terry"
        )


class MetaTrainer(RewardTrainer):
    """A `RewardTrainer` whose steps begin with a meta step.

    Once a step, not once a micro-batch: eight steps of one group accumulated equal one step of eight.

    Args:
        shifted: groups of the shifted policy's completions. A step takes as many as it may have groups of its own, over
            accumulation and processes.
        meta_rate: size of the meta step, above 0 (the paper's eta).
        **kwargs: what `RewardTrainer` takes.

    Raises:
        UnsupportedError: where the weights are divided among processes: a meta step needs them whole.
    """

    def __init__(self, *, shifted: Sequence[Group], meta_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shifted, self.meta_rate = list(shifted), meta_rate
        self._left = 0
        self._kept: dict[str, Tensor] = {}
        check_undivided(self.accelerator, "meta_rate", "a meta step")

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The micro-batches of one step; how many there are says when the weights come back."""
        batches, total = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._left = len(batches)
        return batches, total

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """As `RewardTrainer.training_step`, at the weights of the meta step.

        Returns:
            Its share of the step's mean loss, which is that at the meta step's weights.
        """
        model.train()
        if not self._kept:
            self._ascend(model)
        share = super().training_step(model, inputs, num_items_in_batch)
        self._left -= 1
        if self._left <= 0:
            self._come_back(model)
        return share

    def _ascend(self, model: nn.Module) -> None:
        """Moves the weights by `meta_rate` times the gradient of the mean spread, and keeps what they were."""
        upward = self._upward(model)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in upward:
                    self._kept[name] = weight.detach().clone()
                    weight.add_(upward[name].to(weight.dtype), alpha=self.meta_rate)

    def _come_back(self, model: nn.Module) -> None:
        # copied, not subtracted: adding and taking away again would round
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in self._kept:
                    weight.copy_(self._kept[name])
        self._kept = {}

    def _upward(self, model: nn.Module) -> dict[str, Tensor]:
        """Gradient by name of the mean over the batch's prompts of `score_spread`, alike in all processes."""
        many, place = self.accelerator.num_processes, self.accelerator.process_index
        own = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        taken = turn(self.state.global_step, n=len(self.shifted), size=own * many, seed=self.args.seed)
        batch = self._prepare_inputs(self.data_collator([self.shifted[i] for i in taken[place * own :][:own]]))
        for row in batch["rows"]:
            with self.compute_loss_context_manager():
                scores = self.outputs(model, row)[:, 0]
                spread = score_spread(scores, _lists(row["group"])) / own
            self.accelerator.backward(spread)
            self.distinct_tokens += int(row["input_ids"].numel())
        found = {}
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                # within accumulation a wrapper does not average; where it did, the mean of equal numbers is theirs
                found[name] = self.accelerator.reduce(weight.grad, "mean") if many > 1 else weight.grad
                weight.grad = None
        return found


def _lists(group: Tensor) -> list[Tensor]:
    """The sequences of each group of a row."""
    return [torch.nonzero(group == i).flatten() for i in torch.unique(group)]
