"""`transformers.Trainer` whose batches are made on the way: questions in, completions sampled and scored, rows out.

What the Trainer brings (Accelerate, precision, schedules, checkpoints, trackers) stays as it is. Before each batch of
completions is first used it is collected; the updates after it, `passes` times `minibatches` of them, use it again.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from plaudit.errors import PlauditError, UnsupportedError
from plaudit.policy.advantages.base import AdvantageInputs, Advantages
from plaudit.policy.losses.entropy import entropy_bonus
from plaudit.policy.losses.kl import AdaptiveCoefficient, kl_loss, kl_penalty
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.losses.weights import token_weights
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.experience import Collector, Experience
from plaudit.policy.online.methods import Method
from plaudit.policy.online.packing import Learned, TokenOutputs, row_tokens, rows_of
from plaudit.policy.online.watching import Watch
from plaudit.policy.rollout import Question, Rollout
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.shaping.transforms.base import Shaped
from plaudit.training.trainer import RewardTrainer

ALARM = 0.05
"""Share of a batch without a reward from which on a warning is logged."""
LONGEST = 10
"""Batches without any reward after which a run stops."""
_logger = logging.getLogger(__name__)

STATE = "online.json"
"""What a checkpoint keeps of shaping, advantages and the KL coefficient."""


@dataclass(frozen=True, slots=True)
class State:
    """What changes between steps beside weights and optimiser.

    Attributes:
        method: the algorithm, its estimator in its state.
        shaping: the reward's layers from the innermost out, each transform in its state.
        kl: the coefficient of the KL; None without one.
    """

    method: Method
    shaping: tuple[Shaped, ...] = ()
    kl: AdaptiveCoefficient | None = None

    def shaped(self, batch: RewardBatch, samples: Sequence[Sample]) -> list[RewardBatch]:
        """The batch as the reward gave it, and after each layer."""
        found = [batch]
        for layer in self.shaping:
            found.append(layer.shape(found[-1], samples))
        return found

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "estimator": self.method.estimator.state(),
            "shaping": [layer.by.state() for layer in self.shaping],  # type: ignore[attr-defined]
            "kl": None if self.kl is None else self.kl.state(),
        }

    def restored(self, kept: Mapping[str, Any]) -> State:
        """In the state that `to_dict` gave."""
        return State(
            replace(self.method, estimator=self.method.estimator.restored(kept["estimator"])),
            tuple(
                replace(layer, by=layer.by.restored(s))  # type: ignore[attr-defined]
                for layer, s in zip(self.shaping, kept["shaping"], strict=True)
            ),
            None if self.kl is None else self.kl.restored(kept["kl"]),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry of the schedule: which prompt is asked, and where in the run."""

    row: int
    key: str


