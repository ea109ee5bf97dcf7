"""A tabular policy improved on its own completions, by the online methods of `plaudit.policy`.

The loop has the order of `policy.online.trainer`: sample, judge, advantages over the whole batch, then updates on equal
shares of its prompts, with the method's own loss a token and denominators. Advantages, losses and weights are those
that `policy.online.methods.online` builds; nothing of them is written here a second time. Differs from the trainer: the
learning rate is constant, gradients are not clipped, and there is no value function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.advantages.base import AdvantageInputs, Advantages
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.advantages.filtering import left_out_groups
from plaudit.policy.losses.implicit import implicit_reward_loss, implicit_rewards
from plaudit.policy.losses.kl import Estimator, kl_loss
from plaudit.policy.losses.outcomes import outcome_weights
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.losses.weights import token_weights
from plaudit.policy.online.method import Method, Process
from plaudit.shaping.groups.codes import Groups

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """What is said of completions, see `AdvantageInputs`.

    Attributes:
        reward: (s,).
        correct: (s,) 1 or 0, for methods that ask.
        tasks: (s,) names.
        compared: of pairs within groups.
        token_rewards: (t,) of the tokens that count, flat, where a method without a model of its own reads them.
        values: (t,) of the states in which they were said.
        columns: name to (s,).
    """

    reward: ArrayLike
    correct: ArrayLike | None = None
    tasks: tuple[str, ...] | None = None
    compared: Compared | None = None
    token_rewards: Floats | None = None
    values: Floats | None = None
    columns: Mapping[str, Floats] = field(default_factory=dict)


Judge = Callable[[Drawn], Judged]


@dataclass(frozen=True, slots=True)
class Spending:
    """How much is sampled, and what is made of it."""

    updates: int
    """Batches of completions."""
    prompts: int
    """Of a batch, drawn without replacement."""
    each: int
    """Completions of each."""
    rate: float
    """Learning rate, constant."""
    passes: int = 1
    """Times that each batch is learnt from."""
    minibatches: int = 1
    """Steps in each pass, on equal shares of the prompts."""
    adam: bool = False
    """Adam in place of plain gradient descent: every number of the table then has a step size of its own."""
    kl_coef: float = 0.0
    """Of the KL to the reference in the loss, units of the reward per nat."""
    kl_estimator: Estimator = "k2"
    """Whose gradient."""


def improved(
    policy: TabularPolicy, judge: Judge, method: Method, spending: Spending, *, generator: torch.Generator,
    reference: TabularPolicy | None = None, watch: Callable[[TabularPolicy, int], Mapping[str, float]] | None = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Trains the policy in place.

    Args:
        policy: from where it begins.
        judge: rewards of completions, asked once for each.
        method: from `online(NAME)`.
        spending: how much.
        generator: of prompts and completions.
        reference: of KL terms and of token rewards; the policy as it is given, by default.
        watch: numbers of the policy after each batch, by the number of batches done.

    Returns:
        For each batch the estimator's metrics, `gradient`, the largest norm of its steps, and what was watched.

    Raises:
        InputError: if the method has a value function or a token reward model, which tables do not.
    """
    if method.tokens is not None:
        raise InputError(f"improved: {method.title} fits a token reward model, which a table has none of; take another")
    if method.critic is not None:
        raise InputError(f"improved: {method.title} fits a value function, which a table has none of; take another")
    reference = policy.frozen() if reference is None else reference
    process = None if method.process is None else _Process(reference, method.process)
    kind = torch.optim.Adam if spending.adam else torch.optim.SGD
    optimiser = kind([policy.logits], lr=spending.rate)
    history = []
    for step in range(spending.updates):
        asked = torch.randperm(policy.prompts, generator=generator)[: spending.prompts]
        drawn = policy.sample(asked, spending.each, generator)
        ref = reference.logps(drawn.prompt, drawn.tokens).detach()
        inputs = _inputs(drawn, judge(drawn), ref, process, method)
        advantages = method.estimator(inputs)
        batch = _Batch(drawn, ref, inputs, advantages)
        steepest = 0.0
        for share in [*range(spending.minibatches)] * spending.passes:
            loss = batch.loss(policy, method, spending, drawn.group.numpy() % spending.minibatches == share)
            if loss is None:
                continue
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            assert policy.logits.grad is not None
            steepest = max(steepest, float(policy.logits.grad.norm()))
            optimiser.step()
        method = replace(method, estimator=method.estimator.updated(inputs))
        with torch.no_grad():
            watched = {} if watch is None else watch(policy, step + 1)
        history.append({**advantages.metrics, "gradient": steepest, **watched})
    return history


