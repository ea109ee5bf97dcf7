"""Reward models fitted by the objectives that `training/objectives` leaves out, on lists of the same kind.

An arm is `objective@share` as there. What an arm learns from is made of the lists: their order, pairs of them, what
further raters say of their completions, or the aspects of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import Asked, Bench, judged
from plaudit.lab.experiments.training.other_objectives.rows import (
    as_demonstrations,
    by_annotator,
    groups_in,
    judged_pairs,
    outcomes,
    partly_labelled,
    preferred_by_aspect,
    rated_twice,
    told_twice,
    with_aspects,
)
from plaudit.lab.worlds.assistant.policy import llama_config
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.records.rows import Ranked

Rows = Callable[[Bench, Sequence[Ranked], int, float], Sequence[Any]]


def _as_they_are(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> Sequence[Any]:
    del bench, seed, share
    return rows


SETTINGS: dict[str, tuple[str, Rows]] = {
    "bradley-terry": ("bradley-terry", _as_they_are),
    "heads": ("bradley-terry-heads", _as_they_are),
    "gaussian-heads": ("gaussian-heads", _as_they_are),
    "mixture": ("mixture", _as_they_are),
    "community": ("community", _as_they_are),
    "demonstration-gap": ("demonstration-gap", as_demonstrations),
    "agreement": ("internal-agreement", partly_labelled),
    "judged": ("judged-bradley-terry", judged_pairs),
    "two-ratings": ("two-ratings", rated_twice),
    "two-raters": ("two-raters", told_twice),
    "aspects": ("aspects", with_aspects),
    "gated-aspects": ("gated-aspects", with_aspects),
    "aspect-preferences": ("aspect-preferences", preferred_by_aspect),
    "balanced": ("balanced-sources", by_annotator),
    "implicit-ce": ("implicit-ce", outcomes),
    "implicit-kto": ("implicit-kto", outcomes),
    "implicit-dpo": ("implicit-dpo", _as_they_are),
    "implicit-nca": ("implicit-nca", _as_they_are),
    "autoregressive": ("autoregressive", _as_they_are),
}
"""Name in the arms to the objective, and to what it learns from."""

CAUSAL = ("implicit-ce", "implicit-kto", "implicit-dpo", "implicit-nca", "autoregressive")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As `training/objectives`.
    """
    del fit  # it fits by Bradley-Terry only
    return judged(seed, arm, budget, (*SETTINGS, "placebo"), _lessons)


def _lessons(asked: Asked) -> tuple[Sequence[Any], dict[str, Any]]:
    objective, made = SETTINGS["bradley-terry" if asked.name == "placebo" else asked.name]
    rows = made(asked.bench, asked.lists, asked.seed, asked.share)
    # as many steps for all arms: a batch counts groups, and neighbouring rows of one prompt without a pair are one
    batch = max(1, round(32 * groups_in(rows) / len(asked.lists)))
    options: dict[str, Any] = {"objective": objective, "batch_size": batch}
    if asked.name in CAUSAL:
        options["backbone"] = _untrained_causal(asked.folder / "start", seed=asked.seed, size=asked.budget["size"])
    return rows, options


def _untrained_causal(folder: Path, *, seed: int, size: str) -> Path:
    """A causal model with random weights over the world's vocabulary, as a folder."""
    import torch
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(llama_config(size)).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder
