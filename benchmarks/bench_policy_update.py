"""The update of a policy on 8 completions a prompt: log-probabilities, loss, backward pass, AdamW step.

Plaudit packs the completions of a prompt into one prefix tree. TRL's `GRPOTrainer` gets them as it makes them itself,
prompts padded on the left and completions on the right, and its own `_compute_loss` is called. Both train the same
12M-parameter Llama on the same tokens and advantages, with the same loss (DAPO's, TRL's default); the losses of the
first step must agree to 1e-4. Sampling and rewards are not in it.

Peak memory is that of a fresh process for each side: the kernel's high-water mark over the steps minus the resident
size before them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from bench_memory import reset, status
from common import Cells, arguments, ratio_row, show, spread, summary, target

MIB = 1 << 20
VOCABULARY = 8192


@dataclass(frozen=True, slots=True)
class Update:
    """What one setting of the benchmark trains on."""

    prompt: int = 512
    """Tokens of every prompt."""
    completion: int = 128
    """Median tokens of a completion."""
    spread: float = 0.6
    """Standard deviation of the logarithm of the length; 0 makes all equally long."""
    completions: int = 8
    """Completions a prompt."""
    checkpointing: bool = False
    """Whether activations are recomputed, on both sides."""

    def groups(self, count: int, seed: int) -> list[tuple[list[int], list[list[int]], np.ndarray[Any, Any]]]:
        """`count` prompts, their completions, and an advantage each."""
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(count):
            lengths = np.clip(rng.lognormal(np.log(self.completion), self.spread, self.completions), 4, 900).astype(int)
            prompt = rng.integers(3, VOCABULARY - 1, self.prompt).tolist()
            said = [rng.integers(3, VOCABULARY - 1, n).tolist() for n in lengths]
            found.append((prompt, said, rng.standard_normal(self.completions)))
        return found


SETTINGS = {
    "log-normal": Update(), "equal": Update(spread=0.0), "log-normal, recomputed": Update(checkpointing=True),
}  # fmt: skip
TARGETS = {"log-normal": 3.0, "equal": 2.5, "log-normal, recomputed": 3.0}


def main() -> None:
    parser = arguments("bench_policy_update.py", repetitions=5)
    parser.add_argument("--steps", type=int, default=2, help="timed steps (prompts) a side and repetition")
    parser.add_argument("--warm", type=int, default=1, help="steps before them, not timed")
    parser.add_argument("--side", choices=["ours", "trl"], help="run one side here and print its peak in bytes")
    parser.add_argument("--setting", default="log-normal", choices=list(SETTINGS), help="with --side")
    parser.add_argument("--seed", type=int, default=0, help="of the data, with --side")
    opts = parser.parse_args()
    if opts.side:
        print(json.dumps(peak(opts.side, SETTINGS[opts.setting], opts)))
        return
    cells, rows = Cells("bench_policy_update", opts), {}
    shape = {"steps": opts.steps, "warm": opts.warm}
    table = [["lengths", "Plaudit s/step", "TRL s/step", "TRL / Plaudit", "by processor time", "target"]]
    memory = [["lengths", "Plaudit MiB", "TRL MiB", "Plaudit / TRL", "target"]]
    for name, setting in SETTINGS.items():
        found = cells.measure({**asdict(setting), **shape}, lambda seed, s=setting: repetition(s, seed, **shape))
        ratio, processor = ratio_row(found, "ours", "trl"), ratio_row(found, "ours_cpu", "trl_cpu")
        ours, trl = (summary([c[side] for c in found]) for side in ("ours", "trl"))
        table.append([
            name, spread(ours, 3), spread(trl, 3), spread(ratio), spread(processor),
            target(ratio["value"], TARGETS[name]),
        ])  # fmt: skip
        rows |= {f"{name}/ratio": ratio, f"{name}/processor": processor, f"{name}/ours": ours, f"{name}/trl": trl}
        peaks = cells.measure(
            {**asdict(setting), "memory": True, **shape},
            lambda seed, n=name: {side: _in_process(side, n, seed, opts) for side in ("ours", "trl")},
        )
        share = ratio_row(peaks, "trl", "ours")
        held = [summary([c[side] / MIB for c in peaks]) for side in ("ours", "trl")]
        memory.append([name, *(spread(x, 0) for x in held), spread(share), target(share["value"], 0.6, at_most=True)])
        rows |= {f"{name}/memory": share}
    show("One update on 8 completions after a prompt of 512 tokens, 12M-parameter Llama", table)
    show("Peak memory of the same update above the level before it", memory)
    cells.finish(rows, shape)


def repetition(setting: Update, seed: int, *, steps: int, warm: int) -> dict[str, float]:
    """Both sides, one after the other, in an order that changes with the repetition."""
    found: dict[str, float] = {}
    first: dict[str, float] = {}
    for side in ("ours", "trl")[:: -1 if seed % 2 else 1]:
        step, groups = SIDES[side](setting), setting.groups(steps + warm, seed)
        first[side] = step(groups[0])
        for group in groups[1:warm]:
            step(group)
        start = (time.perf_counter(), time.process_time())
        for group in groups[warm:]:
            step(group)
        found[side] = (time.perf_counter() - start[0]) / steps
        found[f"{side}_cpu"] = (time.process_time() - start[1]) / steps
    if abs(first["ours"] - first["trl"]) > 1e-4:
        raise AssertionError(f"benchmark: losses of the first step differ: {first}")
    return found


Step = Callable[[tuple[list[int], list[list[int]], np.ndarray[Any, Any]]], float]


def policy(setting: Update) -> Any:
    """The 12M-parameter Llama with its language-model head, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=2048, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).float()
    if setting.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.train()


