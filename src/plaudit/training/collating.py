"""From groups to the plain dictionaries that a data loader may pickle and a trainer may move to a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.engine.engine import padded_batches
from plaudit.engine.planning import plan_rows
from plaudit.engine.tree import PrefixTree
from plaudit.training.groups import Group
from plaudit.training.methods import Item

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collator:
    """Packs the groups of a step into rows.

    Attributes:
        budget: distinct tokens a row (padded tokens a batch where trees are not used).
        tree: whether the model runs on prefix trees.
        pad_id: fills padded batches.
        item: what the loss is a mean over: pairs (by their weights), lists, or sequences that have a value (or a
            rated aspect).
        prompts: whether the head is read at the ends of prompts too.
    """

    budget: int = 8192
    tree: bool = True
    pad_id: int = 0
    item: Item = "pair"
    prompts: bool = False

    def __call__(self, groups: Sequence[Group]) -> Batch:
        """One step: `rows` (each a dictionary of tensors) and `n_items`, the weight of all items together."""
        rows = self._tree_rows(groups) if self.tree else self._padded_rows(groups)
        total = float(sum(items_of(g, self.item) for g in groups))
        return {"rows": rows, "n_items": torch.tensor(total, dtype=torch.float64)}

    def _tree_rows(self, groups: Sequence[Group]) -> list[dict[str, Tensor]]:
        rows = []
        for row in plan_rows([g.sequences for g in groups], budget=self.budget):
            found = {**tree_tensors(row.tree), **labels_of([groups[g] for g in row.groups])}
            if self.prompts:
                lengths = [n for g in row.groups for n in groups[g].prompts]
                found["prompt_positions"] = torch.from_numpy(row.tree.prompt_positions(lengths))
            rows.append(found)
        return rows

    def _padded_rows(self, groups: Sequence[Group]) -> list[dict[str, Tensor]]:
        """Rectangles of whole groups, since the sequences of a pair must meet in one forward call.

        Groups of like length share a rectangle; one that is larger than the budget gets its own.
        """
        parts: list[list[Group]] = []
        for group in sorted(groups, key=_longest):  # ascending, so the newcomer sets the width
            together = [*parts[-1], group] if parts else [group]
            if parts and _longest(group) * sum(len(g.sequences) for g in together) <= self.budget:
                parts[-1] = together
            else:
                parts.append([group])
        return [self._rectangle(part) for part in parts]

    def _rectangle(self, groups: Sequence[Group]) -> dict[str, Tensor]:
        sequences = [s for g in groups for s in g.sequences]
        area = max(s.size for s in sequences) * len(sequences)
        batch = next(padded_batches(sequences, budget=area, pad_id=self.pad_id, device="cpu"))
        where = np.argsort(batch.members)  # the batch is sorted by length; labels count in the groups' order
        found = {
            "input_ids": batch.input_ids, "attention_mask": batch.attention_mask,
            "leaf_positions": batch.last[torch.from_numpy(where)], **labels_of(groups),
        }  # fmt: skip
        if self.prompts:
            lengths = np.array([n for g in groups for n in g.prompts])
            found["prompt_positions"] = batch.prompt_ends(lengths[batch.members])[torch.from_numpy(where)]
        return found


def tree_tensors(tree: PrefixTree) -> dict[str, Tensor]:
    """The tensors of a packed row."""
    return {
        "input_ids": torch.from_numpy(tree.input_ids.astype(np.int64)),
        "position_ids": torch.from_numpy(tree.position_ids),
        "segments": torch.from_numpy(tree.segments),
        "leaf_positions": torch.from_numpy(tree.leaf_positions),
    }


def items_of(group: Group, item: Item) -> float:
    """Weight of a group's items: what the loss of a step is divided by, summed over its groups."""
    if item == "pair":
        return float(group.weight.sum())
    if item == "list":
        return 1.0
    if group.aspects is not None:  # ratings of completions
        return float(np.isfinite(group.aspects).any(axis=1).sum())
    return 0.0 if group.values is None else float(np.isfinite(group.values).sum())


def _longest(group: Group) -> int:
    return max(int(s.size) for s in group.sequences)


def labels_of(groups: Sequence[Group]) -> dict[str, Tensor]:
    """What a loss reads of groups whose sequences are numbered through in their order."""
    shift = np.concatenate([[0], np.cumsum([len(g.sequences) for g in groups])])[:-1]
    better = np.concatenate([g.better + s for g, s in zip(groups, shift, strict=True)])
    worse = np.concatenate([g.worse + s for g, s in zip(groups, shift, strict=True)])
    return {
        "pairs": torch.from_numpy(np.stack([better, worse], axis=1)),
        "margin": torch.from_numpy(np.concatenate([g.margin for g in groups])),
        "weight": torch.from_numpy(np.concatenate([g.weight for g in groups])),
        "group": torch.from_numpy(np.repeat(np.arange(len(groups)), [len(g.sequences) for g in groups])),
        "values": torch.from_numpy(np.concatenate([_values(g) for g in groups])),
        **{name: torch.from_numpy(np.concatenate([g.columns[name] for g in groups])) for name in groups[0].columns},
        **_aspects(groups),
    }


def _aspects(groups: Sequence[Group]) -> dict[str, Tensor]:
    """Ratings of the aspects, (n, k), where the fit reads them."""
    found = [g.aspects for g in groups if g.aspects is not None]
    return {"aspects": torch.from_numpy(np.concatenate(found))} if found else {}


def _values(group: Group) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A number a sequence, NaN where there is none."""
    if group.values is None:
        return np.full(len(group.sequences), np.nan, dtype=np.float32)
    return group.values
