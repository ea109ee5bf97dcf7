"""An online run from prompts to a saved policy, resumable at any instant, also within a batch of completions."""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from plaudit.engine.engine import open_gate
from plaudit.engine.rendering import Encoder, Template
from plaudit.engine.values import install_value_head, remove_value_head, save_value_head, value_head
from plaudit.engine.vocabulary import install_logp_head
from plaudit.errors import InputError, UnsupportedError
from plaudit.policy.losses.kl import AdaptiveCoefficient
from plaudit.policy.online.checking import (
    check_alone,
    check_bounds,
    check_columns,
    check_kind,
    check_read,
    check_refill,
    judged_together,
    repeated,
)
from plaudit.policy.online.comparing import Duels
from plaudit.policy.online.config import OnlineConfig, needs_reference
from plaudit.policy.online.experience import Collector, Scoring
from plaudit.policy.online.method import Method
from plaudit.policy.online.process import ProcessModel
from plaudit.policy.online.scheduling import collated, further, question_of, said, schedule
from plaudit.policy.online.state import State, taken_apart
from plaudit.policy.online.token_model import TokenModel
from plaudit.policy.online.trainer import VALUES, OnlineTrainer
from plaudit.policy.online.watching import Watch
from plaudit.policy.rollout import LocalSampler, Sampler, Sampling, questions_of
from plaudit.policy.saving import save_policy
from plaudit.policy.scoring import Patience, Scorer
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import content_hash
from plaudit.records.writing import write
from plaudit.rewards import folders
from plaudit.rewards.base import Comparison, Reward
from plaudit.rewards.likelihood.language import open_causal
from plaudit.runs.log import DurableLog
from plaudit.runs.origin import versions
from plaudit.runs.progress import Progress
from plaudit.shaping.nested import transforms
from plaudit.training.backbones import disable_dropout
from plaudit.training.fitting import merged, with_lora
from plaudit.training.stepping import run_steps


@dataclass(frozen=True, slots=True)
class OnlineRun:
    """What came of a run.

    Attributes:
        model: the improved policy, as it is on disk.
        history: metrics of each update, in order.
        prompts: that were asked from.
        left_out: numbers (from 0) of prompts that leave no room for a completion.
        faults: what went wrong with the reward, and for how many completions, in all processes and the whole run.
        distinct_tokens: tokens run forward and backward by all processes since they started.
        tree: whether prefix trees were used, and if not, why.
    """

    model: Any
    history: tuple[Mapping[str, float], ...]
    prompts: int
    left_out: tuple[int, ...]
    faults: Mapping[str, int]
    distinct_tokens: int
    tree: str


