"""The frozen policy that another one is held to over the whole vocabulary, step by step of training.

Log-probabilities of what was said can be kept on disk; a distribution over the vocabulary at every token cannot. So the
reference stays in memory and is run beside the policy, on the same rows: a forward pass a row. With adapters it is the
policy itself without them, and costs no memory.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, final

import torch
from torch import Tensor, nn

from plaudit.engine.vocabulary import install_logp_head, read_said
from plaudit.training.policies.packing import anchored_outputs, row_inputs


@final
class Anchor:
    """What runs a row of a policy that is anchored, as `plaudit.training.trainer.Outputs`.

    Args:
        reference: frozen, of the policy's vocabulary; None for the policy without its adapters.
    """

    def __init__(self, reference: nn.Module | None) -> None:
        self.reference = reference
        if reference is not None:
            reference.eval().requires_grad_(False)
            install_logp_head(reference)

    def __call__(self, model: Any, row: dict[str, Tensor]) -> Tensor:
        """(2, t): log-probability of each counted token, and the divergence from the reference where it was chosen."""
        inputs = row_inputs(row)
        inner: Any = getattr(model, "module", model)  # out of the wrapper of several processes
        if self.reference is not None:
            inner = self.reference.to(row["input_ids"].device)
        with inner.disable_adapter() if self.reference is None else nullcontext(), torch.no_grad():
            said = read_said(inner, inputs, row["sources"])
        return anchored_outputs(model, row, said)