def ours(setting: Update) -> Step:
    """Plaudit's update, as its online trainer makes it."""
    import torch

    from plaudit.engine.engine import open_gate
    from plaudit.engine.vocabulary import install_logp_head
    from plaudit.policy.losses import TokenBatch, clipped, token_weights
    from plaudit.policy.online import Learned, row_tokens, rows_of

    model = policy(setting)
    assert open_gate(model).open
    assert install_logp_head(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(group: Any) -> float:
        prompt, said, advantage = group
        lengths = np.array([len(c) for c in said])
        weight = token_weights(lengths, np.ones(len(said), dtype=bool), how="token")
        columns = {
            "advantage": [np.full(n, a) for n, a in zip(lengths, advantage, strict=True)],
            "weight": [np.full(n, w) for n, w in zip(lengths, weight, strict=True)],
        }
        total = 0.0
        learned = [Learned(tuple(prompt), tuple(map(tuple, said)), columns)]
        for row in rows_of(learned, budget=8192, tree=True, pad_id=0):
            tokens = row_tokens(model, row)
            batch = TokenBatch(tokens.logp, tokens.logp.detach(), row["advantage"], row["owner"], row["count"])
            loss = (clipped(batch).loss * row["weight"]).sum()
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return total

    return step


def trl(setting: Update) -> Step:
    """TRL's loss on its own inputs, with the same optimiser around it."""
    import torch
    from datasets import Dataset
    from trainers import _tokenizer
    from trl import GRPOConfig, GRPOTrainer

    model = policy(setting)
    with tempfile.TemporaryDirectory() as out:
        trainer = GRPOTrainer(
            model, lambda **_: [0.0], train_dataset=Dataset.from_list([{"prompt": "a"}] * 8),
            processing_class=_tokenizer(),
            args=GRPOConfig(
                output_dir=out, per_device_train_batch_size=setting.completions,
                num_generations=setting.completions, max_completion_length=1024, beta=0.0, bf16=False, use_cpu=True,
                report_to=[], disable_tqdm=True, gradient_checkpointing=setting.checkpointing,
            ),
        )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(group: Any) -> float:
        prompt, said, advantage = group
        n, width = len(said), max(len(c) for c in said)
        ids, mask = np.zeros((n, width), dtype=np.int64), np.zeros((n, width), dtype=np.int64)
        for i, c in enumerate(said):
            ids[i, : len(c)], mask[i, : len(c)] = c, 1
        inputs = {
            "prompt_ids": torch.tensor([prompt] * n), "prompt_mask": torch.ones(n, len(prompt), dtype=torch.long),
            "completion_ids": torch.from_numpy(ids), "completion_mask": torch.from_numpy(mask),
            "advantages": torch.tensor(advantage, dtype=torch.float32),
            "num_items_in_batch": torch.tensor(int(mask.sum())),
        }  # fmt: skip
        loss = trainer._compute_loss(trainer.model, inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


SIDES: dict[str, Callable[[Update], Step]] = {"ours": ours, "trl": trl}


def peak(side: str, setting: Update, opts: Any) -> int:
    """Bytes of resident memory that the steps of one side need at their peak, above the level before them."""
    import torch

    torch.set_num_threads(opts.threads)
    step, groups = SIDES[side](setting), setting.groups(opts.steps + opts.warm, opts.seed)
    before = reset()
    for group in groups:
        step(group)
    return status("VmHWM") - before


def _in_process(side: str, setting: str, seed: int, opts: Any) -> float:
    command = [sys.executable, "-W", "ignore", __file__, "--side", side, "--setting", setting, "--seed", str(seed)]
    command += ["--steps", str(opts.steps), "--warm", str(opts.warm), "--threads", str(opts.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_policy_update: {side} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