def _inputs(drawn: Drawn, told: Judged, ref: Tensor, process: _Process | None, method: Method) -> AdvantageInputs:
    flat = drawn.mask
    return AdvantageInputs(
        reward=np.asarray(told.reward, dtype=np.float64), groups=drawn.group.numpy(), lengths=drawn.lengths,
        correct=None if told.correct is None else np.asarray(told.correct, dtype=np.float64), tasks=told.tasks,
        tokens=drawn.tokens[flat].numpy(), logp=drawn.logp[flat].numpy(), ref_logp=ref[flat].numpy(),
        token_rewards=told.token_rewards if process is None else process.learnt(drawn, told, ref, method),
        values=told.values, compared=told.compared, columns=told.columns,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Batch:
    """What a batch of completions teaches."""

    drawn: Drawn
    ref: Float[Tensor, "s t"]
    inputs: AdvantageInputs
    advantages: Advantages

    def loss(
        self, policy: TabularPolicy, method: Method, spending: Spending, share: Bool[np.ndarray, " s"]
    ) -> Float[Tensor, ""] | None:
        """Of a share of the completions; None where it teaches nothing."""
        inputs, advantages, drawn = self.inputs, self.advantages, self.drawn
        often = np.ones(len(inputs)) if advantages.weight is None else np.asarray(advantages.weight)
        kept = advantages.included & (often > 0) & share
        if not kept.any():
            return None
        weight = self._weights(method, policy.length, often[kept], kept)
        at = torch.from_numpy(np.flatnonzero(kept))
        mask, lengths = drawn.mask[at], torch.from_numpy(drawn.lengths[kept])
        owner = torch.arange(len(at)).repeat_interleave(lengths)
        flat = torch.from_numpy(kept)[torch.from_numpy(inputs.owner)]
        logp = policy.logps(drawn.prompt[at], drawn.tokens[at])[mask]
        ref, advantage = self.ref[at][mask], torch.from_numpy(advantages.flat(inputs.lengths))[flat]
        tokens = TokenBatch(logp, drawn.logp[at][mask], advantage, owner, len(at))
        told = {n: ref if n == "ref_logp" else self._column(n)[at][owner] for n in method.reads}
        loss = method.surrogate(tokens, **told).loss
        if spending.kl_coef:
            ratio = tokens.log_ratio().exp().detach() if spending.passes * spending.minibatches > 1 else None
            loss = loss + spending.kl_coef * kl_loss(logp, ref, optimised=spending.kl_estimator, ratio=ratio)
        total: Tensor = (loss * torch.from_numpy(weight)[owner]).sum()
        return total

    def _weights(self, method: Method, longest: int, often: Floats, kept: Bool[np.ndarray, " s"]) -> Floats:
        lengths, there = self.drawn.lengths[kept], np.ones(int(kept.sum()), dtype=bool)
        if method.weights == "outcome":
            return np.asarray(outcome_weights(lengths, there, self.inputs.need("correct", "oreal")[kept] > 0.5))
        return np.asarray(token_weights(lengths, there, how=method.weights, max_tokens=longest, count=often))

    def _column(self, name: str) -> Float[Tensor, " s"]:
        value = self.inputs.grouped.code if name == "group" else self.inputs.need(name, "improved")
        return torch.from_numpy(np.nan_to_num(np.asarray(value, dtype=np.float64)))


class _Process:
    """A table of token rewards, fitted to outcomes as `policy.online.process.ProcessModel` is."""

    def __init__(self, start: TabularPolicy, options: Process) -> None:
        self.model, self.options = start.frozen().requires_grad_(True), options
        self.optimiser = torch.optim.AdamW([self.model.logits], lr=options.process_rate, weight_decay=0.0)

    def learnt(self, drawn: Drawn, told: Judged, ref: Float[Tensor, "s t"], method: Method) -> Floats:
        """The batch's token rewards, before the model learns from the outcomes of the groups that are kept."""
        logp = self.model.logps(drawn.prompt, drawn.tokens)
        owner = drawn.mask.nonzero()[:, 0]
        correct, groups = np.asarray(told.correct, dtype=np.float64), Groups.of(drawn.group.numpy())
        gone = left_out_groups(method.estimator, np.asarray(told.reward), groups, correct=correct)
        outcome = torch.from_numpy(np.where(gone[groups.code], np.nan, correct))
        known = int(outcome.isfinite().sum())
        loss = implicit_reward_loss(
            logp[drawn.mask], ref[drawn.mask], owner, len(outcome), outcome, beta=self.options.beta
        )
        if known:
            self.optimiser.zero_grad()
            (loss / known).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([self.model.logits], self.options.process_norm)
            self.optimiser.step()
        return np.asarray(implicit_rewards(logp.detach()[drawn.mask], ref[drawn.mask]).numpy())
