"""From easy to hard in every epoch: the curriculum of collaborative reward models [112].

When an epoch begins, the mean lead of chosen over rejected under all heads says how easy each group is; the epoch runs
through them from the largest to the smallest (`easy_first`). The first epoch is in random order: weights that nothing
has been learned by tell nothing of what is easy. All orders are kept with the checkpoints, so that a run which was
killed goes on in the middle of its newest checkpoint's epoch, also where a later one had begun.

Differs from the paper: the first epoch, as said; and a list of several completions counts by the mean of its pairs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from plaudit.engine.sharding import check_undivided
from plaudit.runs.atomic import write_text
from plaudit.training.objectives.pairs.cotraining import easy_first
from plaudit.training.trainer import RewardTrainer


class CurriculumTrainer(RewardTrainer):
    """A `RewardTrainer` whose epochs run from easy groups to hard ones.

    Args:
        scores: from the sequences of all groups to the head's outputs, (sequences, heads): each is one model's score.
        folder: where the orders of epochs are kept.
        key: hash of configuration and data: another key's order is not used.
        **kwargs: what `RewardTrainer` takes.

    Raises:
        UnsupportedError: where the weights are divided among processes.
    """

    def __init__(self, *, scores: Callable[..., Tensor], folder: Path, key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._scores, self._file, self._key = scores, folder / "order.json", key
        check_undivided(self.accelerator, "easy_first", "the curriculum")

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        del train_dataset
        return _Ordered(len(self.train_dataset), self.order)

    def order(self) -> list[int]:
        """Indices of the groups in the order of the epoch that the next step belongs to."""
        batches = -(-len(self.train_dataset) // (self.args.train_batch_size * self.args.world_size))
        epoch = self.state.global_step // -(-batches // self.args.gradient_accumulation_steps)
        if not epoch:
            generator = torch.Generator().manual_seed(self.args.seed)
            return torch.randperm(len(self.train_dataset), generator=generator).tolist()
        kept = _read(self._file)
        orders: dict[str, list[int]] = kept.get("orders", {}) if kept.get("key") == self._key else {}
        if str(epoch) not in orders:
            orders[str(epoch)] = easy_first(self._leads()).tolist()
            if self.is_world_process_zero():
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_text(self._file, json.dumps({"key": self._key, "orders": orders}))
        return orders[str(epoch)]

    def _leads(self) -> Tensor:
        """Mean lead of each group's pairs under each head, (heads, groups)."""
        groups, training = self.train_dataset, self.model.training
        self.model.eval()
        with torch.inference_mode():
            outputs = self._scores([g.sequences for g in groups]).double().cpu()
        self.model.train(training)
        found, first = [], 0
        for group in groups:
            own = outputs[first : first + len(group.sequences)]
            found.append((own[group.better] - own[group.worse]).mean(dim=0))
            first += len(group.sequences)
        return torch.stack(found, dim=1)


class _Ordered(Sampler[int]):
    """Indices in an order that is asked for anew in each epoch."""

    def __init__(self, size: int, order: Callable[[], list[int]]) -> None:
        self._size, self._order = size, order

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        return iter(self._order())


def _read(path: Path) -> dict[str, Any]:
    """What a file holds; nothing where there is none."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
