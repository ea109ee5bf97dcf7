"""The training loops that the benchmarks time: Plaudit's, TRL's, and plain transformers with the same loss.

All three are `transformers.Trainer` loops with the same arguments: AdamW, float32, no gradient
checkpointing, data in the order in which it is given, one log line a step. A step is timed from the end of
the one before it, so that collating, planning, the optimiser and the logging are in it; loading the model
and tokenising are not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import Ids, llama
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from plaudit.engine import install_head
from plaudit.engine.engine import open_gate
from plaudit.errors import UnsupportedError
from plaudit.training import Group, RewardTrainer
from plaudit.training.collating import Collator
from plaudit.training.methods import chosen

LEARNING_RATE = 1e-5


@dataclass
class Steps(TrainerCallback):
    """Ends of the steps by the wall's clock and the processor's, losses, and a hook before the first step."""

    ends: list[tuple[float, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    begin: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002, D102
        if self.begin is not None:
            self.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002, D102
        self.ends.append((time.perf_counter(), time.process_time()))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002, D102
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))

    def seconds(self, warm: int, *, processor: bool = False) -> float:
        """Seconds a step after `warm` steps: elapsed, or spent by the process on all its threads."""
        ends = [end[processor] for end in self.ends]
        return (ends[-1] - ends[warm - 1]) / (len(ends) - warm)


def options(batch: int, out: str) -> dict[str, Any]:
    """What the three loops have in common."""
    return {
        "output_dir": out, "per_device_train_batch_size": batch, "gradient_accumulation_steps": 1,
        "num_train_epochs": 1, "learning_rate": LEARNING_RATE, "lr_scheduler_type": "constant",
        "optim": "adamw_torch", "bf16": False, "activation_checkpointing": False, "logging_steps": 1,
        "save_strategy": "no", "report_to": [],
        "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False, "seed": 0,
        "train_sampling_strategy": "sequential",
    }  # fmt: skip


def all_pairs(size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Indices of better and worse in a group whose completions stand in order, the best first."""
    better, worse = np.triu_indices(size, k=1)
    return better.astype(np.int64), worse.astype(np.int64)


def ours(
    groups: Sequence[Sequence[Ids]], *, batch: int, out: str, steps: Steps, tokens_per_row: int = 8192,
    objective: str = "bradley-terry",
) -> Any:  # fmt: skip
    """Plaudit's trainer, ready to run: `batch` groups a step, each completion better than those after it.

    Raises:
        UnsupportedError: if the model does not run on prefix trees, which this benchmark is about.
    """
    model = install_head(llama())
    gate = open_gate(model)
    if not gate.open:
        raise UnsupportedError(f"benchmark: the model does not run on prefix trees: {gate.reason}")
    rows = []
    for group in groups:
        better, worse = all_pairs(len(group))
        m = better.size
        places = np.arange(len(group), 0, -1, dtype=np.float32)
        rows.append(Group(tuple(group), better, worse, np.zeros(m, np.float32), np.ones(m, np.float32), values=places))
    method = chosen(objective)
    trainer = RewardTrainer(
        objective=method.loss, model=model,
        args=TrainingArguments(remove_unused_columns=False, label_names=[], **options(batch, out)),
        data_collator=Collator(budget=tokens_per_row, item=method.method.item), train_dataset=rows, callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def trl(groups: Sequence[Sequence[Ids]], *, batch: int, out: str, steps: Steps) -> Any:
    """TRL's trainer on the same pairs, tokenised beforehand: `batch` pairs a step."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from trl import RewardConfig
    from trl import RewardTrainer as Peer

    disable_progress_bar()
    pairs: dict[str, list[list[int]]] = {"chosen_ids": [], "rejected_ids": []}
    for group in groups:
        for i, j in zip(*all_pairs(len(group)), strict=True):
            pairs["chosen_ids"].append(group[i].tolist())
            pairs["rejected_ids"].append(group[j].tolist())
    trainer = Peer(
        model=llama(), args=RewardConfig(max_length=None, **options(batch, out)),
        train_dataset=Dataset.from_dict(pairs), processing_class=_tokenizer(), callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def plain(groups: Sequence[Sequence[Ids]], *, out: str, steps: Steps, objective: str = "bradley-terry") -> Any:
    """Plain transformers, one group a step: its completions in one padded forward; all its pairs, or its order."""
    trainer = {"bradley-terry": _Plain, "plackett-luce": _PlainOrder}[objective](
        model=llama(), args=TrainingArguments(remove_unused_columns=False, label_names=[], **options(1, out)),
        data_collator=_rectangle, train_dataset=list(groups), callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def _rectangle(groups: Sequence[Sequence[Ids]]) -> dict[str, torch.Tensor]:
    (group,) = groups
    ids = np.zeros((len(group), max(s.size for s in group)), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(group):
        ids[row, : sequence.size], mask[row, : sequence.size] = sequence, 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


class _Plain(Trainer):
    """The mean of -log sigmoid over all pairs of the group."""

    def compute_loss(self, model: Any, inputs: Any, **_: Any) -> Any:
        scores = model(**inputs, use_cache=False).logits[:, 0]
        better, worse = (torch.from_numpy(x) for x in all_pairs(len(scores)))
        return -F.logsigmoid(scores[better] - scores[worse]).mean()


class _PlainOrder(Trainer):
    """The negative log-likelihood of the group's order, the best first."""

    def compute_loss(self, model: Any, inputs: Any, **_: Any) -> Any:
        scores = model(**inputs, use_cache=False).logits[:, 0]
        return (scores.flip(0).logcumsumexp(0).flip(0) - scores).sum()


def _tokenizer() -> Any:
    """TRL asks for a tokenizer even where rows are tokenised; this one is never called."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def agree(*losses: float, tolerance: float = 1e-4) -> None:
    """Refuses to compare loops whose first losses differ: they would not have done the same work.

    Raises:
        AssertionError: naming the losses.
    """
    if max(losses) - min(losses) > tolerance:
        raise AssertionError(f"benchmark: losses of the first step differ by more than {tolerance:g}: {losses}")
