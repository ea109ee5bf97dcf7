"""A whole audit of a 12M-parameter reward model on 1,000 pairs, beside scoring the same texts the plain way.

The audit scores each text once, on prefix trees; the peer is given every text that the audit asked for (its choice of
what to ask is no part of the comparison), sorted by length and padded, with the best of three batch sizes. The model
has random weights: what is measured is time. The limit of two minutes is for two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common import VOCABULARY, llama, timed

from plaudit.audit.battery import audit_reward, tokenizer_words
from plaudit.audit.config import AuditConfig
from plaudit.records import Message, Pair, Sample
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.models import ModelReward

LIMIT = 120.0
BATCHES = (8, 32, 64)


def tokenizer(words: Sequence[str]) -> Any:
    """One token a word, with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<assistant>", *words])}
    core: Any = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    made.chat_template = (
        "{% for m in messages %}{{ '<' + m['role'] + '> ' + m['content'] + ' ' }}{% endfor %}"
        "{{ '<assistant>' if add_generation_prompt else '<eos>' }}"
    )
    return made


def pairs(n: int, words: Sequence[str], *, seed: int = 0) -> list[Pair]:
    """Prompts of log-normal 180 words and completions of log-normal 100, words by Zipf's law."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, len(words) + 1)
    share /= share.sum()

    def text(mean: float) -> str:
        length = int(np.clip(rng.lognormal(np.log(mean), 0.6), 8, 400))
        drawn = [words[int(i)] for i in rng.choice(len(words), length, p=share)]
        return " ".join(w + ("." if k % 12 == 11 else "") for k, w in enumerate(drawn))

    return [Pair((Message("user", text(180)),), text(100), text(100)) for _ in range(n)]


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


def padded(reward: ModelReward, samples: Sequence[Sample], batch: int) -> float:
    """Seconds of plain transformers, length-sorted and padded, the texts already tokens."""
    ids = [reward.tokenizer.apply_chat_template(_messages(s), tokenize=True)["input_ids"] for s in samples]
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


def main() -> None:
    """Prints the audit's seconds, the peer's, and their ratio."""
    parser = argparse.ArgumentParser(prog="bench_audit.py")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=3)
    opts = parser.parse_args()
    words = [f"w{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}{'uvwxyzabcd'[i // 100]}" for i in range(1000)]
    assert len(words) < VOCABULARY
    rows = pairs(opts.pairs, words)
    seconds, plain, asked = [], [], 0
    for k in range(opts.repetitions):
        reward = Noted(ModelReward(llama(), tokenizer(words), name="random"))
        started = time.perf_counter()
        audit = audit_reward(rows, reward, logit_scale=1.0, vocabulary=tokenizer_words(reward), config=AuditConfig())
        seconds.append(time.perf_counter() - started)
        asked = len(reward.asked)
        plain.append(padded(reward.of, list(reward.asked.values()), BATCHES[k % len(BATCHES)]))
        print(
            f"audit {seconds[-1]:.1f} s ({len(audit.checks)} checks, {asked} texts), padded {plain[-1]:.1f} s",
            flush=True,
        )
    ours, peer = float(np.median(seconds)), min(plain)
    met = "met" if ours < LIMIT else "MISSED"
    print(f"audit of 12M parameters on {opts.pairs} pairs: {ours:.1f} s, limit {LIMIT:.0f} s: {met}")
    print(f"the same {asked} texts padded, best of {len(plain)}: {peer:.1f} s, {peer / ours:.2f}x the audit")


if __name__ == "__main__":
    main()
