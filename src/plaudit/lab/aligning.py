"""A tabular policy aligned on data that are there already, by the algorithms of `plaudit align`.

Losses and what they read are those of `plaudit.policy.offline`: the same `Alignment` sums them over a row, which is
made here from a table in place of a language model. Differs from the trainer: the learning rate is constant, and
gradients are not clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.engine.divergence import divergence_from
from plaudit.errors import InputError
from plaudit.lab.tabular import TabularPolicy
from plaudit.policy.algorithms import Algorithm, algorithm
from plaudit.policy.offline.objective import Alignment, told


@final
@dataclass(frozen=True, eq=False)
class Shown:
    """What is learnt from.

    Attributes:
        prompt: int64 (n,), of each completion.
        tokens: int64 (n, t), padded.
        pairs: int64 (m, 2), indices of chosen and rejected; none for algorithms that read labels or scores.
        wanted: (n,) 1 for what is to be said, 0 for what is not, NaN where nothing is said of it.
        scores: (n,), NaN where there is none.
        columns: name to (m,), what an algorithm reads of pairs besides.
        mismatched: (n,) True for completions of other prompts, which serve a baseline only; None where there are none.
        token_rewards: (n, t) of each token, for algorithms that read them; None where there are none.
    """

    prompt: Int[Tensor, " n"]
    tokens: Int[Tensor, "n t"]
    pairs: Int[Tensor, "m 2"] = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.int64))
    wanted: Float[Tensor, " n"] | None = None
    scores: Float[Tensor, " n"] | None = None
    columns: Mapping[str, Float[Tensor, " m"]] = field(default_factory=dict)
    mismatched: Bool[Tensor, " n"] | None = None
    token_rewards: Float[Tensor, "n t"] | None = None

    def __len__(self) -> int:
        """Pairs, or completions where there are none."""
        return len(self.pairs) or len(self.prompt)

    def part(self, which: Int[Tensor, " k"]) -> Shown:
        """Some of the pairs, or of the completions where there are no pairs."""
        if not len(self.pairs):
            kept, pairs, columns = which, self.pairs, {}
        else:
            kept, inverse = torch.unique(self.pairs[which], return_inverse=True)
            pairs, columns = inverse.reshape(-1, 2), {name: c[which] for name, c in self.columns.items()}
        wanted, scores, other, rewards = (
            None if x is None else x[kept] for x in (self.wanted, self.scores, self.mismatched, self.token_rewards)
        )
        return Shown(self.prompt[kept], self.tokens[kept], pairs, wanted, scores, columns, other, rewards)


@dataclass(frozen=True, slots=True)
class Fitting:
    """How long and how fast."""

    steps: int
    """Updates, at most."""
    rate: float
    """Learning rate of Adam, constant."""
    batch: int = 0
    """Pairs (or completions) a step, drawn without replacement; 0 for all of them."""
    until_kl: float = math.inf
    """Mean KL(policy, reference) over prompts, nats, at which it ends: the step that would pass it is taken in part."""


Watch = Callable[[TabularPolicy, int], Mapping[str, float]]


def aligned(
    policy: TabularPolicy, shown: Shown, name: str, fitting: Fitting, *, reference: TabularPolicy | None = None,
    generator: torch.Generator | None = None, watch: Watch | None = None, at: Float[Tensor, "k f"] | None = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Trains the policy in place.

    Args:
        policy: from where it begins.
        shown: what is learnt from.
        name: of an algorithm with its options, as `plaudit align` takes it.
        fitting: how long.
        reference: frozen; the policy as it is given, by default.
        generator: of batches.
        watch: numbers of the policy after each step, by the number of steps done.
        at: features of the prompts on which the KL is taken; all that the policy has, by default.

    Returns:
        For each step `loss`, `kl` (exact, KL(policy, reference), mean over prompts), what the trainer tells of a step
        as `told/...`, and what was watched.

    Raises:
        InputError: if the algorithm needs a judge, which tables have not, or completions of other prompts or token
            rewards that are not there.
    """
    named = algorithm(name)
    if named.algorithm.mismatched and shown.mismatched is None:
        raise InputError(f"aligned: {named.name} needs completions of other prompts; mark them as mismatched")
    if (named.algorithm.contrast and shown.token_rewards is None) or named.algorithm.judge:
        raise InputError(f"aligned: {named.name} asks a language model for more than log-probabilities; take another")
    start = policy.frozen()
    reference = start if reference is None else reference
    objective = Alignment(named)
    optimiser = torch.optim.Adam([policy.logits], lr=fitting.rate)
    draw = torch.Generator().manual_seed(0) if generator is None else generator
    history: list[dict[str, float]] = []
    for step in range(fitting.steps):
        part = shown
        if 0 < fitting.batch < len(shown):
            part = shown.part(torch.randperm(len(shown), generator=draw)[: fitting.batch])
        before = policy.logits.detach().clone()
        outputs, row, items = _row(policy, reference, start, part, named.algorithm)
        loss = objective(outputs, row) / items
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        ended = _within(policy, lambda: mean_kl(_at(policy, at), _at(reference, at)), before, fitting.until_kl)
        facts = {f"told/{k}": v for k, v in told(objective.drained(), reference=named.algorithm.reference).items()}
        watched = {} if watch is None else dict(watch(policy, step + 1))
        history.append({"loss": loss.item(), "kl": mean_kl(_at(policy, at), _at(reference, at)), **facts, **watched})
        if ended:
            break
    return history


