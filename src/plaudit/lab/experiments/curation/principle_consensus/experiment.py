"""Labels of principles with and without consensus, and models that are trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plaudit.curation.principles import ExtractedPrinciple, decided, principle_consensus, supported
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.curation.principle_consensus.feedback import (
    ANNOTATORS,
    ATTRIBUTES,
    PHRASINGS,
    Items,
    People,
    phrase,
)
from plaudit.stats.selective import auroc
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.policies.word import yes_no_loss

ARMS = ("consensus", "unfiltered", "random", "agreement", "preference", "oracle")
HIDDEN = 32
RATE, DECAY = 0.02, 2.0
"""Of AdamW; the decay was chosen on two development instances out of four trials, the same for all arms."""


@dataclass(frozen=True)
class Labels:
    """What is known about (completion, principle) pairs.

    Attributes:
        item: (m,), which completion.
        principle: in words.
        verdict: (m,), 1 followed and 0 not.
    """

    item: np.ndarray
    principle: list[str]
    verdict: np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `label_accuracy`: share of the labels that are trained on that are true. `labels`: how many a completion.
        `auc`: mean over attributes of the area under the curve with which the trained model's scores of fresh
        completions tell those that meet the attribute; the principle is put in words that training did not have.
    """
    del fit  # small networks of given numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"principle_consensus: arm {arm!r} is not known; the claim lists the arms")
    people = People(seed, int(budget["features"]))
    items, test = people.items(int(budget["items"]), 2), people.items(int(budget["test"]), 4)
    steps = int(budget["steps"])
    if name == "preference":
        return _preference(people, items, test, steps)
    extracted = people.feedback(items, 0.0 if knob else float(budget["salience"]))
    labels = _labels(name, extracted, people)
    truth = _truth(labels, items)
    if name == "oracle":
        labels = replace(labels, verdict=truth)
    model = _entailment(items.features, labels, people, steps)
    asked = _tensor(people.embed([phrase(k, PHRASINGS - 1) for k in range(len(ATTRIBUTES))]))
    with torch.no_grad():
        scores = model(_tensor(test.features)[:, None], asked).numpy()
    accuracy = float((labels.verdict == truth).mean())
    return {"label_accuracy": accuracy, "labels": len(truth) / len(items.strength), "auc": _auc(scores, test)}


def _labels(arm: str, extracted: Sequence[Sequence[ExtractedPrinciple]], people: People) -> Labels:
    left = [decided(supported(rows)) for rows in extracted]
    mask = np.concatenate([_kept(arm, rows, people) for rows in left])
    if arm == "random":  # as many labels as the consensus leaves, whichever they are
        mask = np.random.default_rng([people.seed, 5]).permutation(mask)
    every = [(i, e) for i, rows in enumerate(left) for e in rows]
    kept = [one for one, keep in zip(every, mask, strict=True) if keep]
    verdict = np.array([float(e.verdict == "yes") for _, e in kept])
    return Labels(np.array([i for i, _ in kept], dtype=np.int64), [e.principle for _, e in kept], verdict)


def _kept(arm: str, rows: Sequence[ExtractedPrinciple], people: People) -> np.ndarray:
    """True for the principles of one completion that an arm keeps."""
    if arm in ("unfiltered", "oracle") or not rows:
        return np.ones(len(rows), dtype=bool)
    embeddings, whose = people.embed([e.principle for e in rows]), [e.annotator for e in rows]
    verdicts = [e.verdict for e in rows] if arm == "agreement" else None
    return principle_consensus(embeddings, whose, everyone=ANNOTATORS, verdicts=verdicts)


def _truth(labels: Labels, items: Items) -> np.ndarray:
    attribute = [ATTRIBUTES.index(p.split()[0]) for p in labels.principle]
    return (items.strength[labels.item, attribute] > 0).astype(np.float64)


class _Entailment(nn.Module):
    """Logit of yes: a hidden layer of the completion, gated by the principle."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.item, self.gate = nn.Linear(features, HIDDEN), nn.Linear(embedding, HIDDEN)

    def forward(self, features: Tensor, principle: Tensor) -> Tensor:
        found: Tensor = (torch.tanh(self.item(features)) * self.gate(principle)).sum(-1)
        return found


def _entailment(features: np.ndarray, labels: Labels, people: People, steps: int) -> _Entailment:
    x, e = _tensor(features[labels.item]), _tensor(people.embed(labels.principle))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(people.seed % 2**31)
        model = _Entailment(x.shape[1], e.shape[1])
    m = len(labels.verdict)
    # the words' places in the list of their log-probabilities: yes of each question, then no of each
    yes, no = torch.arange(m), torch.arange(m) + m
    met = torch.from_numpy(labels.verdict > 0.5)
    words = torch.stack([torch.where(met, yes, no), torch.where(met, no, yes)], dim=1)

    def loss() -> Tensor:
        z = model(x, e)
        return yes_no_loss(torch.cat([F.logsigmoid(z), F.logsigmoid(-z)]), words) / m

    _descend(model, loss, steps)
    return model


def _preference(people: People, items: Items, test: Items, steps: int) -> dict[str, float]:
    """Bradley-Terry on which of two completions each annotator prefers on the whole."""
    half = len(items.strength) // 2
    overall = items.seen @ people.weight  # (n, annotators)
    first = overall[:half] > overall[half : 2 * half]
    truth = items.strength @ people.weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(people.seed % 2**31)
        model = nn.Sequential(nn.Linear(items.features.shape[1], HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    x, better = _tensor(items.features), torch.from_numpy(first.ravel())
    left = torch.arange(half).repeat_interleave(len(ANNOTATORS))
    pairs = torch.stack([torch.where(better, left, left + half), torch.where(better, left + half, left)], dim=1)
    _descend(model, lambda: bradley_terry(model(x)[:, 0], pairs) / len(pairs), steps)
    with torch.no_grad():
        scores = model(_tensor(test.features)).numpy()
    right = first == (truth[:half] > truth[half : 2 * half])[:, None]
    auc = _auc(np.repeat(scores, len(ATTRIBUTES), axis=1), test)
    return {"label_accuracy": float(right.mean()), "labels": len(pairs) / len(items.strength), "auc": auc}


def _descend(model: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _auc(scores: np.ndarray, test: Items) -> float:
    """Mean over attributes of the area under the curve; scores (n, attributes)."""
    return float(np.mean([auroc(scores[:, k], test.strength[:, k] > 0) for k in range(len(ATTRIBUTES))]))


def _tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))
