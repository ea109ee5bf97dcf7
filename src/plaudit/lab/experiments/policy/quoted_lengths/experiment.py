"""A score that grows with length: the best against the worst of each prompt, or two of like length.

Phrases are scored by worth and by length. Pairs are made of several phrases a prompt by the functions that `plaudit
align` uses, and DPO trains until the policy is a given KL from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.worlds.phrases import Phrases, ranked
from plaudit.policy.offline.data import quoted_pairs
from plaudit.records import Message, Pair, Ranked

ARMS = ("quoted", "no-lengths", "extremes", "random", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `growth`, expected tokens less those of the start; `worth`; `kl`; on prompts that are not trained on; `pairs`
        that were made.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in ARMS or knob not in ("", "0"):
        raise InputError(f"quoted_lengths: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]), ends=float(budget["ends"]))
    draw = torch.Generator().manual_seed(seed + 1)
    prompts = torch.arange(world.train).repeat(int(budget["batches"]))
    drawn = world.start.sample(prompts, int(budget["each"]), draw)
    per_token = 0.0 if knob or head == "oracle" else float(budget["per_token"])
    score = world.worths(drawn) + per_token * drawn.mask.sum(1)
    if head == "random":
        score = torch.randn(len(score), generator=draw, dtype=score.dtype)
    pairs = _paired([_said(row, i) for i, row in enumerate(ranked(drawn, score))], head, budget)
    shown = _shown(pairs)
    policy = world.policy()
    fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=float(budget["kl"]))
    aligned(policy, shown, f"dpo?beta={budget['beta']}", fitting)
    found, start = world.measured(policy), world.measured(world.start)
    return {
        "growth": found["length"] - start["length"], "worth": found["worth"], "kl": found["kl"],
        "pairs": float(len(pairs)),
    }  # fmt: skip


def _said(row: Ranked, number: int) -> Ranked:
    """Phrases without what stands behind their end, so that texts are as long as they are; each group by itself."""
    prompt = (Message("user", f"{row.prompt[-1].text} {number}"),)
    return Ranked(prompt, tuple(str(t).partition("0")[0] for t in row.completions), row.scores)


def _paired(rows: list[Ranked], head: str, budget: Mapping[str, Any]) -> list[Pair]:
    """At most one pair of each group of phrases."""
    if head != "extremes":
        widest = 1e9 if head == "no-lengths" else float(budget["length_gap"])
        made: list[Pair] = quoted_pairs(rows, score_gap=float(budget["score_gap"]), length_gap=widest)
        return made
    found = []
    for row in rows:
        best, worst = (row.scores.index(x) for x in (max(row.scores), min(row.scores)))
        if row.scores[best] > row.scores[worst]:
            found.append(Pair(row.prompt, row.completions[best], row.completions[worst]))
    return found


def _shown(pairs: list[Pair]) -> Shown:
    prompt = torch.tensor([int(p.prompt[-1].text.split()[0]) for p in pairs]).repeat_interleave(2)
    tokens = torch.stack([_tokens(str(text)) for p in pairs for text in (p.chosen, p.rejected)])
    place = torch.arange(len(pairs))
    return Shown(prompt, tokens, torch.stack([2 * place, 2 * place + 1], 1))


def _tokens(text: str) -> Tensor:
    return torch.tensor([int(c) for c in text.ljust(5, "0")])
