"""The door of `plaudit align` to online algorithms: references in, a run and its lines out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.engine.rendering import ensure_pad
from plaudit.errors import InputError
from plaudit.policy.online.checking import check_kind
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.methods import online
from plaudit.policy.online.running import OnlineRun, improve
from plaudit.policy.online.state import taken_apart
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward
from plaudit.rewards.files import COLUMNS
from plaudit.rewards.registry import load, resolve
from plaudit.runs.progress import Progress


@dataclass(frozen=True, slots=True)
class AlignedOnline:
    """What a run left, for whoever reads the terminal.

    Attributes:
        run: what came of it.
        config: how.
        parameters: of the policy.
        reward: its name.
        asked: prompts in a batch, over accumulation and processes.
    """

    run: OnlineRun
    config: OnlineConfig
    parameters: int
    reward: str
    asked: int

    def lines(self) -> list[str]:
        """One line a result."""
        history, config = self.run.history, self.config
        told = [row for row in history if "length" in row]  # every batch has it, also one without any reward
        tenth = max(len(told) // 10, 1)
        first, last = told[:tenth], told[-tenth:]
        found = [
            f"{config.algorithm}: {len(history)} updates, {len(told)} batches of {self.asked} prompts with "
            f"{config.completions} completions each, from {self.run.prompts} prompts ({self.parameters:,} parameters)",
        ]
        watched = sorted({name for row in told for name in row if name.startswith("watched/")})
        for name, words in {**_SHOWN, **{n: n.removeprefix("watched/") for n in watched}}.items():
            if any(name in row for row in told):
                found.append(f"{words} {_mean(first, name):.3f} -> {_mean(last, name):.3f}")
        for name in sorted({n for row in told for n in row if n.startswith("outcome/")}):
            share = _mean(told, name)
            if share > 0:
                found.append(f"{name.removeprefix('outcome/').replace('_', ' ')}: {share:.2%} of completions")
        if config.refill:
            asked = sum(row["refilled"] for row in told if "refilled" in row)
            short = sum(row["short"] > 0 for row in told if "short" in row)
            found.append(
                f"{asked:g} further prompts for those with nothing to teach, which were {_mean(told, 'idle'):.1%} of "
                f"all that were asked; {short} of {len(told)} batches stayed short"
            )
        if self.run.left_out:
            numbers = ", ".join(str(i + 1) for i in self.run.left_out[:5])
            more = ", ..." if len(self.run.left_out) > 5 else ""
            found.append(
                f"{len(self.run.left_out)} prompts leave no room for {config.max_tokens} tokens and were left out "
                f"(rows {numbers}{more})"
            )
        found += [f"no reward for {n} completions: {words}" for words, n in self.run.faults.items()]
        found.append(f"{self.run.tree}; {self.run.distinct_tokens:,} tokens run forward and backward")
        return found


_SHOWN = {
    "reward": "reward", "reward_std": "deviation within groups", "length": "tokens", "finished": "ended by itself",
    "kl": "KL to the start, nats", "distinct": "distinct within groups",
}  # fmt: skip


def align_online(
    rows: Sequence[Any], *, model: str | Path, reward: Any, config: OnlineConfig, out: str | Path,
    watched: Sequence[Any] = (), progress: Callable[..., Progress] = Progress,
) -> AlignedOnline:  # fmt: skip
    """Improves a policy by references.

    Args:
        rows: prompts, or rows with completions, which are left aside.
        model: folder or hub id of a causal language model.
        reward: what is raised, or the comparison that is won.
        config: how.
        out: run folder.
        watched: rewards that are shown beside it.
        progress: makes the display.

    Raises:
        InputError: if rows have no prompts; if the reward is a comparison where none is learnt from; see `improve`.
    """
    from plaudit.rewards.likelihood.language import LanguageModel

    asked = [prompt_of(row, i) for i, row in enumerate(rows)]
    method = online(config.algorithm)[1]
    config.check(method)
    main = reward_of(reward, compares=method.compares)
    check_kind(taken_apart(main)[0], method)
    others = _named([reward_of(other) for other in watched])
    language = LanguageModel.open(model, max_length=config.max_length, mode="padded")  # the run opens the gate itself
    ensure_pad(language.tokenizer, language.model)
    run = improve(
        asked, model=language.model, tokenizer=language.tokenizer, reward=main, config=config, method=method, out=out,
        watched=others, progress=progress,
    )  # fmt: skip
    asked_together = config.batch_size * config.accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    return AlignedOnline(run, config, sum(p.numel() for p in run.model.parameters()), main.name, asked_together)


def prompt_of(row: Any, index: int) -> PromptOnly:
    """A row as a prompt.

    Raises:
        InputError: if it has none that a policy could be asked.
    """
    if isinstance(row, PromptOnly):
        return row
    if isinstance(row, Sample):  # what a scored file says of a completion is not the prompt's
        meta = {k: v for k, v in row.meta.items() if k not in (*COLUMNS, "tokens", "finish")}
        return PromptOnly(row.prompt, row.reference, meta)
    prompt = getattr(row, "prompt", ())
    if not prompt:
        raise InputError(f"row {index + 1}: a {type(row).__name__.lower()} row has no prompt to ask; give prompts")
    return PromptOnly(prompt, None, row.meta)


def reward_of(reference: Any, *, compares: bool = False) -> Any:
    """A reward, or what a reference names.

    Args:
        reference: either.
        compares: whether a comparison is learnt from, and may be named too.
    """
    if callable(reference):
        return reference
    return resolve(reference) if compares else load(reference)


def _named(rewards: Sequence[Reward]) -> dict[str, Reward]:
    """Rewards by name; those of one name, such as two folders of one name, are numbered from the second on."""
    found: dict[str, Reward] = {}
    for reward in rewards:
        name, n = reward.name, 1
        while name in found:
            n += 1
            name = f"{reward.name}-{n}"
        found[name] = reward
    return found


def _mean(rows: Sequence[Any], name: str) -> float:
    there = [row[name] for row in rows if name in row]
    return float(np.mean(there)) if there else math.nan


__all__ = ["AlignedOnline", "align_online", "prompt_of", "reward_of"]
