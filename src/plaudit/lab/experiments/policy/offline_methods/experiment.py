"""Every offline method on the same tables: the same completions of the start, judged once.

Methods of pairs get each completion once, in a pair whose label was drawn by Bradley-Terry from what is believed;
methods of labels get the two sides, methods of scores those pairs or all completions with the scores. A score tells
more than a label does, and is what those methods are for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.lab.worlds.tables import END, LENGTH, Tables, at_levels
from plaudit.policy.algorithms import ALGORITHMS, algorithm
from plaudit.policy.offline.data.checking import checked_rows
from plaudit.records.rows import Pair, Unpaired
from plaudit.records.sample import Sample, conversation

EVERY = 2
"""Steps from one look to the next."""
NOT_FOR_TABLES = (
    "cream", "scir", "t-reg", "dpo-reward-augmented", "reward-conditioned", "dpa", "weighted-sft", "b-coder",
)  # fmt: skip
"""They need an earlier model, instructions in words, two aspects, weights of rows or a value function."""
ARMS = ("coin", "oracle", *(name for name in ALGORITHMS if name not in NOT_FOR_TABLES))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As `at_levels`, and `passed`, the chance of what the verifier passes in the end, less the start's;
        `sampled_tokens` and `reward_calls`, of the completions that were drawn and judged.
    """
    del fit  # no network is fitted
    if arm not in ARMS:
        raise InputError(f"offline_methods: arm {arm!r} is not known; the claim lists the arms")
    world = Tables.made(seed, budget)
    worth = {"coin": torch.zeros_like(world.believed), "oracle": world.worth}.get(arm, world.believed)
    name = "dpo" if arm in ("coin", "oracle") else arm
    policy = TabularPolicy(world.start.logits, world.start.moves, length=LENGTH, end=END)
    before = world.measured(world.start)
    history = aligned(
        policy, shown(rows_of(world, worth, name, seed, budget), name), name,
        Fitting(steps=int(budget["steps"]), rate=float(budget["rate"])),
        watch=lambda p, done: {} if done % EVERY else world.measured(p),
    )  # fmt: skip
    seen = [before, *history[EVERY - 1 :: EVERY]]
    kl, truth = [row["kl"] for row in seen], [row["truth"] - before["truth"] for row in seen]
    drawn = _drawn(world, seed, budget)
    return {
        **at_levels(kl, truth, float(budget["level"])), "passed": world.measured(policy)["passed"] - before["passed"],
        "sampled_tokens": float(drawn.mask.sum()), "reward_calls": float(len(drawn.prompt)),
    }  # fmt: skip


def rows_of(world: Tables, worth: torch.Tensor, name: str, seed: int, budget: Mapping[str, Any]) -> list[Any]:
    """What a method learns from: pairs with scores, or samples with rewards, of the same completions.

    Args:
        world: where they are drawn.
        worth: (q, m), what labels and scores follow.
        name: of the method, which says what it needs.
        seed: of the completions and the labels.
        budget: `each`, completions of a prompt, an even number; `certainty`, of labels, a unit of worth's log-odds.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    drawn = _drawn(world, seed, budget, generator)
    score = worth[drawn.prompt, world.at(drawn.tokens)]
    chance = torch.sigmoid(float(budget["certainty"]) * (score[::2] - score[1::2]))
    first = torch.rand(len(chance), generator=generator, dtype=torch.float64) < chance
    texts = [" ".join(map(str, row)) for row in drawn.tokens.tolist()]
    prompts = [conversation(str(p)) for p in drawn.prompt.tolist()]
    if ALGORITHMS[name].needs.startswith("samples with reward"):
        return [
            Sample(p, t, meta={"reward": s}) for p, t, s in zip(prompts, texts, score.tolist(), strict=True)
        ]  # fmt: skip
    sides = [(2 * k, 2 * k + 1) if won else (2 * k + 1, 2 * k) for k, won in enumerate(first.tolist())]
    return [
        Pair(prompts[a], texts[a], texts[b], chosen_score=float(score[a]), rejected_score=float(score[b]))
        for a, b in sides
        if texts[a] != texts[b]
    ]


def _drawn(
    world: Tables, seed: int, budget: Mapping[str, Any], generator: torch.Generator | None = None
) -> Drawn:  # fmt: skip
    """The completions of the start that all methods learn from."""
    generator = torch.Generator().manual_seed(seed + 1) if generator is None else generator
    return world.start.sample(torch.arange(world.start.prompts), int(budget["each"]), generator)


def shown(rows: Sequence[Any], name: str) -> Shown:
    """The rows as the method makes them, read back into tables."""
    prompt: list[int] = []
    tokens: list[list[int]] = []
    wanted: list[float] = []
    scores: list[float] = []
    pairs: list[tuple[int, int]] = []

    def added(row: Any, text: Any, label: float, score: float) -> int:
        prompt.append(int(row.prompt[0].text))
        tokens.append([int(t) for t in str(text).split()])
        wanted.append(label)
        scores.append(score)
        return len(prompt) - 1

    labels = ALGORITHMS[name].data in ("labels", "demonstrations")
    for row in checked_rows(rows, algorithm(name)):
        if isinstance(row, Unpaired):
            added(row, row.completion, float(row.label), math.nan)
        elif isinstance(row, Pair):
            told = [math.nan if s is None else s for s in (row.chosen_score, row.rejected_score)]
            marks = (1.0, 0.0) if labels else (math.nan, math.nan)
            sides = [added(row, t, m, s) for t, m, s in zip((row.chosen, row.rejected), marks, told, strict=True)]
            pairs += [] if labels else [(sides[0], sides[1])]
        else:
            at = [added(row, t, math.nan, s) for t, s in zip(row.completions, row.scores, strict=True)]
            pairs += [(at[i], at[j]) for i, a in enumerate(row.scores) for j, b in enumerate(row.scores) if a > b]
    given = len(prompt)
    if ALGORITHMS[name].mismatched:  # to each prompt the first completion of the next one
        firsts: dict[int, list[int]] = {}
        for p, said in zip(prompt, tokens, strict=True):
            firsts.setdefault(p, said)
        for p, other in zip(firsts, [*list(firsts)[1:], *list(firsts)[:1]], strict=True):
            prompt.append(p)
            tokens.append(firsts[other])
            wanted.append(math.nan)
            scores.append(math.nan)
    return Shown(
        torch.tensor(prompt), torch.tensor(tokens), torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        torch.tensor(wanted, dtype=torch.float64), torch.tensor(scores, dtype=torch.float64),
        mismatched=torch.arange(len(prompt)) >= given,
    )  # fmt: skip
