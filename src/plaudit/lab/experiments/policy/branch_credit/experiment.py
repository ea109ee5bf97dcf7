"""Trees of binary decisions of which some count: advantages of whole completions, and credit where completions part.

A policy knows all that it has said, so every prefix has a decision of its own. A completion is right where the decisive
ones are, which lie at the beginning, or, in the arms `@late`, at the end, where the completions of a group have long
parted. Arms differ in the advantages alone. Accuracy is summed over all completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import Floats
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_prefix
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.credit import BranchCredit
from plaudit.policy.advantages.critic import ValueBased
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

ARMS = ("tempo", "grpo", "faster", "shuffled", "oracle")


@dataclass(frozen=True)
class Shuffled(Stateless):
    """Branch credit where completions do not part: of tokens that were dealt anew (placebo)."""

    seed: int
    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """Credit of other tokens; as many of each kind."""
        tokens = inputs.need("tokens", "shuffled")
        dealt = np.random.default_rng([self.seed, int(tokens.sum())]).permutation(tokens)
        return BranchCredit()(replace(inputs, tokens=dealt))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `area`, accuracy averaged over the updates; `accuracy`, at the end.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "late", "plain"):
        raise InputError(f"branch_credit: arm {arm!r} is not known; the claim lists the arms")
    length, decisive, p = int(budget["length"]), int(budget["decisive"]), int(budget["prompts"])
    rng = np.random.default_rng([seed, 1])
    moves = by_prefix(length, 2)
    policy = TabularPolicy(
        torch.from_numpy(rng.normal(0, float(budget["spread"]), size=(p, *moves.shape))), moves, length=length
    )
    every = policy.every()
    places = slice(length - decisive, length) if knob == "late" else slice(0, decisive)
    needed = torch.from_numpy(rng.integers(0, 2, size=(p, decisive)))
    right = (every[None, :, places] == needed[:, None]).all(2).double()

    def judge(drawn: Drawn) -> Judged:
        told = (drawn.tokens[:, places] == needed[drawn.prompt]).all(1).double().numpy()
        values = _values(policy, right, drawn) if name == "oracle" else None
        return Judged(told, values=values)

    rate = float(budget["plain" if knob == "plain" else "adam"]) * (3.0 if name == "faster" else 1.0)
    spending = Spending(int(budget["updates"]), p, int(budget["each"]), rate, adam=knob != "plain")
    history = improved(
        policy, judge, _method(name, seed), spending, generator=torch.Generator().manual_seed(seed),
        watch=lambda now, _: {"accuracy": float((now.chances(every) * right).sum(1).mean())},
    )  # fmt: skip
    curve = [row["accuracy"] for row in history]
    return {"area": float(np.mean(curve)), "accuracy": curve[-1]}


def _method(name: str, seed: int) -> Method:
    if name in ("tempo", "grpo", "faster"):
        return online("tempo" if name == "tempo" else "grpo")[1]
    method = online("tempo")[1]
    return replace(method, estimator=Shuffled(seed) if name == "shuffled" else ValueBased(lam=0.0))


@torch.no_grad()
def _values(policy: TabularPolicy, right: torch.Tensor, drawn: Drawn) -> Floats:
    """The exact chance of a right completion before each token, (t,) flat: a critic that is never wrong."""
    depth, p = policy.length, policy.prompts
    chance = policy.table().softmax(-1)
    found = torch.zeros(p, 2**depth - 1, dtype=torch.float64)
    below = right.reshape(p, 2**depth)  # sequences are listed in the order of the leaves
    for t in reversed(range(depth)):
        first, count = 2**t - 1, 2**t
        below = (below.reshape(p, count, 2) * chance[:, first : first + count]).sum(2)
        found[:, first : first + count] = below
    return np.asarray(found[drawn.prompt[:, None], policy.states(drawn.tokens)].flatten().numpy())
