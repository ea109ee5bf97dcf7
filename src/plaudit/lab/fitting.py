"""The `Fit` that experiments get by default: Plaudit's own trainer on a small Llama from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, nearest
from plaudit.lab.experiment import Scorer
from plaudit.lab.worlds.assistant.policy import SIZES, llama_config
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample


def fit_in_world(pairs: Sequence[Pair], *, seed: int, size: str) -> Scorer:
    """Fits a reward model from scratch by Bradley-Terry, one pass over the rows.

    Args:
        pairs: training rows.
        seed: of initialisation and order.
        size: one of the world's sizes.

    Raises:
        InputError: if the size is not known.
    """
    from plaudit.training import Backbone, FitConfig, fit_reward_model

    if size not in SIZES:
        raise InputError(f"fit_in_world: size {size!r} is not known; {nearest(size, SIZES)}")
    layers, width, heads = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as folder:
        build_tokenizer().save_pretrained(Path(folder) / "tokenizer")
        llama_config(size).save_pretrained(
            Path(folder) / "tokenizer"
        )  # a model folder is known by its config
        fit = fit_reward_model(
            pairs,
            backbone=Backbone(
                tokenizer=str(Path(folder) / "tokenizer"), width=width, layers=layers, heads=heads
            ),
            config=FitConfig(learning_rate=1e-3, batch_size=32, max_length=256, seed=seed),
            out=Path(folder) / "fit",
        )

    def scores(samples: Sequence[Sample]) -> NDArray[np.float64]:
        return np.asarray(fit.reward(samples).reward, dtype=np.float64)

    return scores
