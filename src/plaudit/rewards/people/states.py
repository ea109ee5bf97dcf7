"""Features of completions: the hidden state at the last token, whatever head reads it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import UnsupportedError
from plaudit.records.sample import Sample
from plaudit.rewards.models import ModelReward, by_prompt

SEQUENCES = 512
"""Sequences whose states are held at a time; only their last token's is kept."""


def check_read_last(reward: ModelReward) -> None:
    """Refuses a reward model whose score is not read at the last token.

    Raises:
        UnsupportedError: if it is read elsewhere.
    """
    if reward.manifest.reader != "leaf":
        raise UnsupportedError(
            f"{reward.name}: its score is read by {reward.manifest.reader!r}, not at the last token; use a decoder"
        )


def last_states(reward: ModelReward, samples: Sequence[Sample]) -> Float[Tensor, "n h"]:
    """Hidden states at the completions' last tokens, float64 on the CPU, in the order of the samples.

    Samples of one prompt are run on one prefix tree and truncated alike, as when they are scored.

    Args:
        reward: a decoder whose head is read there, linear or not.
        samples: what to run.

    Raises:
        UnsupportedError: if the model is read elsewhere.
    """
    check_read_last(reward)
    groups, order = by_prompt(samples)
    encoded = []
    for group in groups:
        first = samples[group[0]]
        encoded += reward.encoder.encode_group(
            first.prompt, [samples[i].completion for i in group],
            tools=first.meta.get("tools"), kwargs=first.meta.get("chat_template_kwargs"),
        )  # fmt: skip
    found: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(encoded), SEQUENCES):
            states = reward.engine.hidden([e.ids for e in encoded[start : start + SEQUENCES]])
            # copies, or each view would keep its whole row
            found += [s[-1].to("cpu", torch.float64, copy=True) for s in states]
    out = torch.empty(len(samples), found[0].shape[0], dtype=torch.float64)
    out[torch.from_numpy(order)] = torch.stack(found)
    return out
