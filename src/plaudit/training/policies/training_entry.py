"""The door of `plaudit train` to objectives of causal language models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.rewards.likelihood.ratio import RatioReward
from plaudit.rewards.likelihood.yes import YesReward
from plaudit.runs.progress import Progress
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.policies.fitting import LikelihoodFit, fit_likelihood_reward


def train_likelihood(
    rows: Sequence[Any], *, backbone: Backbone, config: FitConfig, out: str | Path,
    progress: Callable[..., Progress] = Progress,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """Fits, and returns the reward with the facts that a command prints.

    Args:
        rows: what the objective needs.
        backbone: what to start from.
        config: how to fit.
        out: run folder.
        progress: makes the display.

    Raises:
        InputError: see `fit_likelihood_reward`; if an option is set that only heads have.
    """
    if config.freeze or config.head_depth != 1:
        raise InputError(f"objective {config.objective}: a causal model has no head; leave out freeze and head_depth")
    fit = fit_likelihood_reward(rows, backbone=backbone, config=config, out=out, progress=progress)
    tenth = max(len(fit.losses) // 10, 1)
    facts = {
        "base": backbone.name, "parameters": sum(p.numel() for p in _model(fit).parameters()), "groups": fit.groups,
        "pairs": fit.pairs, "sequences": fit.sequences, "truncated": fit.truncated, "left_out": fit.left_out,
        "raw_tokens": fit.raw_tokens,
        "distinct_tokens": fit.distinct_tokens, "sharing": fit.tree, "first_loss": float(np.mean(fit.losses[:tenth])),
        "last_loss": float(np.mean(fit.losses[-tenth:])), "config": asdict(config), "backbone": asdict(backbone),
    }  # fmt: skip
    return fit.reward, facts


def _model(fit: LikelihoodFit) -> Any:
    reward = fit.reward
    if isinstance(reward, RatioReward):
        return reward.policy.model
    return reward.comparison.model.model if isinstance(reward, YesReward) else reward.model.model
