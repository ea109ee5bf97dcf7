"""What a reward model's head sees: the hidden state at each completion's last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from plaudit.engine.heads import ReadHead
from plaudit.errors import UnsupportedError
from plaudit.records.sample import Sample
from plaudit.rewards.models import ModelReward, by_prompt

SEQUENCES = 512
"""Sequences whose hidden states are held at a time; only their last token's is kept."""


def leaf_features(reward: ModelReward, samples: Sequence[Sample]) -> Tensor:
    """Inputs of the head, (n, width) in the order of the samples, float32 on the model's device.

    Samples of one prompt are run on one prefix tree and truncated alike, as when they are scored.

    Args:
        reward: a model whose linear head is read at the last token.
        samples: what to run.

    Raises:
        UnsupportedError: if the model's head is not a linear one that is read there.
    """
    check_linear(reward)
    groups, order = by_prompt(samples)
    found: list[Tensor] = []
    for part in _parts(groups):
        encoded = [e for group in part for e in _encode(reward, [samples[i] for i in group])]
        with torch.inference_mode():
            states = reward.engine.hidden([e.ids for e in encoded])
            # each last token on its own, or the view would keep the whole row
            found.append(torch.stack([s[-1].clone() for s in states]))
    flat = torch.cat(found)
    out = torch.empty_like(flat)
    out[torch.from_numpy(order).to(flat.device)] = flat
    return out


def check_linear(reward: ModelReward) -> None:
    """Refuses models whose score is not a linear function of the last token's state.

    Raises:
        UnsupportedError: naming the head.
    """
    head = getattr(reward.model, "score", None)
    if reward.manifest.reader != "leaf" or not isinstance(head, ReadHead):
        kind = type(head).__name__ if head is not None else f"reader {reward.manifest.reader!r}"
        raise UnsupportedError(
            f"{reward.name}: its head ({kind}) is not a linear one at the last token; "
            "use a decoder with a linear head, or an ensemble"
        )


def head_scores(reward: ModelReward, features: Tensor) -> Tensor:
    """The linear head's outputs, (n, k) float64 on the CPU: the model's own scores, since the head is the model's."""
    with torch.inference_mode():
        outputs: Tensor = reward.model.score(features)
    return outputs.double().cpu()


def _encode(reward: ModelReward, group: Sequence[Sample]) -> Sequence[Any]:
    meta = group[0].meta
    return reward.encoder.encode_group(
        group[0].prompt, [s.completion for s in group], tools=meta.get("tools"), kwargs=meta.get("chat_template_kwargs")
    )


def _parts(groups: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    parts: list[list[Sequence[int]]] = []
    for group in groups:
        if not parts or sum(map(len, parts[-1])) + len(group) > SEQUENCES:
            parts.append([])
        parts[-1].append(group)
    return parts
