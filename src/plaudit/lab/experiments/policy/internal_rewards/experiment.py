"""A policy that also judges, both from few labels, and rounds in which nobody but itself says what is better.

The judge has a table of its own, and a part that it shares with the policy: what one learns, the other does in part. It
prefers what it is shown first, until it unlearns it. In each round the policy says some pairs of phrases for every
prompt. Self-rewarding learns from the judge's labels; SCIR from the pairs about which judge and policy agree, and draws
their opinions together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parametrize

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared
from plaudit.policy.offline.losses.difference import dpo
from plaudit.policy.offline.losses.internal import scir
from plaudit.training.objectives.pairs.internal import order_averaged

LABELLED = ("self", "implied", "averaged", "oracle")
"""Arms in which each round's labels are fixed before it, and learnt by DPO."""
ARMS = ("scir", "selected", "shuffled", "seed", *LABELLED)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth` and `kl` on prompts that are not trained on; the share of fresh pairs there that the policy's implicit
        reward (`implied`) and the judge (`judged`) put in order; `agreed`, the share of the last round's pairs about
        which both agree in the end (0 without rounds).
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in ("scir", "self")):
        raise InputError(f"internal_rewards: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    beta, kind = float(budget["beta"]), "labelled" if name in LABELLED else name
    rate = float(budget.get(f"{kind}_rate", budget["rate"]))
    both = Both(world, beta, float(budget["bias"]), alone=bool(knob))
    mine, other = (compared(world, int(budget["pairs"]), steepness=1.0, generator=draw) for _ in range(2))

    def known() -> Tensor:
        loss = dpo(*both.ratios(mine.prompt, mine.tokens)[mine.pairs].unbind(1), beta=beta).mean()
        forward, backward = both.judgements(other.prompt, other.tokens, other.pairs)
        return loss - (F.logsigmoid(forward) + F.logsigmoid(-backward)).mean() / 2

    both.fitted(known, int(budget["first"]), float(budget["first_rate"]))
    agreed = 0.0
    for _ in range(0 if name == "seed" else int(budget["rounds"])):
        drawn = both.policy.sample(torch.arange(world.train), 2 * int(budget["each"]), draw)
        loss = _loss(both, world, drawn, name, budget, draw)
        both.fitted(loss, int(budget["steps"]), rate)
        implied, judged = both.opinions(drawn)
        agreed = float((implied * judged > 0).double().mean())
    fresh = torch.Generator().manual_seed(seed + 2)
    return {**both.measured(draw_from=fresh, count=int(budget["fresh"])), "agreed": agreed}


def _loss(
    both: Both, world: Phrases, drawn: Drawn, name: str, budget: Mapping[str, Any], draw: torch.Generator
) -> Callable[[], Tensor]:  # fmt: skip
    """What a round minimises, a mean over its pairs."""
    beta, pairs = both.beta, _twos(drawn)
    if name in LABELLED:
        implied, judged = both.opinions(drawn)
        worth = world.worths(drawn)[pairs]
        says = {"self": judged, "implied": implied, "averaged": implied + judged, "oracle": worth[:, 0] - worth[:, 1]}
        order = torch.where((says[name] > 0)[:, None], pairs, pairs.flip(1))
        return lambda: dpo(*both.ratios(drawn.prompt, drawn.tokens)[order].unbind(1), beta=beta).mean()
    dealt = torch.randperm(len(pairs), generator=draw) if name == "shuffled" else torch.arange(len(pairs))
    coefficients = {k: 0.0 if name == "selected" else float(budget[k]) for k in ("consistency_coef", "entropy_coef")}

    def loss() -> Tensor:
        first, second = both.ratios(drawn.prompt, drawn.tokens)[pairs].unbind(1)
        forward, backward = both.judgements(drawn.prompt, drawn.tokens, pairs)
        return scir(first, second, forward[dealt], backward[dealt], beta=beta, **coefficients) / len(pairs)

    return loss


def _twos(drawn: Drawn) -> Tensor:
    """Completions of a prompt in twos, (m, 2), those left out that are the same."""
    pairs = torch.arange(len(drawn.prompt)).reshape(-1, 2)
    return pairs[(drawn.tokens[pairs[:, 0]] != drawn.tokens[pairs[:, 1]]).any(1)]


class Joined(torch.nn.Module):
    """A table that is the sum of one that is given, one that is shared, and its own."""

    given: Tensor

    def __init__(self, given: Tensor, shared: torch.nn.Parameter) -> None:
        super().__init__()
        self.shared = shared
        self.register_buffer("given", given)

    def forward(self, own: Tensor) -> Tensor:
        """The sum."""
        return own + self.shared + self.given


class Both:
    """A policy and its judge.

    Args:
        world: of the phrases.
        beta: log-odds a nat of the implicit reward.
        bias: log-odds that the judge gives to what it is shown first, to begin with.
        alone: whether the judge says what the policy implies, and nothing of its own.
    """

    def __init__(self, world: Phrases, beta: float, bias: float, *, alone: bool) -> None:
        self.world, self.beta, self.alone = world, beta, alone
        start = world.start
        nothing = torch.zeros_like(start.logits)
        self.shared = torch.nn.Parameter(nothing.clone())
        self.policy, self.judge = (
            TabularPolicy(nothing, start.moves, length=start.length, end=0, features=start.features) for _ in range(2)
        )
        for one, given in ((self.policy, start.logits.detach()), (self.judge, nothing)):
            parametrize.register_parametrization(one, "logits", Joined(given, self.shared))
        self.bias = torch.nn.Parameter(torch.tensor(bias, dtype=torch.float64))

    def fitted(self, loss: Callable[[], Tensor], steps: int, rate: float) -> None:
        """Adam on all that there is, from anew."""
        # both policies name the shared part as theirs; it is learnt once
        known = {id(p): p for one in (self.policy, self.judge) for p in one.parameters()}
        optimiser = torch.optim.Adam([*known.values(), self.bias], lr=rate)
        for _ in range(steps):
            optimiser.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def ratios(self, prompt: Tensor, tokens: Tensor) -> Tensor:
        """Log-ratios to the start, (n,); carries the gradient."""
        return (self.policy.logps(prompt, tokens) - self.world.start.logps(prompt, tokens).detach()).sum(1)

    def judgements(self, prompt: Tensor, tokens: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds that the first of each pair is better, shown first, and that the second is, shown first."""
        if self.alone:
            first, second = self.ratios(prompt, tokens)[pairs].unbind(1)
            return self.beta * (first - second), self.beta * (second - first)
        said = self.judge.next_logits(prompt, tokens).gather(-1, tokens[..., None])[..., 0]
        first, second = (said * self.judge.counted(tokens)).sum(1)[pairs].unbind(1)
        return first - second + self.bias, second - first + self.bias

    @torch.no_grad()
    def opinions(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Log-odds that the first of each two is better: implied by the policy, and the judge's over both orders."""
        pairs = _twos(drawn)
        first, second = self.ratios(drawn.prompt, drawn.tokens)[pairs].unbind(1)
        return self.beta * (first - second), order_averaged(*self.judgements(drawn.prompt, drawn.tokens, pairs))

    @torch.no_grad()
    def measured(self, *, draw_from: torch.Generator, count: int) -> dict[str, float]:
        """On prompts that are not trained on: exact but for the order of fresh pairs of the start."""
        world = self.world
        found = world.measured(self.policy)
        start, policy, judge = (world.asked(one) for one in (world.start, self.policy, self.judge))
        drawn = start.sample(torch.arange(start.prompts).repeat(-(-count // start.prompts)), 2, draw_from)
        worth = world.worth[drawn.prompt + world.train, world.places(drawn.tokens)]
        ratio = (policy.logps(drawn.prompt, drawn.tokens) - start.logps(drawn.prompt, drawn.tokens)).sum(1)
        said = judge.next_logits(drawn.prompt, drawn.tokens).gather(-1, drawn.tokens[..., None])[..., 0]
        score = ratio if self.alone else (said * drawn.mask).sum(1)
        gap = _gaps(worth)
        implied, judged = (float((_gaps(x) * gap > 0)[gap != 0].double().mean()) for x in (ratio, score))
        return {"worth": found["worth"], "kl": found["kl"], "implied": implied, "judged": judged}


def _gaps(values: Tensor) -> Tensor:
    first, second = values.reshape(-1, 2).unbind(1)
    return first - second
