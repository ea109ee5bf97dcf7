"""Reports of findings: preferences by a judge that only counts what was found, and by one that counts errors too.

A prompt has some true findings among many; a report names findings until it ends. Of some reports that the start writes
the best and the worst by a judge make a pair, as in the recipe for chest X-rays, and an algorithm learns from the pairs
until the policy is one nat away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned, mean_kl
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.offline_methods.experiment import shown
from plaudit.lab.tabular import TabularPolicy, by_previous
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation

END = 0
ALGORITHMS = {
    "dpo": "dpo", "ipo": "ipo", "kto": "kto", "simpo": "simpo", "orpo": "orpo", "dpo-norm": "dpo-norm", "sft": "sft"
}  # fmt: skip
JUDGES = ("recall", "green", "matched", "coin")
"""Share of the true findings; the same beside errors; recall less what length beyond the mean is worth; none."""


@dataclass(frozen=True)
class Reports:
    """Prompts and what is true of each.

    Attributes:
        start: the policy that reports are drawn from.
        true: (q, v) which findings a prompt has; the end, token 0, is none.
    """

    start: TabularPolicy
    true: Bool[Tensor, "q v"]

    @classmethod
    def made(cls, seed: int, budget: Mapping[str, Any]) -> Reports:
        """Prompts from the seed.

        Args:
            seed: of all of them.
            budget: `prompts`; `findings` there are, and `present` ones of a prompt; `length`, most tokens of a report;
                `skill`, by how much the start prefers what is true; `ends`, its logit of ending.
        """
        generator = torch.Generator().manual_seed(seed)
        q, v, length = int(budget["prompts"]), int(budget["findings"]) + 1, int(budget["length"])
        true = torch.zeros(q, v, dtype=torch.bool)
        for row in true:
            row[1 + torch.randperm(v - 1, generator=generator)[: int(budget["present"])]] = True
        moves = by_previous(length, v)
        logits = 0.5 * torch.randn(q, *moves.shape, generator=generator, dtype=torch.float64)
        logits += float(budget["skill"]) * true[:, None, :]
        logits[..., END] += float(budget["ends"])
        return cls(TabularPolicy(logits, moves, length=length, end=END), true)

    def judged(self, prompt: Int[Tensor, " s"], tokens: Int[Tensor, "s t"]) -> dict[str, Float[Tensor, " s"]]:
        """What is said of reports: `recall`, `precision`, `green` (matched over matched and errors), `length`.

        Errors are findings that are not there and findings that are left out; a finding said twice counts once.
        """
        counted = self.start.counted(tokens) & (tokens != END)
        named = torch.zeros(len(tokens), self.true.shape[1], dtype=torch.bool)
        named = named.scatter(1, tokens * counted, True)  # what is not counted falls on the end
        named[:, END] = False
        there = self.true[prompt]
        matched = (named & there).sum(1).double()
        wrong, missed = (named & ~there).sum(1).double(), (~named & there).sum(1).double()
        return {
            "recall": matched / there.sum(1), "precision": matched / (matched + wrong).clamp(min=1),
            "green": matched / (matched + wrong + missed), "length": counted.sum(1).double(),
        }  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `length_ratio`, the mean length of reports beside that of the start's; `recall`, `precision` and `green` less
        the start's; `kl`, nats a report.
    """
    del fit  # a tabular policy
    name, _, judge = arm.partition("@")
    judge = judge or "recall"
    if arm != "start" and (name not in ALGORITHMS or judge not in JUDGES):
        raise InputError(f"report_lengths: arm {arm!r} is not known; the claim lists the arms")
    world = Reports.made(seed, budget)
    policy = TabularPolicy(world.start.logits, world.start.moves, length=world.start.length, end=END)
    before = _measured(world, world.start, seed, budget)
    if arm != "start":
        fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=float(budget["level"]))
        aligned(policy, _pairs(world, judge, name, seed, budget), ALGORITHMS[name], fitting, reference=world.start)
    found = _measured(world, policy, seed, budget)
    return {
        "length_ratio": found["length"] / before["length"], "kl": mean_kl(policy, world.start),
        **{key: found[key] - before[key] for key in ("recall", "precision", "green")},
    }  # fmt: skip


def _pairs(world: Reports, judge: str, name: str, seed: int, budget: Mapping[str, Any]) -> Shown:
    """The best against the worst of `each` reports, `rounds` times a prompt; nothing where all are as good."""
    generator, each = torch.Generator().manual_seed(seed + 1), int(budget["each"])
    prompts = torch.arange(len(world.true)).repeat(int(budget["rounds"]))
    drawn = world.start.sample(prompts, each, generator)
    said = world.judged(drawn.prompt, drawn.tokens)
    worth = {
        "recall": said["recall"], "green": said["green"],
        "matched": said["recall"] - (said["length"] - said["length"].mean()) / int(budget["length"]),
        "coin": torch.rand(len(drawn.prompt), generator=generator, dtype=torch.float64),
    }[judge].reshape(-1, each)  # fmt: skip
    # of equal ones any may be taken: the order in which they were drawn says nothing
    best, worst = worth.argmax(1), worth.argmin(1)
    rows = []
    for g in torch.nonzero(worth.max(1).values > worth.min(1).values)[:, 0].tolist():
        texts = [" ".join(map(str, drawn.tokens[g * each + int(i)].tolist())) for i in (best[g], worst[g])]
        rows.append(Pair(conversation(str(int(prompts[g]))), texts[0], texts[1]))
    return shown(rows, name)


@torch.no_grad()
def _measured(world: Reports, policy: TabularPolicy, seed: int, budget: Mapping[str, Any]) -> dict[str, float]:
    """Means over reports that the policy writes, of the same draws for all policies."""
    generator = torch.Generator().manual_seed(seed + 2)
    drawn = policy.sample(torch.arange(len(world.true)), int(budget["test"]), generator)
    return {key: float(value.mean()) for key, value in world.judged(drawn.prompt, drawn.tokens).items()}
