"""Fitting a causal language model as a reward, from rows to a saved folder, resumable at any instant."""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.engine.rendering import Template, ensure_pad, well_formed
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import completion_messages, content_hash
from plaudit.rewards import folders
from plaudit.rewards.likelihood.language import LanguageModel, open_causal
from plaudit.rewards.likelihood.outcomes import Scale
from plaudit.rewards.likelihood.principle import PrincipleReward
from plaudit.rewards.likelihood.ratio import RatioOptions, RatioReward
from plaudit.rewards.likelihood.saved import save_likelihood
from plaudit.rewards.likelihood.yes import YesComparison, YesReward, fitting
from plaudit.rewards.manifest import Manifest
from plaudit.runs.progress import Progress
from plaudit.training.backbones import fit_tokenizer, scratch_llama, without_dropout
from plaudit.training.config import Backbone, FitConfig, LoopConfig
from plaudit.training.fitting import enough_of, merged, with_lora
from plaudit.training.methods import Chosen, chosen
from plaudit.training.policies.encoding import PolicyGroup, encode_policy_groups, with_reference
from plaudit.training.policies.packing import PolicyCollator, policy_outputs
from plaudit.training.policies.reference import reference_logps
from plaudit.training.stepping import run_steps
from plaudit.training.trainer import RewardTrainer

LikelihoodReward = RatioReward | YesReward | PrincipleReward
REFERENCE = ("implicit-ce", "implicit-kto", "implicit-dpo", "implicit-nca")
"""Objectives on log-ratios: the reference is the start."""
BASELINE = ("implicit-kto",)
"""Objectives that need completions of other prompts."""
WORDS = ("yes-token", "principle-token")
"""Objectives of one word: the first token in which two completions differ."""
FLOOR = -10.0
"""Lowest normalised reward."""


@dataclass(frozen=True, slots=True)
class LikelihoodFit:
    """A fitted reward and what it took.

    Attributes:
        reward: as it is on disk.
        losses: mean loss of each logged step.
        groups: groups trained on.
        pairs: preferences in them.
        sequences: completions in them.
        raw_tokens: tokens of all sequences, once an epoch.
        distinct_tokens: tokens run forward and backward by this process since it started.
        truncated: sequences whose conversation lost its beginning.
        left_out: questions of one word that `max_length` would have cut, and that were not trained on: scoring refuses
            them as well.
        tree: whether prefix trees were used, and if not, why.
    """

    reward: LikelihoodReward
    losses: tuple[float, ...]
    groups: int
    pairs: int
    sequences: int
    raw_tokens: int
    distinct_tokens: int
    truncated: int
    left_out: int
    tree: str


def fit_likelihood_reward(
    rows: Sequence[Any], *, backbone: Backbone, config: FitConfig, objective: str = "", out: str | Path,
    progress: Callable[..., Progress] = Progress,
) -> LikelihoodFit:  # fmt: skip
    """Trains a causal language model on preferences or outcomes, and saves it as a reward under `out/model`.

    The reference of a log-ratio is the model that training starts from. Its log-probabilities are computed once, before
    the first step, and kept in `out/reference.npz`. A killed run goes on from its newest complete checkpoint.

    Args:
        rows: what the objective needs, see `plaudit train --objective help`.
        backbone: causal model to start from, or `scratch`.
        config: how to fit.
        objective: with its options; the configuration's by default.
        out: run folder.
        progress: makes the display.

    Returns:
        The fit; a log-ratio's reward has mean 0 and standard deviation 1 over the training completions.

    Raises:
        InputError: if the objective trains no causal model, rows lack what it needs, or training diverges.
    """
    out = Path(out)
    config = replace(config, objective=objective) if objective else config
    method = chosen(config.objective)
    if method.method.model != "causal":
        raise InputError(f"objective {method.name} trains a classifier; use fit_reward_model, or an implicit objective")
    if not rows:
        raise InputError("training: there are no rows; give a file with at least one preference or label")
    rows = method.rows(rows)
    language = start_language(backbone, (t for row in rows for t in _texts(row)), config)
    asked = len(rows)
    if method.name in WORDS:
        rows = _whole(rows, language)
    groups = encode_policy_groups(
        rows, language, labels=method.method.labels == "values", mismatch=method.name in BASELINE,
        answers=method.name in WORDS,
    )  # fmt: skip
    reference = None
    if method.name in REFERENCE:
        reference = LanguageModel(
            copy.deepcopy(language.model), language.tokenizer, language.template, name="reference"
        )
        groups = with_reference(groups, reference_logps(reference, groups, out / "reference.npz"))
    key = content_hash([asdict(config), asdict(backbone), [g.key for g in groups]])
    trained = with_lora(language.model, config, task="CAUSAL_LM") if config.lora_rank else language.model
    trainer = run_steps(
        trained, language.tokenizer, groups, config=config, out=out, key=key, progress=progress,
        collator=_collator(language, config, method), objective=method.loss, outputs=policy_outputs,
    )  # fmt: skip
    done = LanguageModel(merged(trainer.model), language.tokenizer, language.template, name=out.name)
    reward = _reward(done, reference, groups, method, out.name, config.seed)
    fit = _described(reward, groups, trainer, done, left_out=asked - len(rows))
    if trainer.is_world_process_zero():
        facts: dict[str, Any] = {"groups": fit.groups, "pairs": fit.pairs, "left_out": fit.left_out}
        facts |= {"config": asdict(config), "key": key}
        save_likelihood(out / "model", reward, Manifest(objective=config.objective, base=backbone.name, training=facts))
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return fit


