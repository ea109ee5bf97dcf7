"""Fitting a reward model from rows to a saved folder, resumable at any instant."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from plaudit.engine.engine import has_read_head, install_head
from plaudit.engine.rendering import Encoder, Template, well_formed
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Rated
from plaudit.records.sample import Completion, Sample, completion_messages, completion_text, content_hash
from plaudit.records.weights import row_weights, weights_of
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.models import ModelReward
from plaudit.rewards.people.states import check_read_last
from plaudit.rewards.readers.head import Head
from plaudit.runs.progress import Progress
from plaudit.training.collating import Collator
from plaudit.training.config import Backbone, FitConfig, LoopConfig
from plaudit.training.curriculum import CurriculumTrainer
from plaudit.training.groups import Group, TrainingRow, encode_groups, equal_ratings, standardised, standardised_aspects
from plaudit.training.meta_trainer import MetaTrainer, check_meta
from plaudit.training.methods import Method, chosen
from plaudit.training.regularisers.columns import with_fair_columns
from plaudit.training.regularisers.naming import fair_of
from plaudit.training.regularisers.trainer import FairTrainer, fair_objective
from plaudit.training.shifted import shifted_groups
from plaudit.training.stepping import run_steps
from plaudit.training.trainer import Objective, RewardTrainer
from plaudit.training.views import contrasted

Kind = TypeVar("Kind")

NORMALISE_ON = 2048
"""Training sequences whose scores fix the reward's zero and unit; where there are more, so many are drawn."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted reward model and what it took.

    Attributes:
        reward: the model, as it is on disk.
        losses: mean loss of each logged step.
        groups: groups trained on.
        pairs: preferences in them.
        truncated: sequences that lost tokens.
        raw_tokens: tokens of all sequences, once an epoch.
        distinct_tokens: tokens run forward and backward by this process since it started.
        tree: whether prefix trees were used, and if not, why.
    """

    reward: ModelReward
    losses: tuple[float, ...]
    groups: int
    pairs: int
    truncated: int
    raw_tokens: int
    distinct_tokens: int
    tree: str


def fit_reward_model(
    rows: Sequence[TrainingRow], *, backbone: Backbone, config: FitConfig, out: str | Path,
    progress: Callable[..., Progress] = Progress, shifted: Sequence[Sample] = (),
) -> Fit:  # fmt: skip
    """Trains, normalises and saves a reward model under `out/model`.

    A run that was killed goes on from its newest complete checkpoint in `out/checkpoints`, and ends with the losses
    that an undisturbed run has. Checkpoints are removed when the model is saved.

    Args:
        rows: pairs or ranked rows, in any mixture.
        backbone: what to start from.
        config: how to fit.
        out: run folder.
        progress: makes the display.
        shifted: samples of a shifted policy, at least two a prompt, for steps that begin with a meta step of the
            configuration's `meta_rate`.

    Returns:
        The fit; its reward has mean 0 and standard deviation 1 over the training completions or, where there are
        more than `NORMALISE_ON`, over about so many of them, drawn by the configuration's seed (a model that compares
        has no scale).

    Raises:
        InputError: if there are no rows, chosen and rejected are identical everywhere, or training diverges; if there
            are shifted samples without a meta rate or the reverse.
    """
    out = Path(out)
    check_rows(rows)
    check_meta(config, shifted)
    rows = _taught(rows, config)
    model, tokenizer, template = build(rows, backbone, config)
    method, head = chosen(config.objective).method, trained_head(config, rows)
    encoder = Encoder(tokenizer, template)
    groups = _encoded(rows, encoder, config, head)
    alike = equal_ratings(groups, method.labels)
    groups, head = _on_one_scale(groups, head, method)
    fair = fair_of(config.fair, config.group)
    told: dict[str, Any] = {}
    if fair is not None:
        groups, told = with_fair_columns(groups, rows, fair)
    reward = ModelReward(model, tokenizer, _manifest(model, template, config, backbone, head), name=out.name)
    if method.beside:
        check_read_last(reward)
    lists = shifted_groups(shifted, encoder) if shifted else []
    key = content_hash([asdict(config), asdict(backbone), [g.key for g in groups], [g.key for g in lists]])
    trainer = _train(reward, groups, config, out, key, progress, lists)
    facts = _facts(groups, lists, config, key, {"fair": told, "equal": alike})
    reward = _normalised(reward, groups, facts, config.seed, trainer)
    if trainer.is_world_process_zero():
        beside = chosen(config.objective).fit_beside(reward, rows)
        reward.save(out / "model")
        if beside is not None:
            beside.save(out / "model")
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return _fit(reward, groups, trainer)


def _fit(reward: ModelReward, groups: Sequence[Group], trainer: Any) -> Fit:
    gate = reward.engine.gate
    return Fit(
        reward=reward,
        losses=tuple(float(r["loss"]) for r in trainer.state.log_history if "loss" in r),
        groups=len(groups), pairs=sum(g.n_pairs for g in groups),
        truncated=sum(1 for g in groups for c in g.cut if c),
        raw_tokens=sum(int(s.size) for g in groups for s in g.sequences),
        distinct_tokens=trainer.distinct_tokens, tree="prefix trees" if gate.open else gate.reason,
    )  # fmt: skip


def _taught(rows: Sequence[TrainingRow], config: FitConfig) -> Sequence[TrainingRow]:
    """The rows that are trained on."""
    method = chosen(config.objective)
    rows = method.rows(rows)
    if not config.row_weight:
        return rows
    # a step of weight 0 would have no mean, and its rows teach nothing
    left = [r for r, w in zip(rows, row_weights(rows, config.row_weight), strict=True) if w > 0]
    # those that are left must be of both kinds, too
    return method.rows(left) if "labelled" in method.method.columns else left


def _encoded(rows: Sequence[TrainingRow], encoder: Encoder, config: FitConfig, head: Head) -> list[Group]:
    """The rows as groups, with the weights and labels that the configuration asks for."""
    method = chosen(config.objective).method
    weights = weights_of(rows, column=config.row_weight, by_length=config.balance == "length")
    groups = encode_groups(
        rows, encoder, weights=None if weights is None else weights.tolist(),
        labels=method.labels, columns=method.columns, aspects=head.options.get("names", ()),
    )  # fmt: skip
    if config.use_margin and not any(group.margin.any() for group in groups):
        raise InputError("use_margin: no row has a margin or scores that differ; leave it out, or give them")
    return groups


def _normalised(
    reward: ModelReward, groups: Sequence[Group], facts: dict[str, Any], seed: int, trainer: Any
) -> ModelReward:
    """The reward of the trained model, whose manifest says of what its scores are deviations, and what was learned."""
    head, offset, scale = (reward.head, 0.0, 1.0) if reward.head.compares else normalisation(reward, groups, seed)
    made = replace(reward.manifest, head=_recorded(head), offset=offset, scale=scale, training=facts)
    return ModelReward(merged(trainer.model), reward.tokenizer, made, name=reward.name)


def _facts(
    groups: Sequence[Group], lists: Sequence[Group], config: FitConfig, key: str, told: Mapping[str, Any]
) -> dict[str, Any]:
    """What the manifest keeps of a fit, and of what it was `told` whatever there is."""
    found = {"groups": len(groups), "pairs": sum(g.n_pairs for g in groups), "config": asdict(config), "key": key}
    found |= {name: said for name, said in told.items() if said}
    if lists:
        found["shifted"] = {"groups": len(lists), "completions": sum(len(g.sequences) for g in lists)}
    return found


def _on_one_scale(groups: list[Group], head: Head, method: Method) -> tuple[list[Group], Head]:
    """Ratings as the fit reads them, and the head that knows the way back to the raters' scales."""
    if method.labels == "aspects":
        groups, units = standardised_aspects(groups)
        head = replace(head, options={**head.options, **units})
    if method.standardised:
        groups, centre, spread = standardised(groups)
        head = replace(head, centre=centre, spread=spread)
    return groups, head


