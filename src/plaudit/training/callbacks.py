"""What happens beside a training loop: the progress line, the metrics file, the seal of each checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from plaudit.errors import InputError
from plaudit.runs.atomic import write_text
from plaudit.runs.history import batches_of
from plaudit.runs.progress import Progress
from plaudit.training.checkpoints import seal


class Recorder(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Advances the progress display, appends metrics, seals checkpoints.

    Args:
        metrics: a JSONL file: one object a logged step; rewritten from the trainer's history when a run resumes.
        key: hash of configuration and data, for the seals.
        progress: counts steps.
    """

    def __init__(self, metrics: Path, *, key: str, progress: Progress) -> None:
        self.metrics, self.key, self.progress = metrics, key, progress

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Steps that were logged after the checkpoint that a run resumes from are forgotten: they come again."""
        self.metrics.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in state.log_history))
        self.progress.update(state.global_step)

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """One step further."""
        self.progress.update(state.global_step)

    def on_log(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Appends what was logged.

        Raises:
            InputError: if the loss is not finite: every later step would be lost, and so would every checkpoint.
        """
        loss = state.log_history[-1].get("loss", 0.0) if state.log_history else 0.0
        if not math.isfinite(loss):
            raise InputError(
                f"training: the loss of step {state.global_step} is {loss}; training diverged. Lower learning_rate"
            )
        if state.log_history:
            self.progress.update(state.global_step, note=told(state.log_history[-1]))
            self.progress.table(followed(state.log_history))
        if state.is_world_process_zero and state.log_history:
            with self.metrics.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(state.log_history[-1]) + "\n")

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Seals the checkpoint that was just written."""
        if state.is_world_process_zero:
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", key=self.key)


SHOWN = ("loss", "accuracy", "reward", "kl", "length", "included")
"""Metrics that the progress line shows, where a run has them."""


def told(row: Mapping[str, float]) -> str:
    """The latest of them in one line, with outcomes that occurred: `loss 0.412, reward 0.31, timed out 0.25`."""
    said = {name: row[name] for name in SHOWN if name in row}
    said |= {n.removeprefix("outcome/").replace("_", " "): row[n] for n in sorted(row) if _occurred(n, row)}
    return ", ".join(f"{name} {value:.3g}" for name, value in said.items())


def _occurred(name: str, row: Mapping[str, float]) -> bool:
    """Whether a number is the share of an outcome, and above 0."""
    return name.startswith("outcome/") and bool(row.get(name))


FOLLOWED = ("reward", "shaped", "kl", "length", "entropy", "reward_std", "finished", "distinct", "included")
"""Metrics of an online run that the table under the bar shows, after the watched rewards and before the outcomes."""


def followed(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """What the table under the bar shows: nothing but for runs that have rewards.

    Args:
        history: a mapping a logged step.
    """
    rows = batches_of(history)
    names = {name for row in rows for name in row}
    outcomes = sorted(n for n in names if any(_occurred(n, row) for row in rows))
    watched = sorted(n for n in names if n.startswith("watched/"))
    shown = [FOLLOWED[0], *watched, *FOLLOWED[1:], *outcomes]
    return {name: [row[name] for row in rows if name in row] for name in shown if name in names}
