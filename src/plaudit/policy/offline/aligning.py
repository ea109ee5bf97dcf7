"""Aligning a policy: rows in, a plain causal model folder and what was done to it out; resumable at any instant."""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plaudit.engine.vocabulary import install_logp_head
from plaudit.errors import InputError
from plaudit.policy.algorithms import NamedAlgorithm, algorithm
from plaudit.policy.offline.anchor import Anchor
from plaudit.policy.offline.config import AlignConfig
from plaudit.policy.offline.contrast import with_token_rewards
from plaudit.policy.offline.data.checking import checked_rows
from plaudit.policy.offline.judging import with_judgements
from plaudit.policy.offline.losses.regression import blended
from plaudit.policy.offline.objective import Alignment
from plaudit.policy.offline.trainer import AlignTrainer
from plaudit.policy.offline.valued import fit_values, valued_groups
from plaudit.policy.saving import save_policy
from plaudit.records.sample import content_hash
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.runs.origin import versions
from plaudit.runs.progress import Progress
from plaudit.training.config import Backbone
from plaudit.training.fitting import merged, with_lora
from plaudit.training.policies.encoding import PolicyGroup, encode_policy_groups, with_reference, with_start
from plaudit.training.policies.fitting import start_language
from plaudit.training.policies.packing import PolicyCollator, token_outputs
from plaudit.training.policies.reference import Logps, reference_logps
from plaudit.training.stepping import run_steps


@dataclass(frozen=True, slots=True)
class Aligned:
    """An aligned policy and what it took.

    Attributes:
        folder: of the saved model: plain transformers opens it.
        facts: JSON object: `base`, `parameters`, `groups`, `pairs`, `sequences`, `truncated`, `raw_tokens` (once an
            epoch), `distinct_tokens` (run by this process since it started), `sharing`, `reference`, `first` and `last`
            (means of what was logged over a tenth of the steps).
        history: what was logged of each step.
    """

    folder: Path
    facts: dict[str, Any]
    history: tuple[dict[str, float], ...]

    def lines(self) -> list[str]:
        """What a command prints."""
        f, first, last = self.facts, self.facts["first"], self.facts["last"]
        learned = f"{f['pairs']} pairs" if f["pairs"] else f"{f['sequences']} completions"
        lines = [
            f"{f['algorithm']}: aligned on {learned} in {f['groups']} groups from {f['base']} "
            f"({f['parameters']:,} parameters)",
            f"loss {first['loss']:.4f} -> {last['loss']:.4f}",
        ]
        if "accuracy" in last:
            shares = f"{first['accuracy']:.0%} -> {last['accuracy']:.0%}"
            lines.append(f"pairs with a positive margin {shares}; margin {first['margin']:.3f} -> {last['margin']:.3f}")
        moved = [
            f"{side} {first[name]:.3f} -> {last[name]:.3f}"
            for side, name in (("chosen", "chosen_logp"), ("rejected", "rejected_logp"))
            if name in first and name in last
        ]
        kl = f"; KL from the reference about {last['kl']:.4f}" if "kl" in last else ""
        if moved or kl:
            lines.append(f"nats a token: {', '.join(moved)}{kl}")
        if f["algorithm"] != "sft" and last.get("chosen_logp", 0.0) < first.get("chosen_logp", 0.0):
            lines.append("chosen became less likely too, as under this family of losses it may; nll_coef holds it up")
        lines.append(f"{f['sharing']}; {f['truncated']} of {f['sequences']} sequences truncated")
        return lines


def align(
    rows: Sequence[Any], *, model: str, config: AlignConfig, out: str | Path, data_hash: str = "",
    progress: Callable[..., Progress] = Progress,
) -> Aligned:  # fmt: skip
    """Aligns a causal language model, and saves it with its tokenizer under `out/model`.

    The reference, where the algorithm reads one, is the policy before its first step (or `config.reference`): its
    log-probabilities are computed once and kept in `out/reference.npz`, so neither a copy nor a second forward pass is
    needed in training. A killed run goes on from its newest complete checkpoint and ends as an undisturbed one.

    Args:
        rows: what the algorithm needs, see `plaudit align help`.
        model: folder or hub id of the policy.
        config: how to align.
        out: run folder.
        data_hash: of the file that the rows are from, for the record.
        progress: makes the display.

    Raises:
        InputError: if rows lack what the algorithm needs, the model cannot be used, or training diverges.
        MissingError: if there is no such model.
    """
    out, named = Path(out), algorithm(config.algorithm)
    rows = checked_rows(rows, named)
    language = start_language(Backbone(name=model), (), config, foreign=True)
    if named.algorithm.valued:
        return _valued(rows, language, model, config, named, out, data_hash, progress)
    groups = encode_policy_groups(
        rows, language, labels=named.algorithm.data in ("labels", "demonstrations"),
        mismatch=named.algorithm.mismatched, columns=named.algorithm.columns, weighted=named.algorithm.weighted,
    )  # fmt: skip
    if named.algorithm.judge:
        groups = with_judgements(groups, rows, language)
    if named.algorithm.reference:
        groups = with_reference(groups, _reference(language, groups, config, named, out))
    if named.algorithm.old and config.reference:
        groups = with_start(groups, reference_logps(language, groups, out / "start.reference.npz"))
    if named.algorithm.contrast:
        groups = with_token_rewards(groups, rows, language, out)
    key = content_hash([asdict(config), model, language.rendering, [g.key for g in groups]])
    outputs = Anchor(_anchor(language, config)) if named.algorithm.anchor else token_outputs
    trained = with_lora(language.model, config, task="CAUSAL_LM") if config.lora_rank else language.model
    install_logp_head(trained)
    trainer = run_steps(
        trained, language.tokenizer, groups, config=config, out=out, key=key, progress=progress,
        collator=_collator(language, config, named), objective=Alignment(named), outputs=outputs,
        kind=AlignTrainer,
    )  # fmt: skip
    return _saved(trainer, groups, language, model, config, named, out, data_hash, key)