def build(rows: Sequence[TrainingRow], backbone: Backbone, config: FitConfig) -> tuple[Any, Any, Template]:
    """Model (with LoRA where asked), tokenizer and template."""
    model, tokenizer, template = build_backbone_for(rows, backbone, config)
    install_head(model)
    return (with_lora(model, config) if config.lora_rank else model), tokenizer, template


def build_backbone_for(rows: Sequence[TrainingRow], backbone: Backbone, config: FitConfig) -> tuple[Any, Any, Template]:
    """The backbone, its tokenizer fitted to the rows where it has none."""
    from plaudit.training.backbones import build_backbone

    texts = (t for row in rows for t in _texts(row))
    head = trained_head(config, rows)
    return build_backbone(backbone, texts, max_length=config.max_length, seed=config.seed, head=head)


def trained_head(config: FitConfig, rows: Sequence[TrainingRow] = ()) -> Head:
    """The objective's head for these rows, with the layers that the configuration asks for."""
    head = chosen(config.objective).head_for(rows)
    if config.head_depth == 1:
        return head
    form = {"completion": head.outputs, **head.network}
    layers = {"depth": config.head_depth, "activation": config.head_activation, "width": config.head_width}
    return replace(head, network={**form, **layers})


def check_rows(rows: Sequence[TrainingRow]) -> None:
    """Refuses data that holds no preference at all.

    Raises:
        InputError: if there are no rows, or every pair's completions are identical.
    """
    if not rows:
        raise InputError("training: there are no rows; give a file with at least one preference")
    pairs = [r for r in rows if isinstance(r, Pair)]
    if pairs and len(pairs) == len(rows):
        same = sum(completion_text(p.chosen) == completion_text(p.rejected) for p in pairs)
        if same == len(pairs):
            raise InputError(
                f"training: chosen and rejected are identical in all {same} rows; there is nothing to learn. "
                "Were the columns filled from the same field?"
            )


