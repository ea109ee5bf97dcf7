"""OREAL's token reward model: a score a token, fitted to outcomes on what the policy samples [24].

The state in which a token has just been read gives its score s_t by a linear head; the outcome is predicted by the
mean of a completion's scores. One forward pass over a batch gives its scores, then its gradient is followed: what a
token counts in the policy's loss is what the model believed before the batch.

Differs from the paper: the head begins at 0, so that a token counts nothing until something has been learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plaudit.engine.values import install_value_head, remove_value_head, save_value_head, value_head
from plaudit.engine.vocabulary import Wanted, reading_tokens
from plaudit.policy.losses.outcomes import outcome_score_loss
from plaudit.policy.online.beside import Beside
from plaudit.policy.online.method import Tokens
from plaudit.policy.saving import save_policy
from plaudit.training.policies.packing import row_inputs

HEAD = "token_head.safetensors"
"""The linear head beside the saved model."""


@final
class TokenModel:
    """A copy of the starting policy that scores each token of a completion by what it says of the outcome.

    Args:
        start: the starting policy; it is copied.
        options: how it is fitted.
        device: where it runs.

    Raises:
        UnsupportedError: if the model alters what its last layer gives, so that states cannot be read there.
    """

    def __init__(self, start: Any, options: Tokens, device: Any) -> None:
        self.beside = Beside(
            start, install_value_head, name="token_model", rate=options.token_rate, norm=options.token_norm,
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
        """The scores of a batch's tokens before an update on it, and the loss that the update lowered.

        Args:
            rows: of indexed completions with a column `outcome` (1 right, 0 wrong, NaN not known).
            known: completions whose outcome is known; without any, nothing is learnt.
            precision: the context of the forward pass.

        Returns:
            (t,) logits in the order of the completions; the mean cross-entropy, NaN where nothing is known.
        """
        return self.beside.learnt(rows, self.scores, self._loss, known=known, precision=precision)

    def _loss(self, score: Tensor, row: Mapping[str, Any], outcome: Tensor) -> Tensor:
        return outcome_score_loss(score, row["owner"], len(outcome), outcome).sum()

    def scores(self, row: Mapping[str, Any]) -> Tensor:
        """Logits (t,) of a packed row's counted tokens, in the order of `owner`; a token that is shared is read once.

        Args:
            row: from `rows_of`, on the model's device.
        """
        none = row["after"][:0]
        with reading_tokens(Wanted(row["after"], none, none, saying=True)):
            states: Tensor = self.model(**row_inputs(row)).logits[0]
        head = value_head(self.model)
        assert head is not None
        found: Tensor = head(states)
        return found.index_select(0, row["edge"])

    def save(self, folder: Path) -> None:
        """Weights and optimiser into a checkpoint's folder."""
        self.beside.save(folder)

    def load(self, folder: Path) -> None:
        """What `save` wrote."""
        self.beside.load(folder)

    def publish(self, tokenizer: Any, folder: Path, record: Mapping[str, Any]) -> None:
        """The model as a folder of transformers, its head beside it as `token_head.safetensors`; trained no further."""
        head = value_head(self.model)
        assert head is not None
        remove_value_head(self.model)
        save_policy(self.model, tokenizer, folder, {**record, "role": "token reward model"})
        save_value_head(head, folder / HEAD)


__all__ = ["TokenModel"]
