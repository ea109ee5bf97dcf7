"""Advantages of single tokens without a value function: of branches [138], and of streams of rewards [198]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.returns import token_returns
from plaudit.shaping.groups.branches import branch_advantages
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.steps.streams import Stream, stream_advantages


@final
@dataclass(frozen=True)
class BranchCredit(Stateless):
    """`(r_i - mean + V(s_{t+1}) - V(s_t)) / std`, V the mean reward of the completions that share a prefix: TEMPO.

    Tokens that do not branch have GRPO's advantage. Ids must include what ends a completion, else one that is a prefix
    of another ends nowhere.

    Source: Tran et al. 2025, "Exploiting Tree Structure for Credit Assignment in RL Training of LLMs" [138].

    Differs from the paper: see `shaping.groups.branch_advantages`, which has the formula.
    """

    epsilon: float = 1e-6
    """Added to the deviation (over g), in units of the reward."""

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    siblings: ClassVar[bool] = True

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says, group by group."""
        parts = inputs.split(inputs.need("tokens", "branch-credit"))
        found: list[Floats] = [np.zeros(len(p)) for p in parts]
        branching = 0
        for members in np.split(inputs.grouped.order, inputs.grouped.starts[1:]) if len(inputs) else []:
            credit = branch_advantages([parts[i] for i in members], inputs.reward[members], epsilon=self.epsilon)
            for i, tokens in zip(members.tolist(), credit, strict=True):
                found[i] = tokens
                branching += int((np.abs(np.diff(tokens)) > 1e-12).sum())
        token = np.concatenate([*found, np.zeros(0)])
        share = branching / token.size if token.size else float("nan")
        return Advantages.of(inputs, token=token, metrics={"token_changes": share})


@final
@dataclass(frozen=True)
class StreamCredit(Stateless):
    """Outcome and process rewards as streams of their own, each with its leave-one-out baseline, then summed: PRIME.

    Process: `token_rewards`, such as the implicit rewards `log pi_phi - log pi_ref` of each token. Outcome: the reward,
    at the last token. Each stream's returns are taken less its own baseline; the sum is whitened over the batch.

    Source: Cui et al. 2025, "Process Reinforcement through Implicit Rewards" (PRIME), and its released code [198].

    Differs from the paper: weights of both streams are explicit (the code's `rm_coef` has no effect on this path).
    """

    outcome: float = 1.0
    """Weight of the outcome's stream."""
    process: float = 1.0
    """Weight of the process rewards' stream."""
    gamma: float = 1.0
    """Discount of both."""
    normalise: bool = True
    """Divides process rewards by the greatest size of a return of theirs in the batch, of those with a sibling."""
    whiten: bool = True
    """Brings the sum to mean 0 and deviation 1 over all tokens."""

    needs: ClassVar[frozenset[str]] = frozenset({"token_rewards"})
    siblings: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.outcome, self.process) < 0 or not self.outcome + self.process > 0:
            raise InputError(
                f"stream-credit: weights are {self.outcome} and {self.process}; give at least 0, and one above it"
            )

    @property
    def extent(self) -> Extent:
        """The batch, if something is brought to its scale."""
        return "batch" if self.whiten or self.normalise else "group"

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; completions without an outcome, without tokens or without a sibling enter no statistic."""
        process = np.asarray(inputs.need("token_rewards", "stream-credit"))
        process = np.where(inputs.included[inputs.owner], process, np.nan)
        mask, place = _rectangle(inputs)
        ends = np.zeros(process.size)
        some = inputs.lengths > 0
        ends[(np.cumsum(inputs.lengths) - 1)[some]] = inputs.reward[some]
        largest = 0.0
        if process.size:
            kept = np.where(inputs.comparable[inputs.owner], np.nan_to_num(process), 0.0)
            largest = float(np.abs(token_returns(kept, inputs.lengths)).max())
        if self.normalise and largest > 0:
            process = process / largest
        streams = [
            Stream(_laid(ends, mask, place), self.gamma, self.outcome, "leave-one-out"),
            Stream(_laid(process, mask, place), self.gamma, self.process, "process-leave-one-out"),
        ]
        table = stream_advantages(streams, mask, inputs.grouped, whiten=self.whiten)
        return Advantages.of(inputs, token=table[place], metrics={"largest_process_return": largest})


def _rectangle(inputs: AdvantageInputs) -> tuple[NDArray[np.bool_], tuple[NDArray[Any], ...]]:
    """The mask (n, longest) of a padded table, and the place in it of each flat token."""
    at = np.arange(int(inputs.lengths.max(initial=0)))
    mask = at < inputs.lengths[:, None]
    return mask, np.nonzero(mask)  # row by row: the order of the flat tokens


def _laid(flat: Floats, mask: NDArray[np.bool_], place: tuple[NDArray[Any], ...]) -> Floats:
    table = np.zeros(mask.shape)
    table[place] = flat
    return table
