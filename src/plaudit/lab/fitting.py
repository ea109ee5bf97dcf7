"""The `Fit` that experiments get by default: Plaudit's own trainer on a small Llama from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.lab.experiment import Scorer
from plaudit.lab.worlds.assistant.policy import llama_config
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample

LEARNING_RATE = {"small": 4e-3, "medium": 1e-3}
"""Chosen on one development instance of data_scaling, three trials."""


def fit_in_world(pairs: Sequence[Pair], *, seed: int, size: str) -> Scorer:
    """Fits a reward model from scratch by Bradley-Terry, three passes over the rows.

    Args:
        pairs: training rows.
        seed: of initialisation and order.
        size: one of the world's sizes.

    Raises:
        InputError: if the size is not known.
    """
    from plaudit.training import Backbone, FitConfig, fit_reward_model

    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as name:
        folder = Path(name)
        _untrained(folder / "backbone", seed=seed, size=size)
        fit = fit_reward_model(
            pairs,
            backbone=Backbone(name=str(folder / "backbone")),
            config=FitConfig(epochs=3.0, learning_rate=LEARNING_RATE[size], batch_size=32, max_length=256, seed=seed),
            out=folder / "fit",
        )

    def scores(samples: Sequence[Sample]) -> NDArray[np.float64]:
        return np.asarray(fit.reward(samples).reward, dtype=np.float64)

    return scores


def _untrained(folder: Path, *, seed: int, size: str) -> None:
    """A classifier with random weights over the world's vocabulary, as a model folder."""
    import torch
    from transformers import LlamaForSequenceClassification

    config = llama_config(size)
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForSequenceClassification(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
