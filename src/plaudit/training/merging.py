"""Reward models on the straight line through two: averages, and steps beyond the second [29].

The recipe of HelpSteer2-Preference fits scaled Bradley-Terry from a regression's weights, and then goes on in the
direction that the fit took: `start + factor * (fitted - start)`, the factor chosen on validation pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from plaudit.engine.rendering import Encoder
from plaudit.errors import InputError, ShapeError
from plaudit.rewards import folders
from plaudit.rewards.models import ModelReward
from plaudit.training.fitting import normalisation
from plaudit.training.groups import TrainingRow, encode_groups
from plaudit.training.objectives.pairs.extrapolation import extrapolated


def merge_rewards(
    first: str | Path, second: str | Path, *, factor: float, out: str | Path, rows: Sequence[TrainingRow] = ()
) -> ModelReward:  # fmt: skip
    """The reward model `first + factor * (second - first)`, saved; its head reads as the second's does.

    Args:
        first: folder, for example of the model that the second was fitted from.
        second: the same architecture, tokenizer and number of outputs.
        factor: between 0 and 1 an average, above 1 an extrapolation (ExPO; the paper tunes it within 1.1 and 2).
        out: folder of the model.
        rows: pairs or ranked rows over whose completions the reward has mean 0 and deviation 1, as a fit's has over its
            training completions; without them zero and unit are the second's.

    Returns:
        The reward, as it is on disk; without a calibration, which the second's weights had.

    Raises:
        InputError: in one line, if the two do not belong together, or the factor is negative.
        MissingError: if there is no such model.

    Source: Zheng et al. 2024, "Weak-to-Strong Extrapolation" (ExPO); Wang et al. 2024 [29].
    """
    folders.check_place(out, first, second)
    one, other = ModelReward.load(first), ModelReward.load(second)
    if folders.vocabulary(one.tokenizer) != folders.vocabulary(other.tokenizer):
        raise InputError(f"merge: {first} and {second} have different tokenizers, so their weights mean other tokens")
    before, after = (dict(r.model.named_parameters()) for r in (one, other))
    try:
        merged = extrapolated(before, after, factor=factor)
    except ShapeError as error:
        raise InputError(f"merge: {first} and {second} are not of one architecture and head ({error})") from error
    with torch.no_grad():
        for name, tensor in merged.items():
            after[name].copy_(tensor)
    training = {"merged": {"first": str(first), "second": str(second), "factor": factor}}
    manifest = replace(other.manifest, training={**other.manifest.training, **training})
    reward = ModelReward(other.model, other.tokenizer, manifest, name=Path(out).name)
    if rows and not reward.head.compares:
        groups = encode_groups(rows, Encoder(reward.tokenizer, reward.encoder.template))
        _, offset, scale = normalisation(reward, groups)
        reward = ModelReward(
            other.model, other.tokenizer, replace(manifest, offset=offset, scale=scale), name=reward.name
        )
    reward.save(out)
    return reward
