"""The plan of a packed row, as it travels through a model: a keyword argument, never a global.

A global plan gave silently wrong gradients under gradient checkpointing, where the forward pass runs again
during the backward pass, when the global already belongs to the next row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from plaudit.engine.blocks import Indices, Layout, layout_of
from plaudit.engine.tree import PrefixTree


@dataclass(frozen=True, eq=False)
class TreePlan:
    """Who attends to whom in one packed row.

    Attributes:
        segments: int64 (s, 4), see `PrefixTree.segments`.
        position_ids: int64 (t,), depth of each token, on the model's device.
        mode: `fast` (a call for each long segment and one for short segments of like shape; FlexAttention on
            accelerators), or `dense` (one call with the whole ancestor mask: slow, and what the fast path is tested
            against).
    """

    segments: Tensor
    position_ids: Tensor
    mode: str = "fast"
    blocks: dict[tuple[str, int | None], Any] = field(default_factory=dict, repr=False)
    """Block masks made for this plan, one a window: layers share them."""
    _layouts: dict[tuple[int | None, int], Layout] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, tree: PrefixTree, *, device: torch.device | str = "cpu", mode: str = "fast") -> Self:
        """The plan of a tree, with its positions on `device`."""
        return cls(torch.from_numpy(tree.segments), torch.from_numpy(tree.position_ids).to(device), mode)

    @cached_property
    def paths(self) -> tuple[Indices, ...]:
        """For each segment the row indices of its ancestors' tokens, from the root down, and of its own."""
        paths: list[Indices] = []
        for start, stop, parent, _ in self.segments.tolist():
            own = np.arange(start, stop)
            paths.append(own if parent < 0 else np.concatenate([paths[parent], own]))
        return tuple(paths)

    def layout(self, window: int | None = None, *, width: int) -> Layout:
        """Which segments are attended to together, by window and numbers in a key: layers share it."""
        if (window, width) not in self._layouts:
            sizes = (self.segments[:, 1] - self.segments[:, 0]).tolist()
            paths: Sequence[Indices] = self.paths
            if window is not None:
                paths = [path[-(size + window - 1) :] for path, size in zip(paths, sizes, strict=True)]
            device = self.position_ids.device
            self._layouts[window, width] = layout_of(paths, sizes, window=window, width=width, device=device)
        return self._layouts[window, width]

    @cached_property
    def ends(self) -> Tensor:
        """For each token the row index where its segment's subtree ends, int64 (t,), on the plan's device."""
        lengths = self.segments[:, 1] - self.segments[:, 0]
        return torch.repeat_interleave(self.segments[:, 3], lengths).to(self.position_ids.device)

    def visible(self, window: int | None = None) -> Tensor:
        """The whole ancestor mask, bool (t, t): True where row token q (first axis) attends to k."""
        at = torch.arange(self.ends.numel(), device=self.ends.device)
        allowed = (at[None, :] <= at[:, None]) & (at[:, None] < self.ends[None, :])
        if window is not None:
            allowed &= self.position_ids[:, None] - self.position_ids[None, :] < window
        return allowed