def normalisation(reward: ModelReward, groups: Sequence[Group], seed: int = 0) -> tuple[Head, float, float]:
    """The head fitted to (about `NORMALISE_ON`) training sequences, and mean and deviation of their scores.

    Args:
        reward: as it was trained.
        groups: of the training data, at least one.
        seed: of the draw, where there are more sequences.

    Raises:
        InputError: if a score is not finite: training diverged.
    """
    some = enough_of(groups, [len(g.sequences) for g in groups], seed)
    reward.model.eval()
    with torch.inference_mode():
        prompts = [g.prompts for g in some] if reward.head.network else None
        outputs = reward.engine.scores([g.sequences for g in some], prompts=prompts)
    head = reward.head.fitted(outputs.double().cpu())
    scores = head.read(outputs.double().cpu()).score
    if not np.isfinite(scores).all():
        raise InputError(
            f"training: {int((~np.isfinite(scores)).sum())} of {scores.size} training scores are not finite; training "
            "diverged. Lower learning_rate"
        )
    return head, float(scores.mean()), float(scores.std()) or 1.0


def enough_of(groups: Sequence[Kind], sizes: Sequence[int], seed: int) -> list[Kind]:
    """Whole groups with `NORMALISE_ON` sequences or just above: not the first, which may all be of one source.

    Args:
        groups: of the training data.
        sizes: sequences of each.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    enough = int(np.searchsorted(np.cumsum(np.asarray(sizes)[order]), NORMALISE_ON)) + 1
    return [groups[i] for i in sorted(order[:enough].tolist())]


def _train(
    reward: ModelReward, groups: Sequence[Group], config: FitConfig, out: Path, key: str,
    progress: Callable[..., Progress], shifted: Sequence[Group],
) -> RewardTrainer:  # fmt: skip
    # processes must run equally many forward passes, or their gradient reductions wait for each other forever
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    collator = Collator(
        budget=config.tokens_per_row if alone else sys.maxsize,
        tree=reward.engine.gate.open,
        pad_id=reward.engine.pad_id,
        item=chosen(config.objective).method.item,
        prompts=bool(reward.head.network.get("prompt")),
    )
    fair, kind = fair_of(config.fair, config.group), None
    if fair is not None:
        kind = partial(FairTrainer, fair=fair)
    elif shifted:
        kind = partial(MetaTrainer, shifted=shifted, meta_rate=config.meta_rate)
    elif chosen(config.objective).options.get("easy_first"):
        kind = partial(CurriculumTrainer, scores=reward.engine.scores, folder=out / "checkpoints", key=key)
    base = objective(config) if fair is None else partial(fair_objective, objective=objective(config))
    outputs, loss = contrasted(config, base, scores=reward.head.outputs)
    return run_steps(
        reward.model, reward.tokenizer, groups, config=config, out=out, key=key, progress=progress, collator=collator,
        objective=loss, outputs=outputs, kind=kind,
    )  # fmt: skip


def objective(config: FitConfig) -> Objective:
    """The loss that a configuration names, with its options."""
    method = chosen(config.objective)
    if method.name != "bradley-terry":
        return method.loss
    return partial(
        method.loss, label_smoothing=config.label_smoothing, center_coef=config.center_coef,
        margin_scale=config.margin_scale if config.use_margin else 0.0,
    )  # fmt: skip


def _manifest(model: Any, template: Template, config: FitConfig, backbone: Backbone, head: Head) -> Manifest:
    return Manifest(
        head=_recorded(head),
        reader="leaf" if has_read_head(model) else "classification", template=template.to_dict(),
        objective=config.objective, base=backbone.name,
    )  # fmt: skip


def _recorded(head: Head) -> dict[str, Any]:
    """A head as a manifest has it: nothing for one linear output."""
    return {} if head == Head() else asdict(head)


def with_lora(model: Any, config: LoopConfig, *, task: str = "SEQ_CLS") -> Any:
    """The model with adapters on all linear layers; `task` is peft's name for its kind.

    Raises:
        InputError: if peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise InputError("lora_rank is set, but peft is not installed; pip install 'plaudit[lora]'") from error
    lora = LoraConfig(
        task_type=task, r=config.lora_rank, lora_alpha=2 * config.lora_rank, lora_dropout=0.0,
        target_modules="all-linear",
    )  # fmt: skip
    return get_peft_model(model, lora)


def merged(model: Any) -> Any:
    """The plain model with adapters merged into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def completions_of(row: TrainingRow) -> Sequence[Completion]:
    """The completions of a training row, in its order."""
    if isinstance(row, Rated):
        return (row.completion,)
    return (row.chosen, row.rejected) if isinstance(row, Pair) else row.completions


def _texts(row: TrainingRow) -> list[str]:
    completions = completions_of(row)
    messages = [*row.prompt, *(m for c in completions for m in completion_messages(c))]
    return [well_formed(m.text) for m in messages]


__all__ = ["Fit", "check_rows", "fit_reward_model", "has_read_head", "normalisation", "objective"]
