"""B-Coder as a run: a policy from scored completions, the advantages of a Q function that is fitted off-policy [199].

Two fits. First the value of each state, `V_phi`, by temporal differences, the language model frozen: a linear head on
its states. Then the language model l and a residual value `V_res` (a head that begins at 0) together, `V = V_res +
V_phi`, with the conservative target: the frozen start chooses what comes next. Nothing is sampled on the way.

Differs from the paper: both values are linear heads, V_phi on the states of the frozen start, V_res on those of the
policy; a completion's loss is the mean over its tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from plaudit.engine.values import (
    ValueHead,
    install_value_head,
    load_value_head,
    read_advantages,
    read_choice,
    remove_value_head,
    save_value_head,
    value_head,
)
from plaudit.engine.vocabulary import Wanted
from plaudit.errors import InputError
from plaudit.policy.losses.conservative import conservative_targets, conservative_token_loss, q_of_tokens
from plaudit.policy.offline.config import AlignConfig
from plaudit.records.rows import Ranked, Rated, Unpaired
from plaudit.records.sample import Completion, Sample
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.runs.progress import Progress
from plaudit.training.fitting import with_lora
from plaudit.training.policies.encoding import PolicyGroup, encode_policy_groups
from plaudit.training.policies.packing import PolicyCollator, row_inputs
from plaudit.training.stepping import run_steps
from plaudit.training.trainer import RewardTrainer

PHI, RESIDUAL = "value_phi.safetensors", "value_residual.safetensors"
"""The two values in a run's folder."""


@final
@dataclass(frozen=True, eq=False)
class Steps:
    """The tokens of a row as steps of a decision, each (t,).

    Attributes:
        logp: log-probability of each, nats.
        best: of the likeliest token of its state.
        value: V of its state.
        taken: the tokens.
        target: what Q of them is fitted to.
        shown: 1 where the token is a demonstration's.
        share: 1 over the tokens of its completion.
    """

    logp: Tensor
    best: Tensor
    value: Tensor
    taken: Tensor
    target: Tensor
    shown: Tensor
    share: Tensor


@final
class Reading:
    """Runs a row: the trained model, and the frozen start beside it.

    Args:
        prior: the frozen start, with its value head; None where the trained model is the start (the first fit).
        options: `alpha`, `gamma`, `highest`.
    """

    def __init__(self, prior: Any, options: Mapping[str, float]) -> None:
        self.prior, self.options = prior, options

    def __call__(self, model: Any, row: dict[str, Tensor]) -> Any:
        """The row's `Steps`."""
        inputs, sources = row_inputs(row), row["sources"]
        column, targets = row["column"], row["input_ids"].reshape(-1)[row["after"]]
        edges, start, choice = len(targets), None, None
        if self.prior is not None:  # only what the start would say next is asked of Q there
            choice, start = read_choice(self.prior.to(sources.device), inputs, sources)
            column = torch.cat([column, torch.arange(len(sources), device=sources.device)])
            targets = torch.cat([targets, choice])
        logps, best, value = read_advantages(model, inputs, Wanted(sources, column, targets))
        value = value if start is None else value + start.to(value.dtype)
        owner, state = row["owner"], row["column"][row["edge"]]
        count = torch.bincount(owner, minlength=len(row["scores"]))
        last = torch.ones_like(owner, dtype=torch.bool)
        last[:-1] = owner[1:] != owner[:-1]
        target = self._target(row, (best if choice is None else logps[edges:]) - best, value, state, last)
        shown = row["wanted"].to(value.dtype)[owner]
        return Steps(
            logps[:edges][row["edge"]], best[state], value[state], targets[:edges][row["edge"]], target, shown,
            1 / count[owner].to(value.dtype),
        )  # fmt: skip

    @torch.no_grad()
    def _target(self, row: Mapping[str, Tensor], ahead: Tensor, value: Tensor, state: Tensor, last: Tensor) -> Tensor:
        """(t,) from `l(g) - max l` of each state, g what the start would say, and its value."""
        alpha, highest = self.options["alpha"], self.options["highest"]
        reward = torch.where(last, row["scores"].to(value.dtype)[row["owner"]], value.new_zeros(()))
        follows = torch.where(last, state, state.roll(-1))  # behind the last nothing counts
        next_q = q_of_tokens(ahead, torch.zeros_like(ahead), value, alpha=alpha, highest=highest)[follows, None]
        return conservative_targets(
            reward, next_q, torch.zeros_like(next_q), last.to(value.dtype), gamma=self.options["gamma"]
        )


@final
@dataclass(frozen=True, slots=True)
class Conservative:
    """The loss of a row: `conservative_token_loss`, a mean over each completion's tokens, summed over completions."""

    options: Mapping[str, float]
    policy: bool

    def __call__(self, outputs: Any, row: Mapping[str, Any]) -> Tensor:
        """In the first fit the squared temporal differences alone."""
        del row
        steps: Steps = outputs
        o = self.options
        told = conservative_token_loss(
            steps.logp, steps.best, steps.value, steps.target, steps.shown, alpha=o["alpha"], highest=o["highest"],
            beta_adv=o["beta_adv"], beta_ce=o["beta_ce"],
        )  # fmt: skip
        total: Tensor = ((told.total if self.policy else told.error) * steps.share).sum()
        return total