def _whole(rows: Sequence[Any], language: LanguageModel) -> list[Any]:
    """The rows whose question is read whole: what truncation leaves of one is another question."""
    kept = [row for row in rows if fitting(language, row.prompt)]
    if not kept:
        raise InputError(
            f"training: none of {len(rows)} questions fits max_length {language.template.max_length}; raise max_length"
        )
    return kept


def _described(
    reward: LikelihoodReward, groups: Sequence[PolicyGroup], trainer: RewardTrainer, done: LanguageModel, *,
    left_out: int,
) -> LikelihoodFit:  # fmt: skip
    """The fit, with what it took."""
    located = [one for g in groups for one in g.located]
    gate = done.engine.gate
    return LikelihoodFit(
        reward=reward,
        losses=tuple(float(r["loss"]) for r in trainer.state.log_history if "loss" in r),
        groups=len(groups), pairs=sum(int(g.better.size) for g in groups), sequences=len(located),
        raw_tokens=sum(int(one.ids.size) for one in located), distinct_tokens=trainer.distinct_tokens,
        truncated=sum(1 for one in located if one.cut), left_out=left_out,
        tree="prefix trees" if gate.open else gate.reason,
    )  # fmt: skip


def start_language(backbone: Backbone, texts: Any, config: LoopConfig, *, foreign: bool = False) -> LanguageModel:
    """The causal model of a backbone, without dropout, with its tokenizer and template.

    Args:
        backbone: what to start from.
        texts: for a tokenizer that is fitted to them.
        config: longest sequence, seed, tokens a row.
        foreign: whether texts are rendered by the model's own chat template and nothing more: what a policy says ends
            as its makers let it end. A reward is read at an EOS of its own.

    Raises:
        InputError: if `max_length` is more than the model's positions.
    """
    from transformers import AutoConfig, LlamaForCausalLM, set_seed

    set_seed(config.seed)
    if backbone.name == "scratch":
        made = backbone.tokenizer
        tokenizer = folders.open_tokenizer(made) if made else fit_tokenizer(texts, backbone.vocabulary)
        shape = scratch_llama(backbone, tokenizer, config.max_length).config
        set_seed(config.seed)
        model: Any = LlamaForCausalLM(shape)
    else:
        tokenizer = folders.open_tokenizer(backbone.tokenizer or backbone.name)
        shape = folders.open_pretrained(AutoConfig, backbone.name)
        without_dropout(shape.get_text_config())
        model = open_causal(backbone.name, config=shape, dtype="float32")
        positions = int(getattr(shape.get_text_config(), "max_position_embeddings", 0) or config.max_length)
        if config.max_length > positions:
            raise InputError(
                f"max_length is {config.max_length}, but {backbone.name} has {positions} positions; lower max_length"
            )
    ensure_pad(tokenizer, model)
    template = (Template.foreign if foreign else Template.of)(tokenizer, max_length=config.max_length)
    return LanguageModel(model, tokenizer, template, name="policy", budget=config.tokens_per_row)


def _texts(row: Any) -> list[str]:
    if isinstance(row, Pair):
        completions: Sequence[Any] = (row.chosen, row.rejected)
    else:
        completions = row.completions if isinstance(row, Ranked) else (row.completion,)
    return [well_formed(m.text) for m in (*row.prompt, *(m for c in completions for m in completion_messages(c)))]


def _collator(language: LanguageModel, config: FitConfig, method: Chosen) -> PolicyCollator:
    # processes must run equally many forward passes, or their gradient reductions wait for each other forever
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    return PolicyCollator(
        budget=config.tokens_per_row if alone else sys.maxsize, tree=language.engine.gate.open,
        pad_id=language.engine.pad_id, item=method.method.item,
    )  # fmt: skip


def _reward(
    language: LanguageModel,
    reference: LanguageModel | None,
    groups: Sequence[PolicyGroup],
    method: Chosen,
    name: str,
    seed: int,
) -> LikelihoodReward:
    """What the fitted model is read as."""
    if method.name == "yes-token":
        return YesReward(YesComparison(language), name=name)
    if method.name == "principle-token":
        return PrincipleReward(language, scale=Scale(floor=-50.0), name=name)
    options = RatioOptions(beta=float(method.options["beta"]))
    scale = _scale(language, groups, options.beta, seed)
    return RatioReward(language, reference, options=options, scale=scale, name=name)


def _scale(language: LanguageModel, groups: Sequence[PolicyGroup], beta: float, seed: int) -> Scale:
    """Zero and unit of the scores of (about `NORMALISE_ON`) training completions, drawn by the seed."""
    drawn = enough_of(groups, [int((~g.mismatched).sum()) for g in groups], seed)
    some = [(one, r) for g in drawn for one, r, m in zip(g.located, g.reference, g.mismatched, strict=True) if not m]
    read = language.read([one for one, _ in some])
    scores = np.array([beta * (row.logps.sum() - r) for row, (_, r) in zip(read, some, strict=True) if row is not None])
    if not np.isfinite(scores).all():
        raise InputError(
            f"training: {int((~np.isfinite(scores)).sum())} of {scores.size} training scores are not finite; training "
            "diverged. Lower learning_rate"
        )
    return Scale(float(scores.mean()), float(scores.std()) or 1.0, FLOOR)
