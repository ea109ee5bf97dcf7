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
from torch import Tensor, nn

from plaudit.engine.values import (
    ValueHead,
    install_value_head,
    load_value_head,
    remove_value_head,
    save_value_head,
    value_head,
)
from plaudit.engine.vocabulary import Wanted, reading_tokens
from plaudit.errors import InputError
from plaudit.policy.losses.conservative import conservative_loss, conservative_targets, q_values
from plaudit.policy.offline.config import AlignConfig
from plaudit.records.rows import Ranked, Rated, Unpaired
from plaudit.records.sample import Completion, Sample
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.runs.progress import Progress
from plaudit.training.policies.encoding import PolicyGroup, encode_policy_groups
from plaudit.training.policies.packing import PolicyCollator, row_inputs
from plaudit.training.stepping import run_steps
from plaudit.training.trainer import RewardTrainer

PHI, RESIDUAL = "value_phi.safetensors", "value_residual.safetensors"
"""The two values in a run's folder."""


@final
@dataclass(frozen=True, eq=False)
class Steps:
    """The tokens of a row as steps of a decision, each (t,) or (t, v).

    Attributes:
        logits: l of each state.
        value: V of each state.
        taken: the tokens.
        target: what Q of them is fitted to.
        shown: 1 where the token is a demonstration's.
        share: 1 over the tokens of its completion.
    """

    logits: Tensor
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
        logits, value = _said(model, row)
        first, start = logits.detach(), value.new_zeros(value.shape)
        if self.prior is not None:
            with torch.no_grad():
                first, start = _said(self.prior.to(row["input_ids"].device), row)
        value = value + start
        owner, state = row["owner"], row["column"][row["edge"]]
        taken = row["input_ids"].reshape(-1)[row["after"]][row["edge"]]
        count = torch.bincount(owner, minlength=len(row["scores"]))
        last = torch.ones_like(owner, dtype=torch.bool)
        last[:-1] = owner[1:] != owner[:-1]
        reward = torch.where(last, row["scores"].to(value.dtype)[owner], value.new_zeros(()))
        follows = torch.where(last, state, state.roll(-1))  # behind the last nothing counts
        greedy = first.argmax(-1, keepdim=True)
        alpha, highest = self.options["alpha"], self.options["highest"]
        with torch.no_grad():
            # only what the start would say next is asked, so that no second table of the vocabulary is made
            next_q = q_values(logits, value, alpha=alpha, highest=highest).gather(-1, greedy)[follows]
            target = conservative_targets(
                reward, next_q, torch.zeros_like(next_q), last.to(value.dtype), gamma=self.options["gamma"]
            )
        shown = row["wanted"].to(value.dtype)[owner]
        return Steps(logits[state], value[state], taken, target, shown, 1 / count[owner].to(value.dtype))


def _said(model: Any, row: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits (s, v) and values (s,) of a row's states, by one forward call."""
    sources = row["sources"]
    with reading_tokens(Wanted(sources, sources[:0], sources[:0], saying=True)):
        states = model(**row_inputs(row)).logits[0]
    inner: Any = getattr(model, "module", model)
    head, value = inner.get_output_embeddings(), value_head(model)
    assert value is not None
    return nn.functional.linear(states, head.weight, head.bias).float(), value(states)


@final
@dataclass(frozen=True, slots=True)
class Conservative:
    """The loss of a row: `conservative_loss`, a mean over each completion's tokens, summed over completions."""

    options: Mapping[str, float]
    policy: bool

    def __call__(self, outputs: Any, row: Mapping[str, Any]) -> Tensor:
        """In the first fit the squared temporal differences alone."""
        del row
        steps: Steps = outputs
        o = self.options
        told = conservative_loss(
            steps.logits, steps.value, steps.taken, steps.target, steps.shown, alpha=o["alpha"], highest=o["highest"],
            beta_adv=o["beta_adv"], beta_ce=o["beta_ce"],
        )  # fmt: skip
        total: Tensor = ((told.total if self.policy else told.error) * steps.share).sum()
        return total


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
        InputError: if adapters are asked for.
    """
    if config.lora_rank:
        raise InputError("algorithm b-coder: trains the model whole, beside a frozen copy; leave lora_rank out")
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
    install_value_head(base, trunk=True)
    trainer = run_steps(
        base, language.tokenizer, groups, config=config, out=out, key=key, progress=progress, collator=collator,
        objective=Conservative(options, True), outputs=Reading(prior, options),
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
