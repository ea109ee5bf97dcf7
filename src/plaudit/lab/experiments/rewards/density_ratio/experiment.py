"""Policies that imitate demonstrations tilted towards the true reward, and the density ratios between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.experiments.training.data_scaling.experiment import clean_accuracy
from plaudit.lab.fitting import scorer_of
from plaudit.lab.members import prepared
from plaudit.lab.worlds.assistant import PolicyConfig, Prepared
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.records.sample import Sample, content_hash

GAPS: Mapping[str, tuple[tuple[float, int], tuple[float, int] | None]] = {
    "gap_2": ((2.0, 0), (0.0, 0)),
    "gap_05": ((0.5, 0), (0.0, 0)),
    "gap_1_of_2": ((2.0, 0), (1.0, 0)),
    "gap_0": ((0.0, 0), (0.0, 0)),
    "twins": ((0.0, 0), (0.0, 1)),
    "strong_only": ((2.0, 0), None),
}
"""Alignment and draw of the strong policy, and of the weak one."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on test pairs that differ in true reward, ties of the scorer counted half.
    """
    del fit  # no reward model is fitted: the policies are the reward
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    test = world.pairs(budget["test"], seed=2, side="test")
    return {"accuracy": clean_accuracy(_scorer(arm, world, budget, seed), test)}


def _scorer(arm: str, world: Prepared, budget: Mapping[str, Any], seed: int) -> Scorer:
    from plaudit.rewards.likelihood.ratio import ratio

    if arm == "oracle":
        return lambda samples: world.reward(samples).reward
    if arm == "longer":
        return _length
    if arm not in GAPS:
        raise InputError(f"density_ratio: arm {arm!r} is not known; the claim lists the arms")
    strong, weak = GAPS[arm]
    policy = str(aligned_policy(world, *strong, budget=budget, seed=seed))
    reference = "" if weak is None else str(aligned_policy(world, *weak, budget=budget, seed=seed))
    return scorer_of(ratio(policy, reference, beta=1.0, floor=-1e4, max_length=256))


def aligned_policy(world: Prepared, alignment: float, draw: int, *, budget: Mapping[str, Any], seed: int) -> Path:
    """Folder of a policy that imitates a demonstration a prompt, drawn with weights `exp(alignment * U)`; cached.

    Args:
        world: the instance.
        alignment: a; 0 draws all alike.
        draw: number of the draw, of initialisation and order too.
        budget: `demonstrations`, the `candidates` that each is drawn from, and `epochs`.
        seed: of the instance.
    """
    from plaudit.lab.worlds.assistant import lexicon as lx
    from plaudit.lab.worlds.assistant.policy import llama_config, prompt_ids
    from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
    from plaudit.lab.worlds.imitation import imitate
    from plaudit.runs.atomic import atomic_folder

    options = PolicyConfig(demonstrations=budget["demonstrations"], epochs=budget["epochs"])
    made_of = content_hash([2, alignment, draw, asdict(options), budget["candidates"], seed])
    folder: Path = world.folder / f"aligned-{made_of}"
    if folder.exists():
        return folder
    shown, truth = _candidates(seed, tuple(sorted(budget.items())))
    chosen = tilted(truth, alignment, np.random.default_rng([seed, 21, draw]))
    drawn = [row[i] for row, i in zip(shown, chosen, strict=True)]
    rows = [(prompt_ids(s.prompt), [*lx.ids(s.text.split()).tolist(), lx.EOS]) for s in drawn]
    model = imitate(
        llama_config(options.size), rows, epochs=options.epochs, batch_size=options.batch_size,
        learning_rate=options.learning_rate, seed=seed * 7 + draw,
    )  # fmt: skip
    with atomic_folder(folder) as temporary:
        model.save_pretrained(temporary)
        build_tokenizer().save_pretrained(temporary)
    return folder


@lru_cache(maxsize=1)
def _candidates(seed: int, items: tuple[tuple[str, Any], ...]) -> tuple[list[list[Sample]], np.ndarray]:
    """Several demonstrations of each prompt, and their true rewards, (prompts, candidates)."""
    budget = dict(items)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"]).world
    rng = np.random.default_rng([seed, 22])
    shown = [
        [Sample(prompt, demonstration(world.request(prompt), world.habits, rng)) for _ in range(budget["candidates"])]
        for prompt in world.prompts(budget["demonstrations"], seed=1)
    ]
    return shown, world.true_reward([sample for row in shown for sample in row]).reshape(len(shown), -1)


def tilted(truth: np.ndarray, alignment: float, rng: np.random.Generator) -> np.ndarray:
    """Which candidate of each prompt is drawn, (n,), with weights `exp(alignment * U)` within the prompt.

    Args:
        truth: U of the candidates, (n, candidates).
        alignment: 0 draws all alike.
        rng: of the draws.
    """
    # the largest of logits with Gumbel noise is a draw from their softmax
    return np.asarray((alignment * truth + rng.gumbel(size=truth.shape)).argmax(axis=1))


def _length(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([float(len(s.text.split())) for s in samples])
