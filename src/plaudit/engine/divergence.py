"""The divergence of a language model from a frozen one over the whole vocabulary, never with all logits at once.

What a frozen model says at a few positions is kept as the states before its last layer (or, where its logits do not
come straight from there, as the logits themselves). The divergence is then made a few positions at a time, forward and
backward, beside the log-probabilities of the same forward call; see `plaudit.engine.vocabulary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plaudit.errors import InputError, ShapeError

CHUNK = 2**22
"""Logits of each of the two models that are held at a time: 16 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a frozen model says after each of s positions.

    Attributes:
        states: (s, h) before the last layer, or (s, v), its logits, where `weight` is None.
        weight: (v, h) of the last layer; None where states are logits.
        bias: (v,), or None.
    """

    states: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None

    def logits(self, first: int, last: int, wide: torch.dtype) -> Tensor:
        """Of the positions from first to last, (last - first, v)."""
        part = self.states[first:last]
        if self.weight is None:
            return part.to(wide)
        return nn.functional.linear(part, self.weight.to(part.dtype), _as(self.bias, part)).to(wide)

    @property
    def vocabulary(self) -> int:
        """Tokens that it tells apart."""
        return int(self.states.shape[1] if self.weight is None else self.weight.shape[0])


def divergence_from(logits: Tensor, other: Tensor) -> Tensor:
    """`KL(p0 || p) = sum_v p0_v (log p0_v - log p_v)` of each row, in nats, with gradients to `logits`.

    Args:
        logits: (s, v) of p.
        other: (s, v) of p0, constant.

    Returns:
        (s,), at least 0 up to rounding; infinite where p forbids what p0 allows, and a token that p0 forbids costs
        nothing.

    Raises:
        ShapeError: if the two differ.
    """
    if logits.shape != other.shape:
        raise ShapeError(f"divergence_from: shapes {tuple(logits.shape)} and {tuple(other.shape)} differ")
    log_p, log_p0 = logits.log_softmax(-1), other.detach().log_softmax(-1)
    p0 = log_p0.exp()
    return (p0 * torch.where(p0 > 0, log_p0 - log_p, 0.0)).sum(-1)


def chunked_divergence(
    states: Tensor, weight: Tensor, bias: Tensor | None, other: Said, *, chunk: int = CHUNK
) -> Tensor:
    """`divergence_from` a frozen model, of logits `states @ weight.T + bias` that are never there all at once.

    Args:
        states: (s, h).
        weight: (v, h).
        bias: (v,), or None.
        other: what the frozen model says, of the same s and v.
        chunk: logits of each model held at a time; at least those of one state are.

    Returns:
        (s,) nats, float32 (float64 where the states are); differentiable once in states, weight and bias.

    Raises:
        InputError: if the two have other vocabularies.
        ShapeError: if they are of other positions.
    """
    if other.vocabulary != weight.shape[0]:
        raise InputError(
            f"divergence: the policy tells {weight.shape[0]} tokens apart and the reference {other.vocabulary}; give a "
            "reference of the same family"
        )
    if len(other.states) != len(states):
        raise ShapeError(f"divergence: {len(states)} positions of the policy and {len(other.states)} of the reference")
    kind = states.device.type
    if torch.is_autocast_enabled(kind):  # a function of our own is not cast: forward and backward would differ
        low = torch.get_autocast_dtype(kind)
        states, weight, bias = states.to(low), weight.to(low), None if bias is None else bias.to(low)
    rows = max(1, chunk // weight.shape[0])
    found: Tensor = _Divergence.apply(states, weight, bias, other, rows)  # type: ignore[no-untyped-call]
    return found


def _as(bias: Tensor | None, like: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(like.dtype)


class _Divergence(torch.autograd.Function):
    """The operation of `chunked_divergence`: with z the logits of p, `dKL / dz = p - p0`."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, other: Said, rows: int) -> Tensor:
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        found = states.new_empty(len(states), dtype=wide)
        for first in range(0, len(states), rows):
            last = min(first + rows, len(states))
            z = nn.functional.linear(states[first:last], weight, bias).to(wide)
            found[first:last] = divergence_from(z, other.logits(first, last, wide))
        ctx.save_for_backward(states, weight, bias)
        ctx.other, ctx.rows = other, rows
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias = ctx.saved_tensors
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        for_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for_weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        for_bias = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
        for first in range(0, len(states), ctx.rows):
            last = min(first + ctx.rows, len(states))
            part = states[first:last]
            slope = nn.functional.linear(part, weight, bias).to(wide).softmax(-1)
            slope -= ctx.other.logits(first, last, wide).softmax(-1)
            slope *= grads[0][first:last, None]
            if for_bias is not None:
                for_bias += slope.sum(0)
            if for_weight is not None:  # chunks are added up in the wider precision
                for_weight += slope.t() @ part.to(wide)
            if for_states is not None:
                for_states[first:last] = slope.to(part.dtype) @ weight
        of_weight = None if for_weight is None else for_weight.to(weight.dtype)
        of_bias = None if for_bias is None or bias is None else for_bias.to(bias.dtype)
        return for_states, of_weight, of_bias, None, None
