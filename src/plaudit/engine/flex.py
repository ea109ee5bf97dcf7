"""Tree attention on accelerators: FlexAttention with a block mask made from subtree intervals."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from plaudit.engine.plan import TreePlan


@cache
def _compiled() -> Any:
    # dynamic: a static shape would compile anew for every length of row
    return torch.compile(flex_attention, dynamic=True)


def block_mask(plan: TreePlan, window: int | None = None) -> BlockMask:
    """The plan as FlexAttention takes it: token q sees k when `k <= q < end[k]` and it is within the window."""
    ends, depth = plan.ends, plan.position_ids
    n = ends.numel()

    def visible(_b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        allowed = (k <= q) & (q < ends[k])
        return allowed if window is None else allowed & (depth[q] - depth[k] < window)

    return create_block_mask(visible, B=None, H=None, Q_LEN=n, KV_LEN=n, device=ends.device)


def flex_tree_attention(
    query: Tensor, key: Tensor, value: Tensor, plan: TreePlan, *, scale: float, window: int | None = None
) -> Tensor:
    """Attention of one packed row under its plan.

    Args:
        query: (1, heads, t, d).
        key: (1, kv_heads, t, d); fewer heads than the query's are shared among groups of them.
        value: as `key`.
        plan: the row's plan.
        scale: factor on the logits.
        window: sliding window in positions.

    Returns:
        (1, heads, t, d). On the CPU the uncompiled form runs, which is for tests only.
    """
    name = ("flex", window)
    if name not in plan.blocks:
        plan.blocks[name] = block_mask(plan, window)
    run = _compiled() if query.is_cuda else flex_attention
    out: Tensor = run(
        query, key, value, block_mask=plan.blocks[name], scale=scale, enable_gqa=key.shape[1] != query.shape[1]
    )
    return out
