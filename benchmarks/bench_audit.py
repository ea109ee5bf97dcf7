"""A whole audit of a 12M-parameter reward model on 1,000 pairs, beside scoring the same texts the plain way.

Two workloads: real pairs (hh-rlhf from the shared data folder, left out where that is missing), and longer made ones,
log-normal around 180 + 100 words. The limit of two minutes is for real pairs and two cores; an audit of the long ones
is timed beside it.

The audit scores each text once, on prefix trees; the peer is given every text that the audit asked for (its choice of
what to ask is no part of the comparison), sorted by length and padded, with the best of three batch sizes. The model
has random weights: what is measured is time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from common import HERE, VOCABULARY, llama, timed

from plaudit.audit.battery import audit_reward, tokenizer_words
from plaudit.audit.config import AuditConfig
from plaudit.records import Message, Pair, Sample, read
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.models import ModelReward

LIMIT = 120.0
BATCHES = (8, 32, 64)
REAL = HERE.parents[1] / "shared" / "data" / "hh_harmless" / "pairs_1800.jsonl.gz"
TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '> ' + m['content'] + ' ' }}{% endfor %}"
    "{{ '<assistant>' if add_generation_prompt else '<eos>' }}"
)


def tokenizer(rows: Sequence[Pair]) -> Any:
    """Byte-pair tokens learned from the pairs' own texts, with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core: Any = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 8, special_tokens=["<pad>", "<bos>", "<eos>", "<user>", "<assistant>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    core.train_from_iterator((s.text + "\n" + _messages(s)[0]["content"] for p in rows for s in p.samples()), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    made.chat_template = TEMPLATE
    return made


def real(n: int) -> list[Pair]:
    """The first pairs of hh-rlhf, or none where the shared data are missing."""
    if not REAL.exists():
        return []
    return [row for row in read(REAL, kind="pairs").rows if isinstance(row, Pair)][:n]


def made(n: int, *, seed: int = 0) -> list[Pair]:
    """Prompts of log-normal 180 words and completions of log-normal 100, words by Zipf's law."""
    words = [f"w{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}{'uvwxyzabcd'[i // 100]}" for i in range(1000)]
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, len(words) + 1)
    share /= share.sum()

    def text(mean: float) -> str:
        length = int(np.clip(rng.lognormal(np.log(mean), 0.6), 8, 400))
        drawn = [words[int(i)] for i in rng.choice(len(words), length, p=share)]
        return " ".join(w + ("." if k % 12 == 11 else "") for k, w in enumerate(drawn))

    return [Pair((Message("user", text(180)),), text(100), text(100)) for _ in range(n)]


WORKLOADS: dict[str, Callable[[int], list[Pair]]] = {"hh-rlhf": real, "log-normal 180 + 100": made}


class Noted:
    """The reward, with a note of every text that it was asked for."""

    def __init__(self, of: ModelReward) -> None:
        self.of, self.asked = of, dict[str, Sample]()
        self.name, self.scope, self.bounds, self.fingerprint = of.name, of.scope, of.bounds, of.fingerprint
        self.tokenizer = of.tokenizer

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """As the reward."""
        self.asked.update({s.key: s for s in samples})
        return self.of(samples)


class Stages:
    """Seconds of every family of checks, as the audit says that it comes to it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name, self._since = "", time.perf_counter()

    def __call__(self, name: str) -> None:
        """Ends one family and begins another."""
        now = time.perf_counter()
        if self._name:
            self.seconds[self._name] = now - self._since
        self._name, self._since = name, now


def padded(reward: ModelReward, samples: Sequence[Sample], batch: int) -> float:
    """Seconds of plain transformers, length-sorted and padded, the texts already tokens."""
    longest = int(reward.model.config.max_position_embeddings)
    ids = [reward.tokenizer.apply_chat_template(_messages(s), tokenize=True)["input_ids"][-longest:] for s in samples]
    ids.sort(key=len)
    model = llama()
    model.eval()

    def run() -> None:
        with torch.inference_mode():
            for i in range(0, len(ids), batch):
                rows = ids[i : i + batch]
                width = max(map(len, rows))
                table = torch.tensor([r + [0] * (width - len(r)) for r in rows])
                mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
                model(input_ids=table, attention_mask=mask)

    return timed(run)


def _messages(sample: Sample) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.text} for m in sample.prompt] + [
        {"role": "assistant", "content": sample.text}
    ]


def measured(name: str, rows: Sequence[Pair], repetitions: int, *, peer: bool) -> None:
    """Prints the audit's seconds, family by family, then the peer's, and their ratio."""
    seconds, plain, asked = [], [], 0
    words = tokenizer(rows)
    for k in range(repetitions):
        reward, stages = Noted(ModelReward(llama(), words, name="random")), Stages()
        started = time.perf_counter()
        audit = audit_reward(
            rows, reward, logit_scale=1.0, vocabulary=tokenizer_words(reward), config=AuditConfig(), report=stages
        )
        seconds.append(time.perf_counter() - started)
        stages("end")
        asked = len(reward.asked)
        print(
            f"{name}: audit {seconds[-1]:.1f} s ({len(audit.checks)} checks, {asked} texts): "
            + ", ".join(f"{family} {s:.1f}" for family, s in stages.seconds.items()),
            flush=True,
        )
        if peer:
            plain.append(padded(reward.of, list(reward.asked.values()), BATCHES[k % len(BATCHES)]))
            print(f"{name}: padded in batches of {BATCHES[k % len(BATCHES)]}: {plain[-1]:.1f} s", flush=True)
    ours = float(np.median(seconds))
    verdict = "" if name != "hh-rlhf" else f", limit {LIMIT:.0f} s: {'met' if ours < LIMIT else 'MISSED'}"
    print(f"{name}: audit of 12M parameters on {len(rows)} pairs, median of {repetitions}: {ours:.1f} s{verdict}")
    if plain:
        print(f"{name}: the same {asked} texts padded, best of {len(plain)}: {min(plain):.1f} s, "
              f"{min(plain) / ours:.2f}x the audit")  # fmt: skip


def main() -> None:
    """Runs the workloads, one after the other."""
    parser = argparse.ArgumentParser(prog="bench_audit.py")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=WORKLOADS, help="this workload alone")
    parser.add_argument("--no-peer", action="store_true", help="leave the padded peer out")
    opts = parser.parse_args()
    torch.set_num_threads(opts.threads)
    for name, draw in WORKLOADS.items():
        rows = draw(opts.pairs) if opts.only in (None, name) else []
        if rows:
            measured(name, rows, opts.repetitions, peer=not opts.no_peer)
        elif opts.only in (None, name):
            print(f"{name}: left out, the shared data are not there")


if __name__ == "__main__":
    main()
