"""PRIME's implicit process reward model, fitted to outcomes on each batch that the policy samples [198].

One forward pass of the model over a batch serves both: its log-probabilities less those of the starting policy are the
batch's token rewards, then its gradient is followed. The rewards are thus those of the model before the batch.

Differs from the paper: the reference is always the frozen start, and the learning rate is constant, as in its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plaudit.engine.vocabulary import install_logp_head
from plaudit.policy.losses.implicit import implicit_reward_loss
from plaudit.policy.online.beside import Beside
from plaudit.policy.online.method import Process
from plaudit.policy.online.packing import row_tokens


@final
class ProcessModel:
    """A copy of the starting policy whose log-ratio to it is fitted to outcomes.

    Args:
        start: the starting policy; it is copied.
        options: how it is fitted.
        device: where it runs.
    """

    def __init__(self, start: Any, options: Process, device: Any) -> None:
        self.beside = Beside(
            start, install_logp_head, name="process", rate=options.process_rate, norm=options.process_norm,
            device=device,
        )  # fmt: skip
        self.options, self.device = options, device

    @property
    def model(self) -> Any:
        """The copy, as it is now."""
        return self.beside.model

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
        return self.beside.learnt(
            rows,
            lambda row: row_tokens(self.model, row, entropy=False).logp,
            self._loss,
            known=known,
            precision=precision,
        )

    def _loss(self, logp: Tensor, row: Mapping[str, Any], outcome: Tensor) -> Tensor:
        ref = row["ref_logp"].to(logp.dtype)
        return implicit_reward_loss(logp, ref, row["owner"], len(outcome), outcome, beta=self.options.beta)

    def save(self, folder: Path) -> None:
        """Weights and optimiser into a checkpoint's folder."""
        self.beside.save(folder)

    def load(self, folder: Path) -> None:
        """What `save` wrote."""
        self.beside.load(folder)


__all__ = ["ProcessModel"]
