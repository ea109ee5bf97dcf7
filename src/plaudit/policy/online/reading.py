"""Numbers of a model at every sampled token of a batch: its log-probabilities and values, flat, on prefix trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaudit.policy.online.experience import Experience
from plaudit.policy.online.packing import Learned, TokenOutputs, row_tokens

Floats = NDArray[np.float64]


def indexed(
    experience: Experience, columns: Mapping[str, Floats] | None = None, *, only: NDArray[np.bool_] | None = None
) -> list[Learned]:
    """All completions, or some, each token with its completion's number as `index`, and columns besides.

    Args:
        experience: a batch.
        columns: name to a number a token, (t,), in the order of all completions.
        only: (n,) True for those that are wanted; all by default. Groups without any are left out.
    """
    flat = experience.flat
    cuts = np.cumsum([len(r.completion_ids) for r in flat])[:-1]
    parts = {name: np.split(values, cuts) for name, values in (columns or {}).items()}
    found, start = [], 0
    for row in experience.rollouts:
        at = [i for i in range(start, start + len(row)) if only is None or only[i]]
        start += len(row)
        if not at:
            continue
        told = {"index": [np.full(len(flat[i].completion_ids), i) for i in at]}
        own = {name: [values[i] for i in at] for name, values in parts.items()}
        found.append(Learned(row[0].prompt_ids, tuple(flat[i].completion_ids for i in at), {**told, **own}))
    return found


def in_order(index: Iterable[NDArray[Any]], values: Iterable[NDArray[Any]]) -> Floats:
    """Values of rows, which hold groups in any order, in the order of the completions."""
    order = np.argsort(np.concatenate([*index]), kind="stable")
    return np.asarray(np.concatenate([*values])[order], dtype=np.float64)


@torch.no_grad()
def read_flat(
    model: Any, rows: Iterable[Mapping[str, Any]], *, device: Any, precision: Callable[[], AbstractContextManager[Any]],
    values: bool = False,
) -> Floats:  # fmt: skip
    """Log-probabilities of all sampled tokens under a model, (t,), nats; or the values of their states.

    Args:
        model: a causal model, with a value head where values are wanted.
        rows: of `indexed` completions.
        device: where the model is.
        precision: the context of the forward pass.
        values: whether values are wanted.
    """
    index, found = [], []
    for packed in rows:
        with precision():
            told: TokenOutputs = row_tokens(model, placed(packed, device), entropy=False, values=values)
        wanted = told.value if values else told.logp
        assert wanted is not None
        found.append(wanted.double().cpu().numpy())
        index.append(packed["index"].numpy())
    return in_order(index, found)


def placed(row: Mapping[str, Any], device: Any) -> dict[str, Any]:
    """A row with its tensors on a device."""
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in row.items()}


__all__ = ["in_order", "indexed", "placed", "read_flat"]
