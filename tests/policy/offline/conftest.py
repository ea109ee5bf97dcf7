"""A tiny policy in a folder, and preferences that it can learn."""

from dataclasses import replace

import pytest

from plaudit.policy.offline.aligning import align
from plaudit.policy.offline.config import AlignConfig
from plaudit.records import Message, Pair, Ranked, Rated, Sample
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.policies.fitting import start_language

QUICK = dict(epochs=4.0, learning_rate=3e-3, batch_size=4, max_length=96, save_steps=1000)


def _pairs(n=12):
    """Completions that say `good` are chosen, of many lengths, over several prompts."""
    rows = []
    for i in range(n):
        good, bad = f"a good answer {i} " + "indeed " * (i % 4), f"a bad answer {i} " + "alas " * (i * 7 % 5)
        rows.append(Pair((Message("user", f"question {i // 2}"),), good, bad))
    return rows


@pytest.fixture(scope="session")
def preferences():
    return _pairs


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folder with a Llama of 44 thousand parameters and its tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    texts = [text for p in _pairs() for text in (p.chosen, p.rejected, p.prompt[0].text, "user: assistant:")]
    backbone = Backbone(width=32, layers=2, heads=2, vocabulary=300)
    made = start_language(backbone, texts, FitConfig(max_length=1024))
    write_causal(made.model, folder)
    made.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def aligned(tiny):
    def run(rows, out, algorithm="dpo", *, model="", **changes):
        return align(rows, model=model or tiny, config=AlignConfig(algorithm=algorithm, **(QUICK | changes)), out=out)

    return run


@pytest.fixture(autouse=True)
def _quiet_and_offline(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def _ranked(n=6, k=4):
    """Completions of which each says `good` once more than the one before it; the more the better."""
    return [
        Ranked(
            (Message("user", f"question {i}"),), tuple(f"{'good ' * j}answer {i} {j}" for j in range(k)),
            tuple(float(j) for j in range(k)), meta={"previous": [0.0, 2.0, 1.0, 3.0][:k]},
        )
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def ranked():
    return _ranked


@pytest.fixture(scope="session")
def rows_of():
    """Rows that an algorithm learns from."""

    def rows(name):
        scored = ("rebel", "prdp", "dno", "gpo", "cream", "dpo-reward-augmented", "raft", "superhf", "b-coder")
        if name in (*scored, "reward-conditioned"):
            return _ranked()
        samples = [(r.prompt, c, s) for r in _ranked() for c, s in zip(r.completions, r.scores, strict=True)]
        if name == "quote-tuning":  # QUIP is a share; lengths of good and poor ones are alike
            return [
                Sample(p.prompt, text, meta={"reward": reward})
                for p in _pairs()
                for text, reward in ((f"a good answer {p.chosen[-1]}", 0.9), (f"a poor answer {p.chosen[-1]}", 0.1))
            ]
        if name == "dpa":
            return [Rated(p, c, aspects={"helpful": s, "verbose": 3 - s}) for p, c, s in samples]
        if name == "weighted-sft":
            return [replace(p, meta={**p.meta, "weight": (1 + i % 3) / 3}) for i, p in enumerate(_pairs())]
        return _pairs()

    return rows