def _valued(
    rows: Sequence[Any], language: LanguageModel, model: str, config: AlignConfig, named: NamedAlgorithm, out: Path,
    data_hash: str, progress: Callable[..., Progress],
) -> Aligned:  # fmt: skip
    """A run of the algorithm that fits a Q function."""
    groups = valued_groups(rows, language)
    key = content_hash([asdict(config), model, language.rendering, [g.key for g in groups]])
    trainer = fit_values(
        language, groups, options=named.options, config=config, out=out,
        collator=_collator(language, config, named), progress=progress, key=key,
    )  # fmt: skip
    return _saved(trainer, groups, language, model, config, named, out, data_hash, key)


def _saved(
    trainer: Any, groups: Sequence[PolicyGroup], language: LanguageModel, model: str, config: AlignConfig,
    named: NamedAlgorithm, out: Path, data_hash: str, key: str,
) -> Aligned:  # fmt: skip
    """The policy in its folder with a record of what was done."""
    history = tuple(row for row in trainer.state.log_history if "loss" in row)
    facts = _facts(language, groups, history, named, model, trainer.distinct_tokens)
    if trainer.is_world_process_zero():
        record = {
            "algorithm": config.algorithm, "options": dict(named.options), "config": asdict(config), "base": model,
            "reference": config.reference or (model if named.algorithm.reference or named.algorithm.anchor else None),
            "data_hash": data_hash,
            "groups_hash": content_hash([g.key for g in groups]), "key": key, "versions": versions(), "facts": facts,
        }  # fmt: skip
        save_policy(merged(trainer.model), language.tokenizer, out / "model", record)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return Aligned(out / "model", facts, history)


def _reference(
    language: LanguageModel, groups: Sequence[PolicyGroup], config: AlignConfig, named: NamedAlgorithm, out: Path
) -> list[Logps]:
    """What the reference says of every counted token; nothing of it stays in memory but these numbers."""
    if not config.reference:
        return reference_logps(language, groups, out / "reference.npz")
    other = _opened(language, config)
    found = reference_logps(other, groups, out / "reference.npz")
    if not named.algorithm.blend:
        return found
    start = reference_logps(language, groups, out / "start.reference.npz")
    eta, tau = named.options["eta"], named.options["tau"]
    return [
        blended(torch.from_numpy(a), torch.from_numpy(b), eta=eta, tau=tau).numpy()
        for a, b in zip(found, start, strict=True)
    ]


def _opened(language: LanguageModel, config: AlignConfig) -> LanguageModel:
    """The reference that is named.

    Raises:
        InputError: if it reads other tokens than the policy.
    """
    other = start_language(Backbone(name=config.reference), (), config, foreign=True)
    if other.rendering != language.rendering:
        raise InputError(
            f"reference {config.reference} has another tokenizer or chat template than the policy, so its "
            "probabilities are of other tokens; give a reference of the same family"
        )
    return other


def _anchor(language: LanguageModel, config: AlignConfig) -> Any:
    """The frozen policy that is run beside the trained one; None where that is the policy without its adapters."""
    if not config.reference:
        return None if config.lora_rank else copy.deepcopy(language.model)
    other = _opened(language, config)
    if language.engine.gate.open and not other.engine.gate.open:
        raise InputError(
            f"reference {config.reference} cannot run on the policy's prefix trees: {other.engine.gate.reason}"
        )
    return other.model


def _collator(language: LanguageModel, config: AlignConfig, named: NamedAlgorithm) -> PolicyCollator:
    # processes must run equally many forward passes, or their gradient reductions wait for each other forever
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    return PolicyCollator(
        budget=config.tokens_per_row if alone else sys.maxsize, tree=language.engine.gate.open,
        pad_id=language.engine.pad_id, item=named.algorithm.item,
    )  # fmt: skip


def _facts(
    language: LanguageModel, groups: Sequence[PolicyGroup], history: Sequence[dict[str, float]], named: NamedAlgorithm,
    model: str, distinct: int,
) -> dict[str, Any]:  # fmt: skip
    located = [one for g in groups for one in g.located]
    gate, tenth = language.engine.gate, max(len(history) // 10, 1)
    pairs = sum(int(g.better.size) for g in groups) if named.algorithm.item == "pair" else 0
    return {
        "algorithm": named.name, "base": model, "parameters": sum(p.numel() for p in language.model.parameters()),
        "groups": len(groups), "pairs": pairs,
        "sequences": sum(int((~g.mismatched).sum()) for g in groups), "truncated": sum(1 for one in located if one.cut),
        "raw_tokens": sum(int(one.ids.size) for one in located), "distinct_tokens": distinct,
        "sharing": "prefix trees" if gate.open else gate.reason,
        "first": _means(history[:tenth]), "last": _means(history[-tenth:]),
    }  # fmt: skip


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    names = [name for name in rows[0] if name not in ("step", "epoch")] if rows else []
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
