"""Tree attention, registered through transformers' public `AttentionInterface`.

Each layer hands over its query, key and value with window, sinks and soft-cap. With a plan the function computes
what the tree needs and no more: a segment attends to its ancestors and causally to itself, keys outside the window
are cut off by position. Without a plan it hands over to scaled dot-product attention (or to the eager form where
there are sinks or a soft-cap), so that the same model still serves padded batches and generation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from plaudit.engine.plan import TreePlan

NAME = "plaudit_tree"


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    tree_plan: TreePlan | None = None,
    is_causal: bool | None = None,
    attended: list[Tensor] | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """One layer's attention over a packed row (with `tree_plan`) or a plain batch (without).

    Args:
        module: the attention layer; its `is_causal` counts where there is no plan.
        query: (b, heads, t, d); b is 1 with a plan.
        key: (b, kv_heads, t, d).
        value: (b, kv_heads, t, d).
        attention_mask: ignored with a plan; else as the model made it.
        scaling: factor on the logits, `d ** -0.5` by default.
        dropout: probability of dropping an attention weight.
        sliding_window: a token sees the last `sliding_window` positions, itself included.
        softcap: logits become `softcap * tanh(logits / softcap)`.
        s_aux: a sink's logit for each head, (heads,).
        tree_plan: who attends to whom.
        is_causal: overrides the module's own flag.
        attended: without a plan, of one text: what its last token attends to is added here, (t,), the mean over heads.

    Returns:
        The attention output (b, t, heads, d), and None: weights are never materialised for the caller.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    extras = _Extras(scale, dropout if module.training else 0.0, softcap, s_aux)
    if attended is not None:
        attended.append(extras.last_row(query, key, sliding_window))
    if tree_plan is None:
        causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
        if attention_mask is None and causal and query.shape[2] > 1:
            out = extras.attend(query, key, value, None, causal=True)
        else:
            out = extras.attend(query, key, value, attention_mask)
    elif query.shape[0] != 1:
        raise ValueError(f"{NAME}: a plan describes one packed row, but the batch has {query.shape[0]}")
    elif tree_plan.mode == "dense":
        out = extras.attend(query, key, value, tree_plan.visible(sliding_window))
    elif query.is_cuda and not extras.eager and not extras.dropout:
        out = _flex(query, key, value, tree_plan, scale, sliding_window)
    else:
        out = _by_segment(query, key, value, tree_plan, extras, sliding_window)
    return out.transpose(1, 2).contiguous(), None


class _Extras:
    """Scale, dropout, soft-cap and sinks of a layer, and plain attention under them."""

    def __init__(self, scale: float, dropout: float, softcap: float | None, sinks: Tensor | None) -> None:
        self.scale, self.dropout, self.softcap, self.sinks = scale, dropout, softcap, sinks

    @property
    def eager(self) -> bool:
        return self.softcap is not None or self.sinks is not None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        """Attention (b, heads, q, d) under a mask; or causal without one, of as many queries as keys."""
        if self.eager:
            return self._eager(q, k, v, _causal(q.shape[2], k.shape[2], q.device) if causal else mask)
        k, v = _repeat(k, q.shape[1]), _repeat(v, q.shape[1])
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout, is_causal=causal, scale=self.scale
        )

    def last_row(self, q: Tensor, k: Tensor, window: int | None) -> Tensor:
        """Attention weights of the last query of one text, (t,), the mean over heads."""
        t = k.shape[2]
        seen = None
        if window is not None and window < t:
            seen = (torch.arange(t, device=q.device) >= t - window)[None, None, None, :]
        return self._weights(q[:, :, -1:], _repeat(k, q.shape[1]), seen)[0, :, 0].float().mean(dim=0)

    def _eager(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        k, v = _repeat(k, q.shape[1]), _repeat(v, q.shape[1])
        weights = self._weights(q, k, mask)
        if self.dropout:
            weights = F.dropout(weights, self.dropout)
        return weights @ v

    def _weights(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        logits = (q @ k.transpose(-1, -2)) * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        if mask is not None:
            lowest = torch.finfo(logits.dtype).min
            logits = logits.masked_fill(~mask, lowest) if mask.dtype == torch.bool else logits + mask
        if self.sinks is not None:
            sink = self.sinks.to(logits.dtype).reshape(1, -1, 1, 1).expand(logits.shape[0], -1, logits.shape[2], 1)
            logits = torch.cat([logits, sink], dim=-1)
        weights = logits.softmax(dim=-1, dtype=torch.float32).to(q.dtype)
        # the sink takes its share of the weight and has no value
        return weights if self.sinks is None else weights[..., :-1]


def _by_segment(q: Tensor, k: Tensor, v: Tensor, plan: TreePlan, extras: _Extras, window: int | None) -> Tensor:
    layout = plan.layout(window, width=q.shape[1] * q.shape[3])
    query, key, value = (x[0].transpose(0, 1) for x in (q, k, v))
    outputs = [
        extras.attend(asks, keys, values, block.mask, causal=block.mask is None).transpose(1, 2).flatten(0, 1)
        for block, asks, keys, values in zip(
            layout.blocks, layout.attended(query), layout.seen(key), layout.seen(value), strict=True
        )
    ]
    return torch.cat(outputs).index_select(0, layout.order).transpose(0, 1)[None]


def _repeat(x: Tensor, heads: int) -> Tensor:
    """Key or value heads repeated for grouped queries."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def _causal(queries: int, keys: int, device: torch.device) -> Tensor:
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def _flex(q: Tensor, k: Tensor, v: Tensor, plan: TreePlan, scale: float, window: int | None) -> Tensor:
    """FlexAttention with the ancestor interval as its mask: keys and values stay at the distinct size."""
    from plaudit.engine.flex import flex_tree_attention

    return flex_tree_attention(q, k, v, plan, scale=scale, window=window)


def register() -> None:
    """Makes the function known to transformers under `plaudit_tree`; calling it again changes nothing.

    The name is registered for masks too: without that, a left-padded batch on the plain path would lose its mask.
    """
    AttentionInterface.register(NAME, tree_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
