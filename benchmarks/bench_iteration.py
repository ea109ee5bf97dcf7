"""A whole iteration of GRPO: completions sampled, rewarded, advantages, update; Plaudit's online loop beside TRL's.

Both train the same 12M-parameter Llama on the same prompts in float32 with transformers' own generation and a
key-value cache, 2 prompts with 8 completions a step, no KL. The model has random weights and almost never ends by
itself, so all completions are as long as they may be: nothing is saved by packing lengths, and what is measured is
sampling and the shared prompt. An iteration lasts from one moment when a batch has all its rewards to the next.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_policy_update import policy
from common import VOCABULARY, Cells, arguments, ratio_row, show, spread, summary, target

PROMPTS, GROUP = 2, 8


@dataclass(frozen=True, slots=True)
class Iteration:
    """Lengths, and whether activations are recomputed."""

    prompt: int = 512
    """Tokens of every prompt."""
    completion: int = 128
    """Tokens of every completion."""
    checkpointing: bool = False
    """Whether activations are recomputed, on both sides."""


SETTINGS = {
    "512 + 128": Iteration(), "64 + 128": Iteration(prompt=64), "512 + 32": Iteration(completion=32),
    "64 + 32": Iteration(prompt=64, completion=32),
}  # fmt: skip


class Clock:
    """A reward that notes when a batch has all its rewards: the share of words with an even number."""

    name, scope, bounds, fingerprint = "even", "sample", (0.0, 1.0), "even"

    def __init__(self) -> None:
        self.told = 0
        self.moments: list[tuple[float, float]] = []

    def values(self, texts: Sequence[str]) -> list[float]:
        """Rewards of texts, in their order."""
        found = [float(np.mean([int(w[1:]) % 2 == 0 for w in t.split() if w[1:].isdigit()] or [0.0])) for t in texts]
        self.told += len(texts)
        if self.told % (PROMPTS * GROUP) == 0:
            self.moments.append((time.perf_counter(), time.process_time()))
        return found

    def __call__(self, samples: Sequence[Any]) -> Any:
        """As a reward of Plaudit's."""
        from plaudit.rewards.base import RewardBatch

        return RewardBatch(np.array(self.values([s.text for s in samples])))

    def seconds(self, warm: int) -> tuple[float, float]:
        """Seconds of an iteration after `warm` of them, elapsed and spent by the process."""
        first, last, n = self.moments[warm], self.moments[-1], len(self.moments) - 1 - warm
        return (last[0] - first[0]) / n, (last[1] - first[1]) / n


def tokenizer() -> Any:
    """One token a word, with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    words = {w: i for i, w in enumerate([*special, *(f"w{i}" for i in range(VOCABULARY - len(special)))])}
    core: Any = Tokenizer(models.WordLevel(vocab=words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    made.chat_template = "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    return made


def prompts(setting: Iteration, steps: int, seed: int) -> list[str]:
    """Words at random, as many as the setting says."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in rng.integers(0, 8000, setting.prompt)) for _ in range(PROMPTS * steps)]


def ours(setting: Iteration, asked: Sequence[str]) -> Clock:
    """Plaudit's online loop."""
    from plaudit.policy.online import OnlineConfig, improve
    from plaudit.policy.online.methods import online
    from plaudit.records.rows import PromptOnly
    from plaudit.records.sample import conversation

    clock = Clock()
    config = OnlineConfig(
        algorithm="grpo", batch_size=PROMPTS, completions=GROUP, max_tokens=setting.completion, skip_kl=True,
        warmup=0.0, gradient_checkpointing=setting.checkpointing,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        improve(
            [PromptOnly(conversation(p)) for p in asked], model=policy(setting), tokenizer=tokenizer(), reward=clock,
            config=config, method=online("grpo")[1], out=Path(out),
        )  # fmt: skip
    return clock


def trl(setting: Iteration, asked: Sequence[str]) -> Clock:
    """TRL's `GRPOTrainer`."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    clock = Clock()

    def even(completions: Sequence[str], **_: Any) -> list[float]:
        return clock.values(completions)

    with tempfile.TemporaryDirectory() as out:
        trainer = GRPOTrainer(
            policy(setting), even, train_dataset=Dataset.from_list([{"prompt": p} for p in asked]),
            processing_class=tokenizer(),
            args=GRPOConfig(
                output_dir=out, per_device_train_batch_size=PROMPTS * GROUP, num_generations=GROUP,
                max_completion_length=setting.completion, beta=0.0, loss_type="grpo", num_train_epochs=1,
                learning_rate=1e-6, bf16=False, use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no",
                logging_steps=1, gradient_checkpointing=setting.checkpointing, seed=0,
            ),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock


SIDES: dict[str, Callable[[Iteration, Sequence[str]], Clock]] = {"ours": ours, "trl": trl}


def repetition(setting: Iteration, seed: int, *, steps: int, warm: int) -> dict[str, float]:
    """Both sides, one after the other, in an order that changes with the repetition."""
    found: dict[str, float] = {}
    for side in ("ours", "trl")[:: -1 if seed % 2 else 1]:
        clock = SIDES[side](setting, prompts(setting, steps + warm + 1, seed))
        found[side], found[f"{side}_cpu"] = clock.seconds(warm)
    return found


def main() -> None:
    parser = arguments("bench_iteration.py", repetitions=3)
    parser.add_argument("--steps", type=int, default=3, help="timed iterations a side and repetition")
    parser.add_argument("--warm", type=int, default=1, help="iterations before them, not timed")
    opts = parser.parse_args()
    cells, rows = Cells("bench_iteration", opts), {}
    shape = {"steps": opts.steps, "warm": opts.warm}
    table = [["prompt + completion", "Plaudit s/iteration", "TRL s/iteration", "TRL / Plaudit", "by processor time",
              "target"]]  # fmt: skip
    for name, setting in SETTINGS.items():
        found = cells.measure({**asdict(setting), **shape}, lambda seed, s=setting: repetition(s, seed, **shape))
        ratio, processor = ratio_row(found, "ours", "trl"), ratio_row(found, "ours_cpu", "trl_cpu")
        mine, theirs = (summary([c[side] for c in found]) for side in ("ours", "trl"))
        table.append([
            name, spread(mine, 3), spread(theirs, 3), spread(ratio), spread(processor), target(ratio["value"], 1.0)
        ])  # fmt: skip
        rows |= {f"{name}/ratio": ratio, f"{name}/processor": processor, f"{name}/ours": mine, f"{name}/trl": theirs}
    show(f"A whole iteration of GRPO, {PROMPTS} prompts with {GROUP} completions, 12M-parameter Llama", table)
    cells.finish(rows, shape)


if __name__ == "__main__":
    main()
