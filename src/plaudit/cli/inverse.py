"""`plaudit align --irl FILE`: a reward from demonstrations, learnt and spent in turns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plaudit.cli.round_files import built, rows_of
from plaudit.errors import InputError
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.inverse.config import InverseConfig
from plaudit.training.config import Backbone, FitConfig


@dataclass(frozen=True, slots=True)
class LearntEntry:
    """A learnt reward's model and how it is fitted, as a file has it."""

    model: Backbone = field(default_factory=Backbone)
    """What it starts from."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(objective="demonstration-gap"))
    """How."""


@dataclass(frozen=True, slots=True)
class InverseFile:
    """What `--irl` reads."""

    irl: InverseConfig = field(default_factory=InverseConfig)
    """Rounds, samples, categories."""
    reward: LearntEntry = field(default_factory=LearntEntry)
    """The reward models."""


def run_irl(args: argparse.Namespace, config: OnlineConfig, tree: Mapping[str, Any]) -> int:
    """Runs the rounds; prints one line each."""
    from plaudit.policy.online.games.measuring import told
    from plaudit.policy.online.inverse.alternating import Learner, learn_reward
    from plaudit.runs.fresh import vacating

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("align: --irl runs in one process, and a launcher started several; leave the launcher out")
    if args.reward:
        raise InputError(
            "align: --irl learns the reward, and --reward names one; leave it out, or show it beside (--watch)"
        )
    if isinstance(given := tree.get("reward") or {}, dict) and isinstance(fit := given.get("fit") or {}, dict):
        tree = {**tree, "reward": {**given, "fit": {"objective": "demonstration-gap", **fit}}}
    found = built(InverseFile, tree, args.irl)
    learner = Learner(config, found.reward.fit, found.reward.model)
    with vacating(args.out):
        learnt = learn_reward(
            rows_of(args, ""), model=args.model, config=found.irl, learner=learner, out=args.out, watched=args.watch
        )
    for number, measures in enumerate(learnt.rounds):
        print(f"round {number}: {told(measures)}")
    rewards = ", ".join(f"{at} ({name})" if name else at for name, at in learnt.rewards.items())
    print(f"saved {learnt.model} and the reward {rewards}")
    return 0


__all__ = ["InverseFile", "run_irl"]
