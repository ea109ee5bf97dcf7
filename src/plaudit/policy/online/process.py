"""PRIME's implicit process reward model, fitted to outcomes on each batch that the policy samples [198].

One forward pass of the model over a batch serves both: its log-probabilities less those of the starting policy are the
batch's token rewards, then its gradient is followed. The rewards are thus those of the model before the batch.

Differs from the paper: the reference is always the frozen start, and the learning rate is constant, as in its code.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.engine.vocabulary import install_logp_head
from plaudit.policy.losses.implicit import implicit_reward_loss
from plaudit.policy.online.method import Process
from plaudit.policy.online.packing import row_tokens
from plaudit.policy.online.reading import in_order, placed

WEIGHTS, OPTIMISER = "process.safetensors", "process.pt"
"""What a checkpoint keeps of the model and of its optimiser."""


@final
class ProcessModel:
    """A copy of the starting policy whose log-ratio to it is fitted to outcomes.

    Args:
        start: the starting policy; it is copied.
        options: how it is fitted.
        device: where it runs.
    """

    def __init__(self, start: Any, options: Process, device: Any) -> None:
        self.model = copy.deepcopy(start).eval().requires_grad_(True).to(device)
        install_logp_head(self.model)
        self.options, self.device = options, device
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=options.process_rate, weight_decay=0.0)

    def learnt(
        self, rows: Iterable[Mapping[str, Any]], *, known: int,
        precision: Callable[[], AbstractContextManager[Any]],
    ) -> tuple[NDArray[np.float64], float]:  # fmt: skip
        """The log-probabilities of a batch's tokens before an update on it, and the loss that the update lowered.

        Args:
            rows: of indexed completions with columns `ref_logp` and `outcome` (NaN where there is none).
            known: completions whose outcome is known; without any, nothing is learnt.
            precision: the context of the forward pass.

        Returns:
            (t,) in the order of the completions, nats; the mean cross-entropy, NaN where nothing is known.
        """
        index, logps, total = [], [], 0.0
        for packed in rows:
            row = placed(packed, self.device)
            with precision():
                logp = row_tokens(self.model, row, entropy=False).logp
            outcome = logp.new_full((int(row["count"]),), float("nan"))
            outcome[row["owner"]] = row["outcome"].to(logp.dtype)
            ref = row["ref_logp"].to(logp.dtype)
            loss = implicit_reward_loss(logp, ref, row["owner"], len(outcome), outcome, beta=self.options.beta)
            if known:
                (loss / known).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            logps.append(logp.detach().double().cpu().numpy())
            index.append(packed["index"].numpy())
        if known:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.process_norm)
            self.optimiser.step()
        self.optimiser.zero_grad()
        return in_order(index, logps), total / known if known else float("nan")

    def save(self, folder: Path) -> None:
        """Weights and optimiser into a checkpoint's folder."""
        from safetensors.torch import save_model

        save_model(self.model, str(folder / WEIGHTS))
        torch.save(self.optimiser.state_dict(), folder / OPTIMISER)

    def load(self, folder: Path) -> None:
        """What `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / WEIGHTS), device=str(self.device))
        self.optimiser.load_state_dict(torch.load(folder / OPTIMISER, map_location=self.device, weights_only=True))


__all__ = ["ProcessModel"]
