"""A discriminator of policies, fine-tuned with fifty triples, and rewards that see these triples alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.policy_discriminator.policies import LETTERS, POLICIES, STYLE, UNSEEN, Writers
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text
from plaudit.rewards.likelihood.discriminator import WORDING, pretraining_pairs, triples_of
from plaudit.training.objectives.pairs.logistic import bradley_terry

ARMS = ("finetuned", "scratch", "bradley_terry", "pretrained", "few_policies", "shuffled", "cosine", "oracle")
HIDDEN = 16
UNIT = 3.0
"""Roots of shares are small numbers, and their products smaller ones; both are brought nearer to 1."""
SHARPNESS = 4.0
"""Log-odds of an annotator per unit of worth."""
PRETRAIN = {"lr": 0.01, "decay": 0.1}
TUNE = {"lr": 0.0005, "decay": 0.1}
"""From pre-trained weights; the seventh trial on development instances, of which four were on one instance."""
FIT = {"lr": 0.01, "decay": 10.0}
"""From random weights; the best of six trials, of which four were on one instance."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`: share of fresh triples whose better candidate scores higher. `same_policy`: share of fresh triples
        by unseen policies in which the reference's own policy scores higher than another one, before fine-tuning.
    """
    del fit  # a small network of letter pairs
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"policy_discriminator: arm {arm!r} is not known; the claim lists the arms")
    writers = Writers(seed, int(budget["length"]), 0.0 if knob else STYLE)
    tuning = triples_of(writers.rankings(int(budget["triples"]), 3, SHARPNESS))
    test = triples_of(writers.rankings(int(budget["test"]), 4))
    unseen = list(range(POLICIES - UNSEEN, POLICIES))
    whose = _policy_pairs(writers, int(budget["test"]) // 4, unseen, 5)
    if name == "oracle":
        return {"accuracy": 1.0, "same_policy": 1.0}
    if name == "cosine":
        return {"accuracy": _accuracy(_cosine, test), "same_policy": _accuracy(_cosine, whose)}
    model = _Discriminator(seed, candidate_only=name == "bradley_terry")
    if name not in ("scratch", "bradley_terry"):
        _descend(model, _pretraining(name, writers, budget), int(budget["steps"]), **PRETRAIN)
    same = _accuracy(model.lead, whose)
    if name != "pretrained":
        fresh = name in ("scratch", "bradley_terry")
        _descend(model, tuning, int(budget["tuning_steps"]), **(FIT if fresh else TUNE))
    return {"accuracy": _accuracy(model.lead, test), "same_policy": same}


def _policy_pairs(writers: Writers, prompts: int, policies: Sequence[int], part: int) -> list[Pair]:
    samples, names = writers.policy_samples(prompts, policies, min(5, len(policies)), part)
    return pretraining_pairs(samples, names, seed=writers.seed % 2**32)


def _pretraining(arm: str, writers: Writers, budget: Mapping[str, Any]) -> list[Pair]:
    seen = list(range(int(budget["few"]) if arm == "few_policies" else POLICIES - UNSEEN))
    samples, names = writers.policy_samples(int(budget["prompts"]), seen, min(5, len(seen)), 2)
    if arm == "shuffled":  # of one prompt's completions any two are called one policy's
        rng, block = np.random.default_rng([writers.seed, 6]), len(names) // int(budget["prompts"])
        names = [names[i + j] for i in range(0, len(names), block) for j in rng.permutation(block)]
    return pretraining_pairs(samples, names, seed=writers.seed % 2**32)


def reference_in(prompt: str) -> str:
    """The reference that `carrying` put into a prompt."""
    before, after = WORDING.split("{prompt}")[1].split("{reference}")
    return prompt.split(before, 1)[1].rsplit(after, 1)[0]


def letter_pairs(texts: Sequence[str]) -> np.ndarray:
    """Roots of the shares of letters and of letter pairs, (n, 12 + 144), of texts of one length."""
    n = len(LETTERS)
    at = np.frombuffer("".join(texts).encode(), dtype=np.uint8).reshape(len(texts), -1).astype(np.int64) - ord("a")
    found = np.zeros((len(texts), n + n * n))
    row = np.arange(len(texts))[:, None]
    np.add.at(found, (row, at), 1 / at.shape[1])
    np.add.at(found, (row, n + at[:, :-1] * n + at[:, 1:]), 1 / (at.shape[1] - 1))
    return np.asarray(np.sqrt(found))


def _read(pairs: Sequence[Pair]) -> list[np.ndarray]:
    """Features of reference, chosen and rejected."""
    texts = [(reference_in(p.prompt[-1].text), completion_text(p.chosen), completion_text(p.rejected)) for p in pairs]
    return [letter_pairs(side) for side in zip(*texts, strict=True)]


def _cosine(features: Sequence[np.ndarray]) -> np.ndarray:
    """By how much the chosen shares more with the reference: the features' lengths are equal."""
    reference, chosen, rejected = features
    return np.asarray((reference * (chosen - rejected)).sum(axis=1))


def _accuracy(lead: Callable[[Sequence[np.ndarray]], np.ndarray], pairs: Sequence[Pair]) -> float:
    return float((np.sign(lead(_read(pairs))) + 1).mean() / 2)


@final
class _Discriminator(nn.Module):
    """A score of (reference, candidate): their products feature by feature and the candidate's own, linear and hidden.

    Args:
        seed: of the weights.
        candidate_only: the reference is not looked at: a plain scalar reward.
    """

    def __init__(self, seed: int, *, candidate_only: bool) -> None:
        super().__init__()
        self.candidate_only, n = candidate_only, len(LETTERS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**31)
            self.hidden, self.out = nn.Linear(2 * (n + n * n), HIDDEN), nn.Linear(HIDDEN, 1)
            self.straight = nn.Linear(2 * (n + n * n), 1, bias=False)

    def forward(self, reference: Tensor, candidate: Tensor) -> Tensor:
        """Scores, (n,)."""
        shared = reference * candidate * (0.0 if self.candidate_only else UNIT)
        both = UNIT * torch.cat([UNIT * shared, candidate], dim=-1)
        found: Tensor = self.straight(both) + self.out(torch.tanh(self.hidden(both)))
        return found[..., 0]

    def scores(self, features: Sequence[np.ndarray]) -> Tensor:
        """Of all chosen, then of all rejected candidates."""
        reference, chosen, rejected = (torch.from_numpy(x.astype(np.float32)) for x in features)
        return torch.cat([self(reference, chosen), self(reference, rejected)])

    def lead(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """By how much each chosen candidate scores higher."""
        with torch.no_grad():
            chosen, rejected = self.scores(features).numpy().reshape(2, -1)
        return np.asarray(chosen - rejected)


def _descend(model: _Discriminator, pairs: Sequence[Pair], steps: int, *, lr: float, decay: float) -> None:
    """AdamW on all pairs at once."""
    features, m = _read(pairs), len(pairs)
    places = torch.stack([torch.arange(m), torch.arange(m) + m], dim=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    for _ in range(steps):
        optimiser.zero_grad()
        (bradley_terry(model.scores(features), places) / m).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
