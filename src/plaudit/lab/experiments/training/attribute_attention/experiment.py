"""Rewards of token states for two groups whose values differ, told the group in one way or another, in a new style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plaudit.audit.fairness.disparity import equity_scaled
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise
from plaudit.rewards.heads.attribute_attention import AttributeAttention

ARMS = ("attention", "plain", "input", "heads", "dealt", "oracle")
ROTATION = {"": 90.0, "0": 0.0}
"""Degrees by which the minority's values are turned."""
WORDS, WIDTH, TOKENS, SHARE = 24, 16, 8, 0.2
"""Words, numbers a state, tokens a completion, share of the minority's pairs in training."""
NOISE, STYLE, SHARPNESS, RATE = 0.3, 0.5, 3.0, 5e-3
"""Deviation of states about their word's, and of the style's shift a number; log-odds a deviation; learning rate."""

Numbers = np.ndarray


@dataclass(frozen=True)
class Style:
    """How often each word is said, and where states lie."""

    often: Numbers
    shift: Numbers


class Told(nn.Module):
    """A score from states: a module that may be told the group, then one linear head, or one a group, on the mean."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.attention = (
            AttributeAttention(WIDTH, 2, tokens=TOKENS) if name in ("attention", "plain", "dealt") else None
        )
        # as many weights as the attention has: 4 d^2 of attention and 8 d^2 of network against 2 h (d + 1)
        hidden = 6 * WIDTH
        self.network = nn.Sequential(nn.Linear(WIDTH + 2, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))
        self.head = nn.Linear(WIDTH, 2 if name == "heads" else 1, bias=False)

    def forward(self, x: Tensor, group: Tensor) -> Tensor:
        """Scores, (b,), of states (b, n, d) and groups (b,)."""
        if self.attention is not None:
            x = self.attention(x, torch.zeros_like(group) if self.name == "plain" else group)
        elif self.name == "input":
            told = F.one_hot(group, 2).to(x.dtype)[:, None].expand(-1, x.shape[1], -1)
            x = x + self.network(torch.cat([x, told], dim=2))
        score: Tensor = self.head(x.mean(dim=1))
        return score.gather(1, group[:, None])[:, 0] if self.name == "heads" else score[:, 0]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `equity`, see the claim; `majority` and `minority`, accuracy by what each values, on fresh pairs of the new
        style.
    """
    del fit  # small networks of given states
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ROTATION:
        raise InputError(f"attribute_attention: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    words, values = rng.normal(size=(WORDS, WIDTH)), _values(rng, ROTATION[knob])
    source = Style(np.full(WORDS, 1 / WORDS), np.zeros(WIDTH))
    target = Style(rng.dirichlet(np.ones(WORDS)), rng.normal(0, STYLE, WIDTH))
    n, test = int(budget["pairs"]), int(budget["test"])
    draw = np.random.default_rng([seed, 2])
    group = (draw.random(n) < SHARE).astype(np.int64)
    states, margin = _pairs(draw, source, words, values, group)
    first = draw.random(n) < 1 / (1 + np.exp(-SHARPNESS * margin))
    if name == "dealt":
        group = draw.permutation(group)
    model = _fitted(name, seed, np.where(first, 1.0, -1.0), states, group, int(budget["steps"]), int(budget["batch"]))
    right = {}
    for who, label in enumerate(("majority", "minority")):
        fresh = np.random.default_rng([seed, 3, who])
        asked = np.full(test, who)
        shown, true = _pairs(fresh, target, words, values, asked)
        if name == "dealt":
            asked = (fresh.random(test) < SHARE).astype(np.int64)
        said = true if model is None else _margin(model, shown, asked)
        right[label] = float((np.sign(said) == np.sign(true)).mean())
    overall = (1 - SHARE) * right["majority"] + SHARE * right["minority"]
    return {"equity": equity_scaled(overall, list(right.values())), **right}


def _values(rng: np.random.Generator, degrees: float) -> Numbers:
    """What a word is worth to the majority and to the minority, (2, words)."""
    first, other = rng.normal(size=(2, WORDS))
    first -= first.mean()
    other -= other.mean() + (other @ first) / (first @ first) * first
    first, other = (v / np.linalg.norm(v) for v in (first, other))
    angle = np.radians(degrees)
    scale = float(np.sqrt(WORDS / TOKENS / 2))  # so that the difference of two completions has deviation 1
    return np.asarray(scale * np.stack([first, np.cos(angle) * first + np.sin(angle) * other]))


def _pairs(
    rng: np.random.Generator, style: Style, words: Numbers, values: Numbers, group: Numbers
) -> tuple[Numbers, Numbers]:
    """States of both sides, (2, n, tokens, d), and by how much the first is worth more to its group, (n,)."""
    said = rng.choice(WORDS, size=(2, len(group), TOKENS), p=style.often)
    states = words[said] + style.shift + NOISE * rng.normal(size=(*said.shape, WIDTH))
    worth = values[group[None, :, None], said].sum(axis=2)
    return states, worth[0] - worth[1]


def _fitted(
    name: str, seed: int, sign: Numbers, states: Numbers, group: Numbers, steps: int, batch: int
) -> Told | None:
    """The arm's model after Bradley-Terry on batches that are the same for all arms; none for the ceiling."""
    if name == "oracle":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        model = Told(name)
    x, told, y = (torch.from_numpy(a) for a in (states.astype(np.float32), group, sign.astype(np.float32)))

    def loss(done: int) -> Tensor:
        at = torch.from_numpy(np.random.default_rng([seed, 4, done]).integers(len(sign), size=batch))
        return -F.logsigmoid(y[at] * (model(x[0][at], told[at]) - model(x[1][at], told[at]))).mean()

    minimise(model.parameters(), loss, steps=steps, lr=RATE)
    return model


def _margin(model: Told, states: Numbers, group: Numbers) -> Numbers:
    with torch.no_grad():
        told = torch.from_numpy(group)
        first, second = (model(torch.from_numpy(side.astype(np.float32)), told) for side in states)
        return np.asarray((first - second).numpy())
