"""Starting policies of any world: a small causal model trained from scratch on demonstrations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Row = tuple[list[int], list[int]]
"""Token ids of a prompt and of its completion, the end of the sequence included."""


def imitate(
    config: Any,
    rows: Sequence[Row],
    *,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
) -> Any:
    """A causal model of a configuration, trained by maximum likelihood of completions given prompts.

    AdamW (betas 0.9 and 0.98, weight decay 0.01), linear warm-up over a tenth of the steps, then cosine to zero;
    gradients clipped at norm 1.

    Args:
        config: of a transformers model; its `pad_token_id` fills short rows.
        rows: demonstrations.
        epochs: passes over them.
        batch_size: demonstrations a step.
        learning_rate: peak of the schedule.
        seed: of initialisation and order.
        progress: called with steps done and their total.

    Returns:
        The model, in evaluation mode.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    total = max(1, math.ceil(epochs * len(rows) / batch_size))
    model.train()
    for step, batch in zip(range(total), _batches(rows, batch_size, np.random.default_rng(seed)), strict=False):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * _schedule(step, total)
        ids, labels = _padded([rows[i] for i in batch], config.pad_token_id)
        # right padding under a causal mask: no real token sees it, so no attention mask is needed
        logits = model(input_ids=ids).logits[:, :-1]
        wanted = labels[:, 1:] >= 0  # the softmax over the vocabulary only where a completion is predicted
        loss = torch.nn.functional.cross_entropy(logits[wanted], labels[:, 1:][wanted])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if progress is not None:
            progress(step + 1, total)
    return model.eval()


def _schedule(step: int, total: int) -> float:
    warm = max(1, total // 10)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _batches(rows: Sequence[Row], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Endless epochs of batches, each of rows of like length (less padding), in random order."""
    length = np.array([len(p) + len(c) for p, c in rows])
    while True:
        order = np.argsort(length + rng.uniform(0, 4, len(rows)), kind="stable")
        chunks = [order[i : i + size].tolist() for i in range(0, len(order), size)]
        for k in rng.permutation(len(chunks)).tolist():
            yield chunks[k]


def _padded(rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    width = max(len(p) + len(c) for p, c in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    labels = torch.full((len(rows), width), -100, dtype=torch.long)
    for i, (prompt, completion) in enumerate(rows):
        both = torch.tensor(prompt + completion)
        ids[i, : len(both)] = both
        labels[i, len(prompt) : len(both)] = both[len(prompt) :]
    return ids, labels