def improve(
    rows: Sequence[PromptOnly], *, model: Any, tokenizer: Any, reward: Reward | Comparison, config: OnlineConfig,
    method: Method, out: str | Path, watched: Mapping[str, Reward] | None = None,
    sampler: Callable[..., Sampler] = LocalSampler, progress: Callable[..., Progress] = Progress,
) -> OnlineRun:  # fmt: skip
    """Improves a policy on its own completions, and saves it under `out/model`.

    A run that was killed goes on from its newest complete checkpoint in `out/checkpoints`; what was sampled and judged
    since is read from `out/rollouts.log`, and the run ends as an undisturbed one does. Checkpoints are removed when the
    model is saved; `out/samples.jsonl` then has every completion with its reward, as a scored file.

    Args:
        rows: prompts, with the references that the reward needs.
        model: a causal language model; trained in place.
        tokenizer: its tokenizer.
        reward: what is optimised; transforms around it keep their statistics with the run. A comparison, for methods
            that compare siblings.
        config: how.
        method: advantages, loss and denominators.
        out: run folder.
        watched: name to a reward that is shown beside it, and not learnt from.
        sampler: `(model, encoder)` to what completes questions.
        progress: makes the display.

    Raises:
        InputError: if there are no prompts, or none leaves room for a completion; if a row has a column that
            `samples.jsonl` needs; if the method asks what is right and the reward has no middle to tell it by, or what
            is allowed and the reward is not between 0 and 1; if it reads what neither prompts nor reward have; if it
            compares and is given a reward, or the other way round.
        UnsupportedError: if the method compresses by attention and the model's tells no weights.
    """
    out = Path(out)
    template = Template.foreign(tokenizer, max_length=_longest(model, config))
    encoder = Encoder(tokenizer, template)
    kept, long, units = _asked(rows, encoder, config, method)
    patience = Patience(seconds=config.reward_seconds, tries=config.reward_tries)
    core, tree = _checked(reward, [row for row, _ in kept], config, method, watched=watched or {}, patience=patience)
    rendering = content_hash([template.to_dict(), tokenizer.chat_template, folders.vocabulary(tokenizer)])
    start = folders.weights_hash(model, rendering)
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    disable_dropout(model)  # with it, the tokens of a fresh sample would have another probability than they had
    gate = open_gate(model)
    if method.compress and not gate.open:
        raise UnsupportedError(f"{method.title}: compress reads attention, and {gate.reason}; leave compress out")
    reference = _reference(model, tokenizer, config, method)  # a copy of what the gate has opened
    other = folders.weights_hash(reference) if config.reference else ""
    key = _key(rows, config, method, core, tree, watched or {}, start + other, processes=processes)

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    process = None if method.process is None else ProcessModel(model, method.process, device)
    tokens = None if method.tokens is None else TokenModel(model, method.tokens, device)
    model = _read_by_heads(model, reference, config, method)
    asked = schedule(units, config, processes=processes)
    check_alone(len({one.key.partition(".")[0] for one in asked}), method)
    question = partial(question_of, kept, len(units[0]))
    refills = partial(further, prompts=len(kept), config=config, rank=rank)
    scorer = _scoring(core, patience, config, method)
    with DurableLog(out / f"rollouts{f'-{rank}' if rank else ''}.log", fingerprint=key, in_memory=False) as log:
        collect = Collector(
            sampler(model, encoder), _sampling(config), scorer, log=log, seed=config.seed,
            watched={name: Scorer(other, patience) for name, other in (watched or {}).items()},
        )  # fmt: skip
        state = State(
            method, tree, core,
            AdaptiveCoefficient(config.kl_coef, config.kl_target or 6.0) if config.kl_coef else None,
            unfinished=config.unfinished_reward,
        )  # fmt: skip
        kind = partial(
            OnlineTrainer, collect=collect, questions=question, state=state, options=config,
            reference=reference, process=process, tokens=tokens, refills=refills, watch=Watch(), tree=gate.open,
            pad_id=int(tokenizer.pad_token_id or 0),
        )  # fmt: skip
        trainer = run_steps(
            model, tokenizer, asked, config=_as_fit(config), out=out, key=key, progress=progress, collator=collated,
            kind=kind,
        )  # fmt: skip
        rows_said = said(asked, question, log, refills=refills, everywhere=lambda mine: trainer.everywhere(mine)[0])
        _write_samples(out, rows_said, rank)
    faults, tokens_run = trainer.faults(), sum(trainer.everywhere([trainer.distinct_tokens])[0])
    record = {
        "algorithm": method.title, "method": _made_of(method), "config": asdict(config), "reward": core.name,
        "reward_hash": reward.fingerprint, "key": key, "start": start, "versions": versions(), "faults": faults,
    }  # fmt: skip
    policy = _published(trainer, tokenizer, out, record, process, tokens)
    return OnlineRun(
        policy, tuple(r for r in trainer.state.log_history if "loss" in r), len(kept), tuple(long), faults,
        tokens_run, "prefix trees" if gate.open else gate.reason,
    )  # fmt: skip


def _checked(
    reward: Reward | Comparison, rows: Sequence[Any], config: OnlineConfig, method: Method, *,
    watched: Mapping[str, Reward], patience: Patience,
) -> tuple[Any, Any]:  # fmt: skip
    """What a run scores and the tree of its shaping, which suit the method, the rows and the options.

    Raises:
        InputError: if they do not, see `improve`.
    """
    core, tree = taken_apart(reward)
    check_kind(core, method)
    check_bounds(core, method, shaped=reward)
    check_refill([core, *watched.values()], config)
    check_read(rows, method, lambda one: Scorer(core, patience)([one]))
    return core, tree


def _write_samples(out: Path, rows: Iterator[dict[str, Any]], rank: int) -> None:
    """All completions of the run as a scored file, by the first process, to which the others' parts go."""
    if rank:
        deque(rows, maxlen=0)
    else:
        write(out / "samples.jsonl", rows)


def _asked(
    rows: Sequence[PromptOnly], encoder: Encoder, config: OnlineConfig, method: Method
) -> tuple[list[Any], list[int], list[Any]]:
    """Prompts that leave room for a completion with their tokens, numbers of those that do not, and units to be asked.

    Raises:
        InputError: if none does, or rows or options do not fit the method.
    """
    kept, long = questions_of(rows, encoder, room=config.max_tokens)
    if not kept:
        raise InputError(
            f"align: none of {len(rows)} prompts leaves room for {config.max_tokens} tokens within max_length "
            f"{encoder.template.max_length}; raise max_length or lower max_tokens"
        )
    check_columns(rows)
    config.check(method)
    units = judged_together([row for row, _ in kept], config)
    times = repeated([row for row, _ in kept], config)
    return kept, long, [unit for unit in units for _ in range(times[unit[0]])]


