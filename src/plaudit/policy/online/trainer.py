"""`transformers.Trainer` whose batches are made on the way: questions in, completions sampled and scored, rows out.

What the Trainer brings (Accelerate, precision, schedules, checkpoints, trackers) stays as it is. Before each batch of
completions is first used it is collected; the updates after it, `passes` times `minibatches` of them, use it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from plaudit.engine.values import load_value_head, save_value_head, value_head
from plaudit.policy.advantages.base import AdvantageInputs
from plaudit.policy.losses.entropy import entropy_bonus
from plaudit.policy.losses.kl import kl_loss, kl_penalty
from plaudit.policy.losses.outcomes import outcome_weights
from plaudit.policy.losses.surrogates import Surrogate
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.losses.values import value_loss
from plaudit.policy.losses.weights import token_weights
from plaudit.policy.online.alarms import alarmed
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.experience import Collector, Experience
from plaudit.policy.online.lessons import Measured, inputs_of, learned_of
from plaudit.policy.online.measuring import Measurer
from plaudit.policy.online.packing import EVEN, Learned, TokenOutputs, row_tokens, rows_of
from plaudit.policy.online.process import ProcessModel
from plaudit.policy.online.reading import placed
from plaudit.policy.online.refilling import refilled
from plaudit.policy.online.state import Asked, State, check_divisible
from plaudit.policy.online.token_model import TokenModel
from plaudit.policy.online.watching import FILLER, Watch, numbers_of
from plaudit.policy.rollout import Question
from plaudit.training.trainer import RewardTrainer

STATE = "online.json"
"""What a checkpoint keeps of shaping, advantages and the KL coefficient."""
VALUES = "value_head.safetensors"
"""What it keeps of a value function."""


class OnlineTrainer(RewardTrainer):
    """Improves a causal model on its own completions.

    Args:
        collect: makes experience of questions.
        questions: by row of the data, the token ids of its prompt; indexed by the schedule's entries.
        refills: from a step to further entries, for those of its own that have nothing to teach.
        state: where the run begins.
        options: of the run.
        reference: the frozen starting policy; None where it is the model without its adapters, or not needed.
        process: the model of token rewards; None without one.
        tokens: the token reward model; None without one.
        watch: turns what happened into metrics.
        **kwargs: of `RewardTrainer`.
    """

    def __init__(
        self, *, collect: Collector, questions: Callable[[Asked], Question], state: State, options: OnlineConfig,
        reference: Any, watch: Watch, tree: bool, pad_id: int, process: ProcessModel | None = None,
        tokens: TokenModel | None = None, refills: Callable[[str], Iterator[Asked]] | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        outputs = partial(row_tokens, values=state.method.critic is not None)
        super().__init__(objective=self._loss, outputs=outputs, **kwargs)  # type: ignore[arg-type]
        self.collect, self.questions, self.options = collect, questions, options
        self.refills = refills or (lambda _: iter(()))
        self._now, self._next = state, state
        self.watch, self.tree, self.pad_id = watch, tree, pad_id
        self._groups: list[Learned] | None = None  # an empty list is a batch from which nothing is learnt
        self._spare: Learned | None = None
        self.beside = [one for one in (process, tokens) if one is not None]
        if reference is not None:
            reference.to(self.args.device)
        self._measured = Measurer(
            lambda: self.accelerator.unwrap_model(self.model), reference, process, collect=collect, options=options,
            rows=self._rows, device=self.args.device, precision=self.compute_loss_context_manager,
            tokens=tokens, tokenizer=self.processing_class,
        )  # fmt: skip
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
        if self._alone():  # the token reward model learns first; without rows the policy has no gradient and stays
            return [{"rows": [], "n_items": torch.ones((), device=device)} for _ in asked], torch.ones(
                (), device=device
            )
        share = self._groups[update % self.options.minibatches :: self.options.minibatches]
        groups = self._weighted(share)
        parts = np.array_split(np.arange(len(groups)), len(asked))
        rows = self._evened([self._rows([groups[i] for i in part]) for part in parts])
        one = torch.ones((), device=device)
        return [{"rows": [placed(row, device) for row in some], "n_items": one} for some in rows], one

    def _alone(self) -> bool:
        """Whether the token reward model learns from the batch and the policy does not yet."""
        tokens = self._now.method.tokens
        return tokens is not None and self.state.global_step // self.options.updates < tokens.token_first

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's, with a learning rate of its own for the value head."""
        made, head, critic = super().create_optimizer(*args, **kwargs), value_head(self.model), self._now.method.critic
        own = set() if head is None else {id(p) for p in head.parameters()}
        if head is None or critic is None or any({id(p) for p in g["params"]} == own for g in made.param_groups):
            return made
        for group in made.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in own]
        rate = critic.value_rate * self.options.learning_rate
        made.add_param_group({"params": [*head.parameters()], "lr": rate, "weight_decay": 0.0})
        return made

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds what was watched to what the Trainer reports."""
        if "loss" in logs:
            logs |= numbers_of(self.everywhere([self.watch.told()])[0])
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """The state goes into the folder before the seal does: that before a batch of completions that still serves."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            kept = self._now if self.state.global_step % self.options.updates else self._next
            folder.mkdir(parents=True, exist_ok=True)
            (folder / STATE).write_text(json.dumps(kept.to_dict()), encoding="utf-8")
            if (head := value_head(self.model)) is not None:  # a checkpoint of adapters does not hold it
                save_value_head(head, folder / VALUES)
            for one in self.beside:  # as it is: a batch that still serves has its token rewards in the log
                one.save(folder)
        return super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        kept = json.loads((Path(resume_from_checkpoint) / STATE).read_text(encoding="utf-8"))
        self._now = self._next = self._next.restored(kept)
        if (head := value_head(self.model)) is not None:
            load_value_head(head, Path(resume_from_checkpoint) / VALUES)
        for one in self.beside:
            one.load(Path(resume_from_checkpoint))

    # --- from questions to what is learnt

    def _collected(self, asked: Sequence[Asked], *, again: bool) -> list[Learned]:
        """Completions of the step's questions with their advantages; the state moves on.

        Args:
            asked: the step's part of the schedule.
            again: whether a resumed run takes up a batch that it has learnt from, and told of, before.
        """
        self._now = self._next
        bounds, taken = self.collect.scorer.reward.bounds, {one.row for one in asked}
        more = (one for one in self.refills(asked[0].key.partition(".")[0]) if one.row not in taken)
        with self.compute_loss_context_manager():  # sampled in the precision that it is learnt in
            experience, spent = refilled(
                asked, lambda some: self.collect([self.questions(one) for one in some]), more,
                rounds=self.options.refill, state=self._now, bounds=bounds,
            )  # fmt: skip
        lost = self._alarmed(experience)
        shaped = self._now.shaped(experience.reward, experience.samples)
        measured = self._measured(experience, self._now.method, again=again)
        inputs = inputs_of(
            experience, shaped, measured, method=self._now.method, bounds=bounds,
            penalty=self._penalty(measured),
        )  # fmt: skip
        advantages = self._now.method.estimator(inputs)
        importance, told_of = self._measured.importance(experience, advantages, again=again)
        if not again:
            told = replace(advantages, metrics={**advantages.metrics, **(measured.metrics or {}), **told_of, **spent})
            self.watch.collected(experience, shaped, told, measured.old, measured.ref, over=measured.over)
        self._next = replace(self._moved_on(experience, inputs, measured.old, measured.ref), lost=lost)
        found, self._spare = learned_of(
            experience, advantages, inputs, method=self._now.method, drop_unfinished=self.options.drop_unfinished,
            importance=importance,
        )  # fmt: skip
        return found

    def _alarmed(self, experience: Experience) -> int:
        """Batches without any reward in any process up to this one; says so, and stops all of them after too many."""
        valid = experience.reward.valid
        told, _ = self.everywhere([(int(valid.sum()), len(valid))])
        known, total = map(sum, zip(*told, strict=True))
        return alarmed(known, total, self._now.lost, self.faults(), aloud=self.is_world_process_zero())

    def faults(self) -> dict[str, int]:
        """What went wrong with the reward, and for how many completions, in all processes and the whole run."""
        found = Counter[str]()
        for told in self.everywhere([dict(self.collect.faults)])[0]:
            found.update(told)
        return dict(found)

    def _penalty(self, measured: Measured) -> NDArray[np.float64] | None:
        """What each token loses of its reward for the KL, where it is taken from there."""
        kl = self._now.kl
        if kl is None or self.options.kl_in != "reward" or measured.ref is None:
            return None
        old, ref = torch.from_numpy(measured.old), torch.from_numpy(measured.ref)
        return np.asarray(kl_penalty(old, ref, kl_coef=kl.value).numpy())

    def _weighted(self, groups: Sequence[Learned]) -> list[Learned]:
        """The groups with the weight of each token, whose denominators count the update's completions everywhere."""
        mine = [
            (len(o), float(o[0]), float(c[0]))
            for g in groups
            for o, c in zip(g.columns["often"], g.columns.get("correct", g.columns["often"]), strict=True)
        ]
        everyone = self.everywhere(mine)
        lengths, often, right = (np.array([row[k] for row in everyone[0]]) for k in (0, 1, 2))
        weight, even, how = np.zeros(0), np.zeros(0), self._now.method.weights
        if len(lengths):
            size, there = lengths.astype(np.int64), np.ones(len(lengths), dtype=bool)
            weight = (
                outcome_weights(size, there, right > 0.5) if how == "outcome"
                else token_weights(size, there, how=how, max_tokens=self.options.max_tokens, count=often)
            )  # fmt: skip
            even = token_weights(size, there, how="token", count=often)
        start, found = everyone[1], []
        for g in groups:
            at = range(start, start := start + len(g.completions))
            own = {
                name: [np.full(len(c), part[i]) for i, c in zip(at, g.completions, strict=True)]
                for name, part in (("weight", weight), (EVEN, even))
            }
            found.append(replace(g, columns={**g.columns, **own}))
        return found

    def everywhere(self, mine: list[Any]) -> tuple[list[Any], int]:
        """The entries of all processes, and where this one's begin; all of them must ask at the same place."""
        if self.accelerator.num_processes == 1:
            return mine, 0
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        parts = gather_object([mine])
        return [x for part in parts for x in part], sum(len(p) for p in parts[: self.accelerator.process_index])

    def _rows(self, groups: Sequence[Learned]) -> list[dict[str, Any]]:
        if not groups:
            return []
        return rows_of(
            groups, budget=self.options.tokens_per_row, tree=self.tree, pad_id=self.pad_id,
            temperature=self.options.temperature,
        )  # fmt: skip

    def _evened(self, parts: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """Micro-batches with as many rows in every process, or their gradients would wait for each other for ever."""
        if self.accelerator.num_processes == 1 or self._spare is None:
            return parts
        everywhere, _ = self.everywhere([[len(rows) for rows in parts]])
        most = [max(counts) for counts in zip(*everywhere, strict=True)]
        # a row of weight 0 has a gradient of 0, and takes part in the exchange
        return [[*rows, *({**self._rows([self._spare])[0], FILLER: True} for _ in range(n - len(rows)))]
                for rows, n in zip(parts, most, strict=True)]  # fmt: skip

    # --- the loss of a row

    def _loss(self, outputs: Any, row: Mapping[str, Any]) -> Tensor:
        """Sum over the row's tokens of weight times loss, with any term of KL, and of entropies by `token` weights."""
        tokens: TokenOutputs = outputs
        batch = TokenBatch(
            tokens.logp, row["old_logp"].to(tokens.logp.dtype), row["advantage"].to(tokens.logp.dtype), row["owner"],
            int(row["count"]),
        )  # fmt: skip
        method = self._now.method
        told: Surrogate = method.surrogate(batch, **{name: row[name] for name in method.reads})
        loss = told.loss
        if method.critic is not None:
            assert tokens.value is not None
            value, (before, returns) = tokens.value, (row[n].to(tokens.value.dtype) for n in ("value", "returns"))
            fitted = value_loss(value, before, returns, clip=method.critic.value_clip or None)
            loss = loss + method.critic.value_coef * fitted.loss
        kl = self._now.kl
        if kl is not None and self.options.kl_in == "loss":
            # a constant: with its gradient in, k1 and k3 would both follow KL(policy, start) from the second pass on
            ratio = batch.log_ratio().exp().detach() if self.options.updates > 1 else None
            loss = loss + kl.value * kl_loss(
                batch.logp, row["ref_logp"].to(batch.logp.dtype), optimised=self.options.kl_estimator, ratio=ratio
            )
        self.watch.learnt(told.watched, tokens, row)
        total: Tensor = (loss * row["weight"].to(loss.dtype)).sum()
        if self.options.entropy_coef:
            bonus = entropy_bonus(tokens.entropy, coefficient=self.options.entropy_coef)
            total = total + (bonus * row[EVEN].to(bonus.dtype)).sum()
        return total

    # --- between steps

    def _moved_on(
        self, experience: Experience, inputs: AdvantageInputs, old: NDArray[np.float64],
        ref: NDArray[np.float64] | None,
    ) -> State:  # fmt: skip
        """The state after a batch was seen."""
        now, kl = self._now, self._now.kl
        if kl is not None and self.options.kl_target and ref is not None:
            told, _ = self.everywhere([(float((old - ref).sum()), len(inputs))])  # one coefficient for all processes
            total, count = map(sum, zip(*told, strict=True))
            kl = kl.updated(total / max(count, 1), count)
        method = replace(now.method, estimator=now.method.estimator.updated(inputs))
        return replace(now, method=method, reward=now.after(experience.reward, experience.samples), kl=kl)
