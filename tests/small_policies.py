"""A policy of a few hundred parameters over the arithmetic world's tokens, and rewards that need no model."""

import numpy as np
import torch

from plaudit.lab.worlds.arithmetic.problems import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import EOS, PAD, TOKENS, build_tokenizer
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.policy.losses.surrogates import clipped
from plaudit.policy.online import Method, OnlineConfig, improve
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation
from plaudit.rewards.base import PreferenceBatch, RewardBatch


def policy(seed=0, **changes):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(TOKENS), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 96, "initializer_range": 0.4, "pad_token_id": PAD,
        "eos_token_id": EOS, "bos_token_id": None,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**{**shape, **changes})).eval()


def prompts(n):
    return [PromptOnly(conversation(p.text), str(p.answer)) for p in draw_problems(n, seed=1)]


class Sevens:
    """Reward: the share of sevens in the completion."""

    name, scope, bounds, fingerprint = "sevens", "sample", (0.0, 1.0), "sevens"

    def __init__(self):
        self.seen = []

    def __call__(self, samples):
        self.seen += [(s.group, s.text) for s in samples]
        return RewardBatch(np.array([self.one(s.text) for s in samples]))

    def one(self, text):
        return text.count("7") / max(len(text), 1)


class MoreSevens:
    """A comparison: the completion with more sevens is better."""

    name, fingerprint = "more-sevens", "more-sevens"

    def __init__(self):
        self.seen = []

    def __call__(self, first, second):
        self.seen += [(a.group, a.text, b.text) for a, b in zip(first, second, strict=True)]
        ahead = np.array([a.text.count("7") - b.text.count("7") for a, b in zip(first, second, strict=True)])
        return PreferenceBatch((np.sign(ahead) + 1) / 2, np.zeros(len(first), dtype=np.int8))


torch.set_num_threads(1)  # runs are compared to the last digit, and sums over threads come in any order

SMALL = {"batch_size": 4, "completions": 3, "max_tokens": 10, "learning_rate": 3e-3, "max_length": 96, "warmup": 0.0}


def run(out, *, reward=None, rows=8, model=None, method=None, watched=None, sampler=None, **options):
    more = {} if sampler is None else {"sampler": sampler}
    return improve(
        prompts(rows), model=model or policy(), tokenizer=build_tokenizer(), reward=reward or Sevens(),
        config=OnlineConfig(**{**SMALL, **options}), method=method or Method(GroupRelative(), clipped, "token"),
        out=out, watched=watched, **more,
    )  # fmt: skip


def losses(found):
    return [row["loss"] for row in found.history]


def weights(found):
    return {name: p.detach().clone() for name, p in found.model.named_parameters()}