class OnlineTrainer(RewardTrainer):
    """Improves a causal model on its own completions.

    Args:
        collect: makes experience of questions.
        questions: by row of the data, the token ids of its prompt; indexed by the schedule's entries.
        state: where the run begins.
        options: of the run.
        reference: the frozen starting policy; None where it is the model without its adapters, or not needed.
        watch: turns what happened into metrics.
        **kwargs: of `RewardTrainer`.
    """

    def __init__(
        self, *, collect: Collector, questions: Callable[[Asked], Question], state: State, options: OnlineConfig,
        reference: Any, watch: Watch, tree: bool, pad_id: int, **kwargs: Any,
    ) -> None:  # fmt: skip
        kwargs.pop("objective", None)
        kwargs.pop("outputs", None)
        super().__init__(objective=self._loss, outputs=row_tokens, **kwargs)  # type: ignore[arg-type]
        self.collect, self.questions, self.options = collect, questions, options
        self._now, self._next = state, state
        self.reference, self.watch, self.tree, self.pad_id = reference, watch, tree, pad_id
        self._groups: list[Learned] | None = None  # an empty list is a batch from which nothing is learnt
        self._spare: Learned | None = None
        self._lost = 0
        if reference is not None:
            reference.to(self.args.device)
        if self.accelerator.num_processes > 1:
            check_divisible(state, collect)

    # --- what the Trainer asks for

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """The schedule is in order already."""
        return SequentialSampler(self.train_dataset if dataset is None else dataset)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The rows of one update; collects completions first where the last ones have served."""
        batches, _ = Trainer.get_batch_samples(self, epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        update = self.state.global_step % self.options.updates
        asked = [[*batch["asked"]] for batch in batches]
        if update == 0 or self._groups is None:
            self._groups = self._collected([one for part in asked for one in part], again=update > 0)
        share = self._groups[update % self.options.minibatches :: self.options.minibatches]
        groups = self._weighted(share)
        parts = np.array_split(np.arange(len(groups)), len(asked))
        return [self._micro([groups[i] for i in part], device) for part in parts], torch.ones((), device=device)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds what was watched to what the Trainer reports."""
        if "loss" in logs:
            everywhere, _ = self._everywhere([self.watch.told()])
            names = dict.fromkeys(name for told in everywhere for name in told)
            logs |= {name: float(np.mean([told[name] for told in everywhere if name in told])) for name in names}
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """The state goes into the folder before the seal does: that before a batch of completions that still serves."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            kept = self._now if self.state.global_step % self.options.updates else self._next
            folder.mkdir(parents=True, exist_ok=True)
            (folder / STATE).write_text(json.dumps(kept.to_dict()), encoding="utf-8")
        return super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        kept = json.loads((Path(resume_from_checkpoint) / STATE).read_text(encoding="utf-8"))
        self._now = self._next = self._next.restored(kept)

    # --- from questions to what is learnt

    def _collected(self, asked: Sequence[Asked], *, again: bool) -> list[Learned]:
        """Completions of the step's questions with their advantages; the state moves on.

        Args:
            asked: the step's part of the schedule.
            again: whether a resumed run takes up a batch that it has learnt from, and told of, before.
        """
        self._now = self._next
        with self.compute_loss_context_manager():  # sampled in the precision that it is learnt in
            experience = self.collect([self.questions(one) for one in asked])
        self._alarmed(experience)
        layers = self._now.shaped(experience.reward, experience.samples)
        old = np.concatenate([np.array(r.logp) for r in experience.flat])
        ref = self._reference_logps(experience) if self._needs_reference else None
        inputs = self._inputs(experience, layers[-1], old, ref)
        advantages = self._now.method.estimator(inputs)
        if not again:
            self.watch.collected(experience, layers[-1], advantages, old, ref)
        self._next = self._moved_on(experience, layers, inputs, old, ref)
        return self._learned(experience, advantages, inputs.lengths, ref)

    def _alarmed(self, experience: Experience) -> None:
        """Says when completions have no reward, and stops when none has had one for long."""
        lost = 1 - float(experience.reward.valid.mean())
        self._lost = self._lost + 1 if lost == 1 else 0
        if lost >= ALARM:
            _logger.warning("%.0f%% of %d completions have no reward", 100 * lost, len(experience.reward))
        if self._lost >= LONGEST:
            faults = "; ".join(self.collect.scorer.faults) or "it abstains"
            raise PlauditError(
                f"align: no completion of the last {LONGEST} batches has a reward ({faults[:300]}); mend the reward "
                "and start again in another folder"
            )

    @property
    def _needs_reference(self) -> bool:
        return needs_reference(self.options, self._now.method)

    def _inputs(
        self, experience: Experience, shaped: RewardBatch, old: NDArray[np.float64], ref: NDArray[np.float64] | None
    ) -> AdvantageInputs:
        rollouts, kl, estimator = experience.flat, self._now.kl, self._now.method.estimator
        lengths = np.array([len(r.completion_ids) for r in rollouts])
        reward, penalty = shaped.reward, None
        if kl is not None and self.options.kl_in == "reward" and ref is not None:
            penalty = kl_penalty(torch.from_numpy(old), torch.from_numpy(ref), kl_coef=kl.value).numpy()
            if "token_rewards" not in estimator.needs | estimator.takes:  # it knows completions only: their sums
                reward = reward + np.add.reduceat(penalty, np.cumsum(lengths) - lengths)
        tasks = [r.sample.meta.get("task") for r in rollouts]
        return AdvantageInputs(
            reward=reward, groups=experience.groups, lengths=lengths, correct=self._correct(experience),
            tasks=None if None in tasks else tuple(map(str, tasks)),
            tokens=np.concatenate([np.array(r.completion_ids) for r in rollouts]),
            token_rewards=penalty, logp=old, ref_logp=ref, columns={**self._columns(rollouts), **shaped.aspects},
        )  # fmt: skip

    def _columns(self, rollouts: Sequence[Rollout]) -> dict[str, NDArray[np.float64]]:
        """What the estimator reads of the rows besides: numbers of their own columns."""
        estimator = self._now.method.estimator
        names = [n for n in estimator.needs | estimator.takes if any(n in r.sample.meta for r in rollouts)]
        told = {n: [r.sample.meta.get(n) for r in rollouts] for n in names}
        return {n: np.array([np.nan if x is None else float(x) for x in values]) for n, values in told.items()}

    def _correct(self, experience: Experience) -> NDArray[np.float64] | None:
        """Whether each completion is right: its unshaped reward is above the middle of the reward's bounds."""
        low, high = self.collect.scorer.reward.bounds
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
        reward = experience.reward.reward
        return np.where(np.isnan(reward), np.nan, reward > (low + high) / 2)

    def _learned(
        self, experience: Experience, advantages: Advantages, lengths: NDArray[np.int64],
        ref: NDArray[np.float64] | None,
    ) -> list[Learned]:  # fmt: skip
        """The completions that take part, with a number a token for each column."""
        flat = {"advantage": advantages.flat(lengths)}
        if ref is not None:
            flat["ref_logp"] = ref
        cut = np.cumsum(lengths)[:-1]
        columns = {name: np.split(value, cut) for name, value in flat.items()}
        often = np.ones(len(lengths)) if advantages.weight is None else advantages.weight
        there = advantages.included & (often > 0)
        if self.options.drop_unfinished:
            there &= np.array([r.finish == "eos" for r in experience.flat])
        found, start = [], 0
        for row in experience.rollouts:
            kept = [k for k in range(len(row)) if there[start + k]]
            if kept:
                at = [start + k for k in kept]
                found.append(Learned(
                    row[0].prompt_ids, tuple(row[k].completion_ids for k in kept),
                    {
                        "old_logp": [np.array(row[k].logp) for k in kept],
                        "often": [np.full(lengths[i], often[i]) for i in at],
                        **{name: [parts[i] for i in at] for name, parts in columns.items()},
                    },
                ))  # fmt: skip
            start += len(row)
        first = experience.rollouts[0][0]
        nothing = [np.zeros(len(first.completion_ids))]
        named = ("old_logp", "advantage", "weight", "often", *(() if ref is None else ("ref_logp",)))
        self._spare = Learned(first.prompt_ids, (first.completion_ids,), dict.fromkeys(named, nothing))
        return found

    def _weighted(self, groups: Sequence[Learned]) -> list[Learned]:
        """The groups with the weight of each token, whose denominators count the update's completions everywhere."""
        mine = [(len(c), float(o[0])) for g in groups for c, o in zip(g.completions, g.columns["often"], strict=True)]
        everyone = self._everywhere(mine)
        lengths, often = (np.array([row[k] for row in everyone[0]]) for k in (0, 1))
        weight = token_weights(
            lengths.astype(np.int64), np.ones(len(lengths), dtype=bool), how=self._now.method.weights,
            max_tokens=self.options.max_tokens, count=often,
        ) if len(lengths) else np.zeros(0)  # fmt: skip
        own = iter(weight[everyone[1] : everyone[1] + len(mine)])
        return [
            replace(g, columns={**g.columns, "weight": [np.full(len(c), next(own)) for c in g.completions]})
            for g in groups
        ]

    def _everywhere(self, mine: list[Any]) -> tuple[list[Any], int]:
        """The entries of all processes, and where this one's begin."""
        if self.accelerator.num_processes == 1:
            return mine, 0
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        parts = gather_object([mine])
        return [x for part in parts for x in part], sum(len(p) for p in parts[: self.accelerator.process_index])

    def _micro(self, groups: Sequence[Learned], device: Any) -> dict[str, Any]:
        if not groups and self.accelerator.num_processes > 1 and self._spare is not None:
            groups = [self._spare]  # processes must run equally many passes, or their gradients wait for each other
        rows = self._rows(groups, one=self.accelerator.num_processes > 1)
        moved = [{k: v.to(device) if isinstance(v, Tensor) else v for k, v in row.items()} for row in rows]
        return {"rows": moved, "n_items": torch.ones((), device=device)}

    def _rows(self, groups: Sequence[Learned], *, one: bool = False) -> list[dict[str, Any]]:
        if not groups:
            return []
        return rows_of(
            groups, budget=sys.maxsize if one else self.options.tokens_per_row, tree=self.tree, pad_id=self.pad_id,
            temperature=self.options.temperature,
        )  # fmt: skip

    # --- the reference

    @torch.no_grad()
    def _reference_logps(self, experience: Experience) -> NDArray[np.float64]:
        """Log-probabilities of all sampled tokens under the reference, flat, on trees."""
        groups, start = [], 0
        for row in experience.rollouts:
            at = [np.full(len(r.completion_ids), start + k) for k, r in enumerate(row)]
            groups.append(Learned(row[0].prompt_ids, tuple(r.completion_ids for r in row), {"index": at}))
            start += len(row)
        index, logps = [], []
        model, context = self._frozen()
        with context:
            for packed in self._rows(groups):
                moved = {k: v.to(self.args.device) if isinstance(v, Tensor) else v for k, v in packed.items()}
                with self.compute_loss_context_manager():
                    logps.append(row_tokens(model, moved).logp.double().cpu().numpy())
                index.append(packed["index"].numpy())
        order = np.argsort(np.concatenate(index), kind="stable")  # rows hold groups in any order, completions in theirs
        return np.asarray(np.concatenate(logps)[order])

    def _frozen(self) -> tuple[Any, AbstractContextManager[Any]]:
        if self.reference is not None:
            return self.reference, nullcontext()
        inner = self.accelerator.unwrap_model(self.model)
        return inner, inner.disable_adapter()

    # --- the loss of a row

    def _loss(self, outputs: Any, row: Mapping[str, Any]) -> Tensor:
        """Sum over the row's tokens of weight times loss, terms of KL and entropy included."""
        tokens: TokenOutputs = outputs
        batch = TokenBatch(
            tokens.logp, row["old_logp"].to(tokens.logp.dtype), row["advantage"].to(tokens.logp.dtype), row["owner"],
            int(row["count"]),
        )  # fmt: skip
        told: Surrogate = self._now.method.surrogate(batch)
        loss = told.loss
        kl = self._now.kl
        if kl is not None and self.options.kl_in == "loss":
            ratio = (batch.logp - batch.old_logp).exp() if self.options.updates > 1 else None
            loss = loss + kl.value * kl_loss(
                batch.logp, row["ref_logp"].to(batch.logp.dtype), optimised=self.options.kl_estimator, ratio=ratio
            )
        if self.options.entropy_coef:
            loss = loss + entropy_bonus(tokens.entropy, coefficient=self.options.entropy_coef)
        self.watch.learnt(told.watched, tokens, row)
        total: Tensor = (loss * row["weight"].to(loss.dtype)).sum()
        return total

    # --- between steps

    def _moved_on(
        self, experience: Experience, layers: Sequence[RewardBatch], inputs: AdvantageInputs,
        old: NDArray[np.float64], ref: NDArray[np.float64] | None,
    ) -> State:  # fmt: skip
        """The state after a batch was seen."""
        now, samples, kl = self._now, experience.samples, self._now.kl
        shaping = tuple(
            replace(layer, by=layer.by.updated(batch, samples))
            for layer, batch in zip(now.shaping, layers, strict=False)  # the last batch is what comes out
        )
        if kl is not None and self.options.kl_target and ref is not None:
            told, _ = self._everywhere([(float((old - ref).sum()), len(inputs))])  # one coefficient for all processes
            total, count = map(sum, zip(*told, strict=True))
            kl = kl.updated(total / max(count, 1), count)
        return State(replace(now.method, estimator=now.method.estimator.updated(inputs)), shaping, kl)


