"""How much the last token of a text attends to each token before it: one row of attention, never the square of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.engine import attention
from plaudit.errors import InputError, UnsupportedError


@torch.no_grad()
def last_attention(model: Any, ids: Sequence[int]) -> Float[np.ndarray, " t"]:
    """Attention of the last token to every token, itself included: the mean over heads and layers, adding up to 1.

    A layer with a window sees its window; what a sink takes is missing from the sum. The forward pass is the plain one.

    Args:
        model: whose attention is Plaudit's (`plaudit.engine.engine.open_gate` opened it), in whatever mode.
        ids: one text, at least one token.

    Returns:
        (t,), float64.

    Raises:
        InputError: if there is no token.
        UnsupportedError: if the model's attention is another, which gives no weights.
    """
    if not len(ids):
        raise InputError("last_attention: there are no tokens; give at least one")
    if model.config._attn_implementation != attention.NAME:
        raise UnsupportedError(
            f"last_attention: the model's attention is {model.config._attn_implementation}; only Plaudit's tells its "
            "weights, which the model's family does not take (see plaudit.engine.gate)"
        )
    device = next(model.parameters()).device
    text = torch.tensor([list(map(int, ids))], device=device)
    rows: list[Tensor] = []
    training = model.training
    model.eval()
    try:
        model(input_ids=text, use_cache=False, attended=rows)
    finally:
        model.train(training)
    if not rows:
        raise UnsupportedError(
            "last_attention: no layer told its weights; the model does not hand arguments on to them"
        )
    return np.asarray(torch.stack([row.double().cpu() for row in rows]).mean(dim=0).numpy())
