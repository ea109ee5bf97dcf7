"""The likeliest next token of each position, without the logits of a whole batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHUNK = 2**23
"""Logits that are held at a time: 32 MiB in float32."""


@torch.no_grad()
def chunked_best(states: Tensor, weight: Tensor, bias: Tensor | None, *, chunk: int = CHUNK) -> Tensor:
    """`argmax(states @ weight.T + bias)` of each state, int64 (s,); a constant.

    Args:
        states: (s, h), hidden states.
        weight: (v, h).
        bias: (v,), or None.
        chunk: logits held at a time; at least those of one state are.
    """
    rows = max(1, chunk // weight.shape[0])
    weight, bias = weight.to(states.dtype), None if bias is None else bias.to(states.dtype)
    parts = [
        nn.functional.linear(states[first : first + rows], weight, bias).argmax(-1)
        for first in range(0, len(states), rows)
    ]
    return torch.cat(parts) if parts else states.new_zeros(0, dtype=torch.long)


__all__ = ["chunked_best"]