def _read_by_heads(model: Any, reference: Any, config: OnlineConfig, method: Method) -> Any:
    """The model with adapters where asked for, and the heads through which a run reads it and its reference."""
    model = with_lora(model, _as_fit(config), task="CAUSAL_LM") if config.lora_rank else model
    for one in (model, reference):
        if one is not None:
            install_logp_head(one)
    if method.critic is not None:
        install_value_head(model, trunk=method.critic.trunk)
    return model


def _published(
    trainer: OnlineTrainer, tokenizer: Any, out: Path, record: dict[str, Any], process: ProcessModel | None,
    tokens: TokenModel | None,
) -> Any:  # fmt: skip
    """The policy as it is on disk, with what was fitted beside it; the checkpoints are removed."""
    head = value_head(trainer.model)
    remove_value_head(trainer.model)
    policy = merged(trainer.model)
    if trainer.is_world_process_zero():
        if head is not None:
            save_value_head(head, out / VALUES)
        if process is not None:
            save_policy(process.model, tokenizer, out / "process", {**record, "role": "process reward model"})
        if tokens is not None:
            tokens.publish(tokenizer, out / "token_model", record)
        save_policy(policy, tokenizer, out / "model", record)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return policy


def _scoring(reward: Any, patience: Patience, config: OnlineConfig, method: Method) -> Scoring:
    """What asks the reward, or the comparison."""
    if not method.compares:
        return Scorer(reward, patience)
    return Duels(reward, patience, per_sample=config.comparisons_per_sample, both_orders=config.both_orders)


def _reference(model: Any, tokenizer: Any, config: OnlineConfig, method: Method) -> Any:
    """The frozen policy that the KL is to: the one that is named, else a copy of the start.

    Returns:
        None where none is asked, or where adapters leave the start as it is.

    Raises:
        InputError: if the named one has another tokenizer.
    """
    if not needs_reference(config, method) or (config.lora_rank and not config.reference):
        return None
    if not config.reference:
        return copy.deepcopy(model).eval().requires_grad_(False)
    if folders.vocabulary(folders.open_tokenizer(config.reference)) != folders.vocabulary(tokenizer):
        raise InputError(
            f"reference {config.reference} has another tokenizer than the policy, so its probabilities are of other "
            "tokens; give a reference of the same family"
        )
    found = open_causal(config.reference, dtype=model.dtype).eval().requires_grad_(False)
    if open_gate(model).open and not (gate := open_gate(found)).open:
        raise InputError(f"reference {config.reference} cannot run on the policy's prefix trees: {gate.reason}")
    return found


def _sampling(config: OnlineConfig) -> Sampling:
    return Sampling(config.completions, config.max_tokens, config.temperature, config.top_p, config.sequences)


def _longest(model: Any, config: OnlineConfig) -> int:
    positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or config.max_length)
    return min(config.max_length, positions)


def _as_fit(config: OnlineConfig) -> OnlineConfig:
    """As the training loop reads it: the schedule has all passes in it already."""
    return replace(config, epochs=1.0)


_FREE = ("save_steps", "trackers", "reward_seconds", "reward_tries")
"""Options that a resumed run may change: no number depends on them."""


def _key(
    rows: Sequence[PromptOnly], config: OnlineConfig, method: Method, reward: Reward | Comparison,
    tree: Any, watched: Mapping[str, Reward], start: str, *, processes: int,
) -> str:  # fmt: skip
    """What a run's checkpoints and log belong to: everything that its numbers depend on."""
    options = {k: v for k, v in asdict(config).items() if k not in _FREE}
    data = [content_hash([[m.to_dict() for m in r.prompt], r.reference, dict(r.meta)]) for r in rows]
    others = {name: other.fingerprint for name, other in watched.items()}
    shaping = [by.fingerprint for by in transforms(tree)]
    return content_hash([options, _made_of(method), data, reward.fingerprint, shaping, others, start, processes])


def _made_of(method: Method) -> list[str]:
    """A method in words that are the same in every process: a caller may give another than `config.algorithm` names."""
    call = method.surrogate
    inner = getattr(call, "func", call)
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"
    told = [
        repr(method.estimator),
        name,
        repr(getattr(call, "args", ())),
        repr(sorted(getattr(call, "keywords", {}).items())),
    ]
    beside = [repr(part) for part in (method.critic, method.process, method.tokens) if part is not None]
    return [re.sub(r" at 0x[0-9a-f]+", "", words) for words in (*told, method.weights, *method.reads, *beside)]