@final
class ValuedTrainer(RewardTrainer):
    """A `RewardTrainer` whose checkpoints hold the residual value: a checkpoint of adapters alone would not."""

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        folder, head = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}", value_head(self.model)
        if self.is_world_process_zero() and head is not None:
            folder.mkdir(parents=True, exist_ok=True)
            save_value_head(head, folder / RESIDUAL)
        return super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        head = value_head(self.model)
        assert head is not None
        load_value_head(head, Path(resume_from_checkpoint) / RESIDUAL)


def fit_values(
    language: LanguageModel, groups: Sequence[PolicyGroup], *, options: Mapping[str, float], config: AlignConfig,
    out: Path, collator: PolicyCollator, progress: Callable[..., Progress], key: str,
) -> RewardTrainer:  # fmt: skip
    """Both fits; the trained model is left without its value heads, which are saved in the run's folder.

    Args:
        language: the policy; trained in place.
        groups: from `valued_groups`.
        options: of the algorithm.
        config: of both fits; `value_epochs` of the options is the first one's.
        out: run folder; the first fit is in `out/value`.
        collator: packs groups into rows.
        progress: makes the display.
        key: hash of data and configuration.

    Raises:
        UnsupportedError: if the model alters what its last layer gives.
    """
    base = language.model
    prior = copy.deepcopy(base)
    install_value_head(prior, trunk=False)
    for name, parameter in prior.named_parameters():
        parameter.requires_grad_(".value." in name or name.startswith("value."))
    head = value_head(prior)
    assert head is not None
    if not (out / PHI).is_file():
        run_steps(
            prior, language.tokenizer, groups, config=replace(config, epochs=options["value_epochs"]),
            out=out / "value", key=f"{key}-value", progress=progress, collator=collator,
            objective=Conservative(options, False), outputs=Reading(None, options),
        )  # fmt: skip
        save_value_head(head, out / PHI)
    load_value_head(head, out / PHI)
    prior.eval().requires_grad_(False)
    trained = with_lora(base, config, task="CAUSAL_LM") if config.lora_rank else base
    install_value_head(trained, trunk=True)
    trainer = run_steps(
        trained, language.tokenizer, groups, config=config, out=out, key=key, progress=progress, collator=collator,
        objective=Conservative(options, True), outputs=Reading(prior, options),
        kind=ValuedTrainer,
    )  # fmt: skip
    residual: ValueHead | None = value_head(trainer.model)
    assert residual is not None
    save_value_head(residual, out / RESIDUAL)
    remove_value_head(trainer.model)
    return trainer


def valued_rows(rows: Sequence[Any]) -> list[Sample]:
    """Completions with `meta["reward"]`, a program's, and `meta["demonstrated"]`, whether a person wrote it.

    Args:
        rows: samples with a number `reward`, rated rows with a score, or ranked rows with scores; a row's own
            `demonstrated` says whether it is a person's. A reward of null (the completion could not be checked) leaves
            the row out.

    Raises:
        InputError: naming the first row without a reward; if none is left.
    """
    found: list[Sample] = []
    for i, row in enumerate(rows):
        if isinstance(row, Ranked):
            parts: list[tuple[Completion, Any]] = [*zip(row.completions, row.scores, strict=True)]
        elif isinstance(row, Rated):
            parts = [(row.completion, row.score)]
        elif isinstance(row, Sample) and "reward" in row.meta:
            parts = [(row.completion, row.meta["reward"])]
        else:
            raise InputError(
                f"algorithm b-coder: row {i + 1} has no reward; give samples with reward (plaudit score), rated or "
                "ranked rows"
            )
        for completion, reward in parts:
            if reward is None:
                continue
            if isinstance(reward, bool) or not isinstance(reward, int | float) or not np.isfinite(reward):
                raise InputError(f"algorithm b-coder: row {i + 1} has the reward {reward!r}; give a finite number")
            told = {"reward": float(reward), "demonstrated": bool(row.meta.get("demonstrated", False))}
            found.append(Sample(row.prompt, completion, meta=told))
    if not found:
        raise InputError(f"algorithm b-coder: none of the {len(rows)} rows has a reward; there is nothing to learn")
    return found


def valued_groups(rows: Sequence[Any], language: LanguageModel) -> list[PolicyGroup]:
    """Tokenised, the reward as the score and `demonstrated` as what is wanted."""
    shown = [Unpaired(r.prompt, r.completion, bool(r.meta["demonstrated"])) for r in rows]
    groups = encode_policy_groups(shown, language, labels=True)
    found, start = [], 0
    for group in groups:
        mine = rows[start : start + len(group.located)]
        found.append(replace(group, scores=np.array([float(r.meta["reward"]) for r in mine])))
        start += len(mine)
    return found


__all__ = ["PHI", "RESIDUAL", "Conservative", "Reading", "Steps", "fit_values", "valued_groups", "valued_rows"]
