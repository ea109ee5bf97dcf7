"""A copy of the starting policy that is fitted beside the policy, with an optimiser of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaudit.policy.online.reading import in_order, placed

Read = Callable[[Mapping[str, Any]], Tensor]
Loss = Callable[[Tensor, Mapping[str, Any], Tensor], Tensor]


@final
class Beside:
    """A trained copy, and what a checkpoint keeps of it.

    Args:
        start: the starting policy; it is copied.
        prepare: what is put on the copy before its optimiser is made.
        name: of the files in a checkpoint: `NAME.safetensors` and `NAME.pt`.
        rate: of AdamW, constant.
        norm: gradients are scaled down to it.
        device: where it runs.
    """

    def __init__(
        self, start: Any, prepare: Callable[[Any], object], *, name: str, rate: float, norm: float, device: Any
    ) -> None:  # fmt: skip
        self.model = copy.deepcopy(start).eval().requires_grad_(True).to(device)
        prepare(self.model)
        self.name, self.norm, self.device = name, norm, device
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.0)

    def learnt(
        self, rows: Iterable[Mapping[str, Any]], read: Read, loss: Loss, *, known: int,
        precision: Callable[[], AbstractContextManager[Any]],
    ) -> tuple[NDArray[np.float64], float]:  # fmt: skip
        """What the model says of a batch's tokens before an update on it, and the loss that the update lowered.

        Args:
            rows: of indexed completions with a column `outcome` (1 right, 0 wrong, NaN not known).
            read: a row to a number a token (t,), which carries the gradient.
            loss: these, the row, and the outcome of each of its completions, to their summed loss.
            known: completions whose outcome is known; without any, nothing is learnt.
            precision: the context of the forward pass.

        Returns:
            (t,) in the order of the completions; the mean loss, NaN where nothing is known.
        """
        index, told, total = [], [], 0.0
        for packed in rows:
            row = placed(packed, self.device)
            with precision():
                value = read(row)
            outcome = value.new_full((int(row["count"]),), float("nan"))
            outcome[row["owner"]] = row["outcome"].to(value.dtype)
            part = loss(value, row, outcome)
            if known:
                (part / known).backward()  # type: ignore[no-untyped-call]
            total += float(part.detach())
            told.append(value.detach().double().cpu().numpy())
            index.append(packed["index"].numpy())
        self._step(known)
        return in_order(index, told), total / known if known else float("nan")

    def _step(self, known: int) -> None:
        """Follows the gradient that the model has; where nothing is known there is none, and nothing moves."""
        if known:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.norm)
            self.optimiser.step()
        self.optimiser.zero_grad()

    def save(self, folder: Path) -> None:
        """Weights and optimiser into a checkpoint's folder."""
        from safetensors.torch import save_model

        save_model(self.model, str(folder / f"{self.name}.safetensors"))
        torch.save(self.optimiser.state_dict(), folder / f"{self.name}.pt")

    def load(self, folder: Path) -> None:
        """What `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / f"{self.name}.safetensors"), device=str(self.device))
        kept = torch.load(folder / f"{self.name}.pt", map_location=self.device, weights_only=True)
        self.optimiser.load_state_dict(kept)


__all__ = ["Beside"]
