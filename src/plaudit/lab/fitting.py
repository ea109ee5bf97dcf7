"""How experiments fit rewards: Plaudit's own trainer on a small Llama from scratch."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, nearest
from plaudit.lab.experiment import Scorer
from plaudit.lab.worlds.assistant.policy import llama_config
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward

if TYPE_CHECKING:
    from plaudit.training.entry import Trained
    from plaudit.training.groups import TrainingRow

LEARNING_RATE = {"small": 4e-3, "medium": 1e-3}
"""Chosen on one development instance of data_scaling, three trials."""


class Scratch:
    """A folder that goes when nothing refers to it any more: for fits that several arms go on from.

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="plaudit-lab-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def fit_in_world(pairs: Sequence[Pair], *, seed: int, size: str) -> Scorer:
    """Fits a reward model from scratch by Bradley-Terry, three passes over the rows.

    Args:
        pairs: training rows.
        seed: of initialisation and order.
        size: one of the world's sizes.

    Raises:
        InputError: if the size is not known.
    """
    return scorer_of(reward_in_world(pairs, seed=seed, size=size))


def scorer_of(reward: Reward) -> Scorer:
    """Only the numbers of a reward."""

    def scores(samples: Sequence[Sample]) -> NDArray[np.float64]:
        return np.asarray(reward(samples).reward, dtype=np.float64)

    return scores


def reward_in_world(rows: Sequence[TrainingRow], *, seed: int, size: str, **options: Any) -> Reward:
    """As `trained_in_world`, for objectives that give a reward.

    Raises:
        InputError: also if the objective gives a comparison.
    """
    reward = trained_in_world(rows, seed=seed, size=size, **options).reward
    if not isinstance(reward, Reward):
        raise InputError(f"lab: {options.get('objective')} gives a comparison, and a reward is needed")
    return reward


def trained_in_world(
    rows: Sequence[TrainingRow], *, seed: int, size: str, objective: str = "bradley-terry", epochs: float = 3.0,
    backbone: Path | None = None, keep: Path | None = None, **options: Any,
) -> Trained:  # fmt: skip
    """Fits a reward or a comparison on the world's vocabulary, with the options that all experiments share.

    Args:
        rows: training rows of the kind that the objective needs.
        seed: of initialisation and order.
        size: one of the world's sizes.
        objective: as `FitConfig.objective`.
        epochs: passes over the rows.
        backbone: model folder to start from; random weights of that size if None.
        keep: run folder to train in, whose `model` is then a model folder; a temporary one if None.
        **options: further fields of `FitConfig`.

    Raises:
        InputError: if the size or the objective is not known, or the rows lack what it needs.
    """
    from plaudit.rewards.readers.head import Head
    from plaudit.training import Backbone, FitConfig
    from plaudit.training.entry import train_reward
    from plaudit.training.fitting import trained_head

    if size not in LEARNING_RATE:
        raise InputError(f"lab: size {size!r} is not known; {nearest(size, LEARNING_RATE)}")
    config = FitConfig(
        objective=objective, epochs=epochs, seed=seed,
        **{"learning_rate": LEARNING_RATE[size], "batch_size": 32, "max_length": 256, **options},
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as name:
        start = backbone or Path(name) / "backbone"
        if backbone is None:
            _untrained(start, seed=seed, size=size, scores=trained_head(config) == Head())
        return train_reward(rows, backbone=Backbone(name=str(start)), config=config, out=keep or Path(name) / "fit")


def _untrained(folder: Path, *, seed: int, size: str, scores: bool) -> None:
    """A model with random weights over the world's vocabulary, as a folder: with the head of a score, or without."""
    import torch
    from transformers import LlamaForSequenceClassification, LlamaModel

    config = llama_config(size)
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        (LlamaForSequenceClassification if scores else LlamaModel)(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
