"""From the completions of prompts to rows: each prompt, and each beginning that completions share, is run once.

A row carries numbers for its counted tokens by name (`old_logp`, `advantage`, `weight`, ...), flat, one completion
after another, as the losses take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.engine.engine import padded_batches
from plaudit.engine.planning import plan_rows
from plaudit.engine.tree import Ids, Index
from plaudit.training.collating import tree_tensors
from plaudit.training.policies.packing import TokenOutputs, edges_of, row_tokens

EVEN = "even"
"""The column of `token` weights, by which entropies count whatever the weights of the policy's loss are."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The completions of one prompt that an update learns from.

    Attributes:
        prompt: token ids, at least one.
        completions: token ids of each, at least one token each.
        columns: name to one number a token of each completion.
    """

    prompt: tuple[int, ...]
    completions: tuple[tuple[int, ...], ...]
    columns: Mapping[str, Sequence[NDArray[Any]]] = field(default_factory=dict)

    @property
    def sequences(self) -> list[Ids]:
        """Each completion behind its prompt."""
        return [np.array([*self.prompt, *c], dtype=np.int32) for c in self.completions]

    @property
    def counted(self) -> list[Index]:
        """For each sequence the positions of the completion's tokens."""
        n = len(self.prompt)
        return [np.arange(n, n + len(c)) for c in self.completions]


def rows_of(
    groups: Sequence[Learned], *, budget: int, tree: bool, pad_id: int, temperature: float = 1.0
) -> list[dict[str, Any]]:
    """Packs groups into rows; a group is never divided.

    Args:
        groups: at least one completion each.
        budget: distinct tokens a row (padded tokens a rectangle).
        tree: whether the model runs on prefix trees.
        pad_id: fills rectangles.
        temperature: of the log-probabilities.

    Returns:
        Dictionaries of tensors; `owner` (t,) says whose each counted token is, `count` how many completions there are.
    """
    rows = _tree_rows(groups, budget) if tree else _rectangles(groups, budget, pad_id)
    for row in rows:
        row["temperature"] = temperature
    return rows


def _tree_rows(groups: Sequence[Learned], budget: int) -> list[dict[str, Any]]:
    found = []
    for row in plan_rows([g.sequences for g in groups], budget=budget):
        mine = [groups[g] for g in row.groups]
        counted = [c for g in mine for c in g.counted]
        places = [row.tree.positions(i) for i in range(len(counted))]
        before = [p[c - 1] for p, c in zip(places, counted, strict=True)]
        after = [p[c] for p, c in zip(places, counted, strict=True)]
        tensors = {k: v for k, v in tree_tensors(row.tree).items() if k != "leaf_positions"}
        found.append({**tensors, **edges_of(before, after), **_columns(mine)})
    return found


def _rectangles(groups: Sequence[Learned], budget: int, pad_id: int) -> list[dict[str, Any]]:
    """Rectangles of whole groups of like length; one that is larger than the budget gets its own."""
    parts: list[list[Learned]] = []
    for group in sorted(groups, key=_longest):  # ascending, so the newcomer sets the width
        together = [*parts[-1], group] if parts else [group]
        if parts and _longest(group) * sum(len(g.completions) for g in together) <= budget:
            parts[-1] = together
        else:
            parts.append([group])
    return [_rectangle(part, pad_id) for part in parts]


def _rectangle(groups: Sequence[Learned], pad_id: int) -> dict[str, Any]:
    sequences = [s for g in groups for s in g.sequences]
    counted = [c for g in groups for c in g.counted]
    width = max(s.size for s in sequences)
    batch = next(padded_batches(sequences, budget=width * len(sequences), pad_id=pad_id, device="cpu"))
    line = np.argsort(batch.members)  # the batch is sorted by length
    after = [int(at) * width + c for at, c in zip(line, counted, strict=True)]
    tensors = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**tensors, **edges_of([a - 1 for a in after], after), **_columns(groups)}


def _columns(groups: Sequence[Learned]) -> dict[str, Any]:
    found: dict[str, Any] = {"count": sum(len(g.completions) for g in groups)}
    for name in groups[0].columns:
        flat = np.concatenate([np.asarray(part, dtype=np.float32) for g in groups for part in g.columns[name]])
        found[name] = torch.from_numpy(flat)
    return found


def _longest(group: Learned) -> int:
    return len(group.prompt) + max(len(c) for c in group.completions)


__all__ = ["EVEN", "Learned", "TokenOutputs", "row_tokens", "rows_of"]