def needs_reference(options: OnlineConfig, method: Method) -> bool:
    """Whether the starting policy is asked: to hold the policy back, by the algorithm, or to be measured."""
    return options.kl_coef > 0 or not options.skip_kl or "ref_logp" in method.estimator.needs


def check_divisible(state: State, collect: Collector) -> None:
    """Refuses what cannot be divided among processes, each of which sees its own groups only.

    Raises:
        UnsupportedError: naming it.
    """
    rewards = [collect.scorer.reward, *(s.reward for s in collect.watched.values())]
    together = [f"reward {r.name} scores a whole batch together" for r in rewards if r.scope == "batch"]
    if state.method.estimator.extent == "batch":
        together.append("its advantages compare the whole batch")
    if state.method.estimator.state():
        together.append("its advantages keep statistics of the whole batch")
    together += [f"{x.by.kind} keeps statistics of the whole batch" for x in state.shaping if x.by.state()]  # type: ignore[attr-defined]
    if together:
        raise UnsupportedError(f"align: {together[0]}, and several processes would each see a part; use one process")


def taken_apart(reward: Reward) -> tuple[Reward, tuple[Shaped, ...]]:
    """The reward inside its transforms, and the layers from the innermost out."""
    layers: list[Shaped] = []
    while isinstance(reward, Shaped):
        layers.insert(0, reward)
        reward = reward.of
    return reward, tuple(layers)
