"""A numerical self-check before the first use: does the tree path give the plain path's numbers on this model?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.engine.gate import Gate, attention_of, evaluating, row_inputs, trunk
from plaudit.engine.plan import TreePlan
from plaudit.engine.tree import PrefixTree

FACTOR = 16.0
"""Tolerance in multiples of the plain path's own difference between padded and single runs."""
LONGEST = 8192
"""Windows longer than this are probed at this length only: the probe stays affordable."""


def probe(model: Any, *, plain: str, seed: int = 0) -> Gate:
    """Compares hidden states on a tree with one-sequence-at-a-time runs, with texts longer than any window.

    Tolerance: `FACTOR` times the plain path's own padded-against-single difference in this precision, at least 64
    units of the last place of the largest hidden state.

    Args:
        model: with the tree attention installed.
        plain: name of the attention function to compare with.
        seed: of the random tokens.
    """
    texts = _texts(model, np.random.default_rng(seed))
    with evaluating(model), torch.no_grad():
        tree = PrefixTree.build(texts)
        device = next(model.parameters()).device
        packed = trunk(model)(**row_inputs(tree, TreePlan.of(tree, device=device))).last_hidden_state[0]
        with attention_of(model, plain):
            alone = [_run(model, [t])[0] for t in texts]
            together = _run(model, texts)
    own = max(_difference(a, b) for a, b in zip(alone, together, strict=True))
    ours = max(_difference(a, packed[torch.from_numpy(tree.positions(i))]) for i, a in enumerate(alone))
    scale = max(float(a.abs().max()) for a in alone)
    limit = max(FACTOR * own, 64 * torch.finfo(packed.dtype).eps * scale)
    if not ours <= limit:  # also when it is NaN
        return Gate(
            False,
            f"{model.config.model_type}: hidden states on a tree differ by {ours:.2g} from the plain path "
            f"(its own padded runs differ by {own:.2g}, tolerance {limit:.2g})",
        )
    return Gate(True)


def _texts(model: Any, rng: np.random.Generator) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    config = model.config.get_text_config()
    window = min(int(getattr(config, "sliding_window", None) or 0), LONGEST)
    room = int(getattr(config, "max_position_embeddings", 0) or 4096)
    prompt, tail = min(window + 9, max(room - 8, 2)), min(7, max(room - window - 9, 2))
    high = max(int(config.vocab_size) - 1, 3)

    def ids(n: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        return rng.integers(1, high, n, dtype=np.int32)

    shared, middle = ids(prompt), ids(3)
    return [
        np.concatenate([shared, middle, ids(tail)])[:room],
        np.concatenate([shared, middle, ids(2)])[:room],
        np.concatenate([shared, ids(tail)])[:room],
        ids(5),
    ]


def _run(model: Any, texts: list[np.ndarray[Any, np.dtype[np.int32]]]) -> list[Tensor]:
    width = max(t.size for t in texts)
    device = next(model.parameters()).device
    ids = torch.ones(len(texts), width, dtype=torch.long)
    mask = torch.zeros(len(texts), width, dtype=torch.long)
    for i, text in enumerate(texts):
        ids[i, : text.size] = torch.from_numpy(text.astype(np.int64))
        mask[i, : text.size] = 1
    states = trunk(model)(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
    return [states[i, : text.size] for i, text in enumerate(texts)]


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().max())
