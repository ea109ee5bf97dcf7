"""What models say of a batch of completions: the policy's start, its value function, a model of token rewards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.engine.attending import last_attention
from plaudit.errors import IntegrityError
from plaudit.policy.advantages.base import Advantages
from plaudit.policy.advantages.filtering import left_out_groups
from plaudit.policy.losses.implicit import implicit_rewards, right_order
from plaudit.policy.losses.outcomes import outcome_importance, outcomes_told
from plaudit.policy.online.compressing import kept_lengths
from plaudit.policy.online.config import OnlineConfig, needs_reference
from plaudit.policy.online.experience import Collector, Experience
from plaudit.policy.online.lessons import Measured, correct_of
from plaudit.policy.online.method import Method
from plaudit.policy.online.packing import Learned
from plaudit.policy.online.process import ProcessModel
from plaudit.policy.online.reading import indexed, read_flat
from plaudit.policy.online.token_model import TokenModel
from plaudit.shaping.groups.codes import Groups

Floats = NDArray[np.float64]
ROUNDING = 1e-5
"""Relative difference of two log-probabilities in float32 below which they are the same."""


@final
class Measurer:
    """Reads the numbers that advantages are made of besides the reward.

    What depends on weights that move while a batch serves (values, token rewards, scores of tokens) is kept in the
    run's log: a run that is resumed in the middle of a batch sees it as it was.

    Args:
        policy: the model that is trained, as it is now, out of any wrapper.
        reference: the frozen start; None where it is the policy without its adapters, or is not needed.
        process: the model of token rewards; None without one.
        tokens: the model of what tokens have to do with outcomes; None without one.
        tokenizer: that the completions are of, for methods that compress them.
        collect: whose log is written, and whose reward says what is right.
        options: of the run.
        rows: packs groups into rows.
        device: where the models are.
        precision: the context of a forward pass.
    """

    def __init__(
        self, policy: Callable[[], Any], reference: Any, process: ProcessModel | None, *, collect: Collector,
        options: OnlineConfig, rows: Callable[[Sequence[Learned]], list[dict[str, Any]]], device: Any,
        precision: Callable[[], AbstractContextManager[Any]], tokens: TokenModel | None = None, tokenizer: Any = None,
    ) -> None:  # fmt: skip
        self.tokenizer = tokenizer
        self.policy, self.reference, self.process, self.tokens = policy, reference, process, tokens
        self.collect, self.options, self.rows, self.device, self.precision = collect, options, rows, device, precision

    def __call__(self, experience: Experience, method: Method, *, again: bool) -> Measured:
        """The numbers of a batch.

        Args:
            experience: the batch.
            method: what is needed.
            again: whether a resumed run takes the batch up in its middle: nothing is fitted to it once more.
        """
        old = np.concatenate([np.array(r.logp) for r in experience.flat])
        ref = self._start(experience) if needs_reference(self.options, method) else None
        values, rewards = None, None
        metrics: dict[str, float] = {}
        if method.critic is not None:
            values = self._kept("values", experience, lambda: self._read(self.policy(), experience, values=True), again)
        if self.process is not None:
            assert ref is not None
            fresh = old
            if not again:
                fresh, metrics = self._learnt(self.process, experience, ref, method)
            logps = self._kept("process", experience, lambda: fresh, again)
            # passes differ by rounding, which an estimator that normalises blows up while the model is the start
            logps = np.where(np.abs(logps - ref) <= ROUNDING * np.maximum(1, np.abs(ref)), ref, logps)
            rewards = implicit_rewards(torch.from_numpy(logps), torch.from_numpy(ref)).numpy()
        columns, over = {}, {}
        if method.compress:
            kept = self._kept("kept_length", experience, lambda: self._compressed(experience, method.compress), again)
            columns["kept_length"] = kept
            left = kept / lengths_of(experience)
            metrics = {**metrics, "kept_share": float(np.nanmean(left)) if np.isfinite(left).any() else math.nan}
            over = {"kept_share": float(np.isfinite(left).sum())}
        return Measured(old, ref, values, rewards, metrics, over, columns)

    def _compressed(self, experience: Experience, marker: str) -> Floats:
        """Tokens of each right completion that compression would leave, (n,); NaN for the others."""
        correct = correct_of(experience.reward.reward, self.collect.scorer.reward.bounds)
        assert correct is not None
        with self.precision():
            return kept_lengths(
                experience.flat, correct, experience.groups, attend=partial(last_attention, self.policy()),
                tokenizer=self.tokenizer, marker=marker,
            )  # fmt: skip

    def importance(
        self, experience: Experience, advantages: Advantages, *, again: bool
    ) -> tuple[Floats | None, dict[str, float]]:
        """How much each token of a batch had to do with the outcome, (t,), and numbers to watch; None without a model.

        The model is asked about, and learns from, what takes part in the loss; elsewhere the importance is 0.

        Args:
            experience: the batch.
            advantages: of it.
            again: see `__call__`.
        """
        if self.tokens is None:
            return None, {}
        correct = correct_of(experience.reward.reward, self.collect.scorer.reward.bounds)
        assert correct is not None
        lengths, taken = lengths_of(experience), advantages.included & np.isfinite(correct)
        found, metrics = np.zeros(int(lengths.sum())), dict[str, float]()
        if not taken.any():
            return found, metrics
        fresh = np.zeros(0)
        if not again:
            rows = self.rows(indexed(experience, {"outcome": np.repeat(correct, lengths)}, only=taken))
            fresh, metrics["token_loss"] = self.tokens.learnt(rows, known=int(taken.sum()), precision=self.precision)
        scores = torch.from_numpy(self._kept("importance", experience, lambda: fresh, again))
        owner = torch.from_numpy(np.repeat(np.arange(int(taken.sum())), lengths[taken]))
        right = torch.from_numpy(correct[taken] > 0.5)
        part = outcome_importance(scores, owner, len(right), right).numpy()
        found[np.repeat(taken, lengths)] = part
        return found, {
            **metrics, "token_right": outcomes_told(scores, owner, len(right), right), "importance": float(part.mean())
        }  # fmt: skip

    def _start(self, experience: Experience) -> Floats:
        """Log-probabilities under the starting policy."""
        if self.reference is not None:
            return self._read(self.reference, experience)
        inner = self.policy()
        context: AbstractContextManager[Any] = inner.disable_adapter() if self.options.lora_rank else nullcontext()
        with context:
            return self._read(inner, experience)

    def _read(self, model: Any, experience: Experience, *, values: bool = False) -> Floats:
        return read_flat(
            model, self.rows(indexed(experience)), device=self.device, precision=self.precision, values=values
        )

    def _kept(self, name: str, experience: Experience, read: Callable[[], Floats], again: bool) -> Floats:
        """Numbers of a batch's tokens as the log has them, where they are put if it has none yet."""
        key, log = f"{name}:{experience.questions[0].key}", self.collect.log
        if key not in log:
            if again:
                raise IntegrityError(f"log {log.path}: lacks {key}, which this run wrote; start in another folder")
            log.put(key, [None if math.isnan(x) else x for x in read().tolist()])
        return np.array(log[key], dtype=np.float64)

    def _learnt(
        self, process: ProcessModel, experience: Experience, ref: Floats, method: Method
    ) -> tuple[Floats, dict[str, float]]:
        """The process model's log-probabilities before it learns from the batch, and how well it knew the outcomes.

        It is asked about, and learns from, the groups that the method's filter keeps, as in the authors' code; the
        others get the reference's, that is rewards of 0, and take no part in the advantages.
        """
        reward, groups = experience.reward.reward, Groups.of(experience.groups)
        correct = correct_of(reward, self.collect.scorer.reward.bounds)
        assert correct is not None
        keep = ~left_out_groups(method.estimator, reward, groups, correct=correct)[groups.code]
        if not keep.any():
            return ref, {"process_loss": math.nan, "process_order": math.nan}
        lengths = lengths_of(experience)
        columns = {"ref_logp": ref, "outcome": np.repeat(correct, lengths)}
        known, told = int(np.isfinite(correct[keep]).sum()), np.repeat(keep, lengths)
        part, loss = process.learnt(
            self.rows(indexed(experience, columns, only=keep)), known=known, precision=self.precision
        )
        order = right_order(
            torch.from_numpy(part), torch.from_numpy(ref[told]),
            torch.from_numpy(np.repeat(np.arange(int(keep.sum())), lengths[keep])), int(keep.sum()),
            torch.from_numpy(correct[keep]), torch.from_numpy(experience.groups[keep]),
        )  # fmt: skip
        logps = ref.copy()
        logps[told] = part
        return logps, {"process_loss": loss, "process_order": order}


def lengths_of(experience: Experience) -> NDArray[np.int64]:
    """Counted tokens of each completion, (n,)."""
    return np.array([len(r.completion_ids) for r in experience.flat], dtype=np.int64)


__all__ = ["Measurer"]
