"""Preferences that a tiny model can learn, and a fit that takes a second."""

import json

import pytest

from plaudit.records import Message, Pair, Ranked
from plaudit.runs.progress import Progress
from plaudit.training import stepping
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.fitting import fit_reward_model

SMALL = Backbone(width=32, layers=2, heads=2, vocabulary=300)
QUICK = dict(epochs=1.0, learning_rate=3e-3, batch_size=4, max_length=96, save_steps=1000)


def _pairs(n=12, margins=False):
    """Completions that say `good` are chosen, of many lengths, over several prompts."""
    rows = []
    for i in range(n):
        good, bad = f"a good answer {i} " + "indeed " * (i % 4), f"a bad answer {i} " + "alas " * (i * 7 % 5)
        margin = 0.5 * (i % 3) if margins else None
        rows.append(Pair((Message("user", f"question {i // 2}"),), good, bad, margin=margin))
    return rows


def _ranked(n=6, k=4):
    return [
        Ranked(
            (Message("user", f"question {i}"),),
            tuple(f"{'good ' * j}answer {i} {j}" for j in range(k)),
            tuple(float((j + i) % k) for j in range(k)),
        )
        for i in range(n)
    ]


def _fit(out, rows=None, *, backbone=SMALL, progress=Progress, **changes):
    rows, config = _pairs() if rows is None else rows, FitConfig(**(QUICK | changes))
    return fit_reward_model(rows, backbone=backbone, config=config, out=out, progress=progress)


def _parameters(fit):
    return {name: p.detach() for name, p in fit.reward.model.named_parameters()}


def _logged(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def pairs():
    return _pairs


@pytest.fixture(scope="session")
def ranked():
    return _ranked


@pytest.fixture(scope="session")
def fit():
    return _fit


@pytest.fixture(scope="session")
def parameters():
    return _parameters


@pytest.fixture(scope="session")
def logged():
    return _logged


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(autouse=True)
def _quiet_and_offline(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def by_descent(monkeypatch):
    """Trains by plain gradient descent, which shows gradients as they are.

    Adam divides by the gradient's size: where that is rounding, steps differ by the learning rate itself, and how much
    of it is rounding depends on the processor.
    """
    usual = stepping._arguments

    def arguments(config, out):
        found = usual(config, out)
        found.optim = "sgd"
        return found

    monkeypatch.setattr(stepping, "_arguments", arguments)
