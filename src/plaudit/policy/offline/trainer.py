"""The trainer of direct alignment: what a whole step must know is found before its parts are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from plaudit.policy.offline.objective import Alignment, told
from plaudit.training.trainer import RewardTrainer


class AlignTrainer(RewardTrainer):
    """A `RewardTrainer` whose objective is an `Alignment`.

    A loss with two denominators (pairs, and the tokens of chosen) and one that sorts or averages over a step is the
    same however the step is divided into rows, micro-batches and processes: both numbers are made for the step first.
    """

    objective: Alignment

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """As the parent's; every row is given `token_share`, and what its loss must know of the step."""
        batches, total = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, total
        tokens = torch.stack([b["n_tokens"] for b in batches]).sum().to(device)
        if self.accelerator.num_processes > 1:
            tokens = self.accelerator.gather(tokens.reshape(1).float()).sum()
        rows = [row for b in batches for row in b["rows"]]
        share = (total / tokens.clamp(min=1)).float().cpu()
        for row in rows:
            row["token_share"] = share
        # a step that is one row finds its own statistics in its only forward call
        if self.objective.step is not None and (len(rows) > 1 or self.accelerator.num_processes > 1):
            self._tell(rows)
        return batches, total

    @torch.no_grad()
    def _tell(self, rows: Sequence[dict[str, Tensor]]) -> None:
        """Runs the step's rows without gradients, and gives each what its loss must know of all of them."""
        assert self.objective.step is not None
        seen = []
        for row in rows:
            with self.compute_loss_context_manager():
                logps = self.outputs(self.model_wrapped, self._prepare_inputs(dict(row)))
            seen.append((logps.cpu(), {name: part for name, part in row.items() if name not in _INPUTS}))
            self.distinct_tokens += int(row["input_ids"].numel())
        mine = slice(0, len(seen))
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object  # type: ignore[import-untyped]

            counts = gather_object([len(seen)])
            before = sum(counts[: self.accelerator.process_index])
            mine, seen = slice(before, before + len(seen)), gather_object(seen)
        columns = self.objective.step([self.objective.view(logps, row) for logps, row in seen])
        for row, found in zip(rows, columns[mine], strict=True):
            row.update(found)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds what was watched in the step, over all processes, to what the parent writes."""
        if "loss" in logs:
            sums = self.objective.drained()
            if self.accelerator.num_processes > 1:
                gathered = self.accelerator.gather(sums.float()[None].to(self.args.device))
                sums = gathered.double().sum(0).cpu()
            used = self.objective.named.algorithm
            logs |= told(sums, reference=used.reference or used.anchor)
        super().log(logs, start_time)


_INPUTS = ("input_ids", "attention_mask", "position_ids", "segments", "sources", "column", "after", "edge")
