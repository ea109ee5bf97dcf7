"""Running a trainer over groups: from its newest complete checkpoint, with progress, metrics and seals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plaudit.engine.sharding import check_sharding, made_whole
from plaudit.errors import InputError, nearest
from plaudit.runs.progress import Progress
from plaudit.training.callbacks import Recorder
from plaudit.training.checkpoints import newest_complete
from plaudit.training.config import LoopConfig
from plaudit.training.trainer import Objective, Outputs, RewardTrainer, row_outputs


def run_steps(
    model: Any, tokenizer: Any, groups: Sequence[Any], *, config: LoopConfig, out: Path, key: str,
    progress: Callable[..., Progress], collator: Any, objective: Objective | None = None,
    outputs: Outputs = row_outputs, kind: Callable[..., RewardTrainer] | None = None,
) -> RewardTrainer:  # fmt: skip
    """Trains a model in place on groups.

    Args:
        model: as transformers has it, with whatever wrapper.
        tokenizer: saved with the checkpoints.
        groups: what the collator takes; a step is `batch_size` of them.
        config: how to fit.
        out: run folder: `checkpoints` and `metrics.jsonl`.
        key: hash of configuration and data: another key's checkpoints are not resumed from.
        progress: makes the display.
        collator: from groups to a step's rows.
        objective: sum over the items of a row; None where the trainer of `kind` has its own.
        outputs: runs a row.
        kind: makes the trainer; by default a plain `RewardTrainer`.

    Returns:
        The trainer, with its history; its model is whole in every process, however it was divided.

    Raises:
        InputError: if training diverges.
        UnsupportedError: under the first version of FSDP.
    """
    check_sharding()
    steps = -(-len(groups) // (config.batch_size * config.accumulation))
    checkpoint = newest_complete(out / "checkpoints", key=key)
    label = f"training, on from step {checkpoint.name.rpartition('-')[2]}" if checkpoint else "training"
    with progress(label, total=int(np.ceil(steps * config.epochs))) as display:
        recorder = Recorder(out / "metrics.jsonl", key=key, progress=display)
        what: dict[str, Any] = {} if objective is None else {"objective": objective, "outputs": outputs}
        trainer = (kind or RewardTrainer)(
            **what, model=model, args=_arguments(config, out), data_collator=collator,
            train_dataset=list(groups), callbacks=[recorder], processing_class=tokenizer,
        )  # fmt: skip
        trainer.remove_callback(_printer())
        for callback in trainer.callback_handler.callbacks:
            if getattr(callback, "logging_dir", "") is None:  # TensorBoard's, beside the checkpoints, which go
                callback.logging_dir = str(out / "tensorboard")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        made_whole(trainer.model)
    return trainer


def _arguments(config: LoopConfig, out: Path) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation, num_train_epochs=config.epochs,
        learning_rate=config.learning_rate, warmup_steps=config.warmup,
        lr_scheduler_type="cosine", weight_decay=config.weight_decay, max_grad_norm=config.max_grad_norm,
        bf16=config.bf16, use_cpu=not torch.accelerator.is_available(), **_checkpointing(config, TrainingArguments),
        logging_steps=1, logging_nan_inf_filter=False, save_strategy="steps", save_steps=config.save_steps,
        save_total_limit=2, report_to=trackers_of(config), remove_unused_columns=False, seed=config.seed,
        data_seed=config.seed, disable_tqdm=True, log_level="error", label_names=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )  # fmt: skip


def trackers_of(config: LoopConfig) -> list[str]:
    """The trackers of transformers that a configuration names, where it can name some.

    Raises:
        InputError: if one is not known, or not installed.
    """
    from transformers.integrations import get_available_reporting_integrations
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    found = [name for name in getattr(config, "trackers", "").split(",") if name]
    for name in found:
        if name not in INTEGRATION_TO_CALLBACK:
            raise InputError(f"tracker {name!r} is not known; {nearest(name, INTEGRATION_TO_CALLBACK)}")
        if name not in get_available_reporting_integrations():
            raise InputError(f"tracker {name!r} needs its package; pip install {name}")
    return found


def _checkpointing(config: LoopConfig, arguments: Any) -> dict[str, Any]:
    """Arguments that ask for recomputation, by the name that this version of transformers has for it."""
    fields = arguments.__dataclass_fields__
    name = "activation_checkpointing" if "activation_checkpointing" in fields else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}} if config.gradient_checkpointing else {}


def _printer() -> Any:
    from transformers import PrinterCallback

    return PrinterCallback