@torch.no_grad()
def mean_kl(policy: TabularPolicy, reference: TabularPolicy) -> float:
    """KL(policy, reference) of whole completions, nats, mean over prompts: exact."""
    return float(policy.kl(reference).mean())


def _at(policy: TabularPolicy, features: Float[Tensor, "k f"] | None) -> TabularPolicy:
    """The policy on these prompts, to be looked at."""
    if features is None:
        return policy
    return TabularPolicy(policy.logits, policy.moves, length=policy.length, end=policy.end, features=features)


def _within(policy: TabularPolicy, kl: Callable[[], float], before: Tensor, most: float) -> bool:
    """Takes the last step back so far that the KL is at most `most`; whether that is where training ends."""
    if not math.isfinite(most) or kl() <= most:
        return False
    after, low, high = policy.logits.detach().clone(), 0.0, 1.0
    for _ in range(30):
        share = (low + high) / 2
        policy.logits.data = before + share * (after - before)
        low, high = (share, high) if kl() <= most else (low, share)
    policy.logits.data = before + low * (after - before)
    return True


def _row(
    policy: TabularPolicy, reference: TabularPolicy, start: TabularPolicy, shown: Shown, kind: Algorithm
) -> tuple[Tensor, dict[str, Any], float]:
    """What the model says of the counted tokens, the row as a collator makes it, and the number of items."""
    n, counted = len(shown.prompt), policy.counted(shown.tokens)
    counts = counted.sum(1)
    nothing = torch.full((n,), math.nan, dtype=torch.float64)
    wanted = nothing if shown.wanted is None else shown.wanted
    row: dict[str, Any] = {
        "owner": torch.arange(n).repeat_interleave(counts), "tokens": counts, "pairs": shown.pairs, "wanted": wanted,
        "mismatched": torch.zeros(n, dtype=torch.bool) if shown.mismatched is None else shown.mismatched,
        "scores": nothing if shown.scores is None else shown.scores,
        **shown.columns,
    }  # fmt: skip
    if kind.contrast and shown.token_rewards is not None:
        row["token_rewards"] = shown.token_rewards[counted]
    if kind.reference:
        row["reference_tokens"] = _said(reference, shown)[counted]
    if kind.old:
        row["start_tokens"] = _said(start, shown)[counted]
    said = counts[shown.pairs[:, 0]].sum() if len(shown.pairs) else counts[wanted > 0].sum()
    items = {"pair": len(shown.pairs), "sequence": wanted.isfinite().sum(), "token": said,
             "scored": row["scores"].isfinite().sum()}[kind.item]  # fmt: skip
    row["token_share"] = torch.as_tensor(float(items) / max(float(said), 1.0), dtype=torch.float64)
    outputs = policy.logps(shown.prompt, shown.tokens)[counted]
    if kind.anchor:
        mine, theirs = (p.next_logits(shown.prompt, shown.tokens)[counted] for p in (policy, reference))
        outputs = torch.stack([outputs, divergence_from(mine, theirs)])
    return outputs, row, float(items)


@torch.no_grad()
def _said(policy: TabularPolicy, shown: Shown) -> Tensor:
    return policy.logps(shown.prompt, shown.tokens)
