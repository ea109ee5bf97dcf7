"""Heads on the states of a frozen backbone that has read an image and a text, or a text alone [93].

Five numbers describe the text and five the image; the backbone's state is a random mixture of all ten with noise, the
image's being zero where there is none. The true reward is a bent function of the text's numbers plus another of the
image's. Heads are those of `plaudit train`, fitted by Bradley-Terry to all pairs at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise
from plaudit.rewards.heads import ComposedHead, Network
from plaudit.training.objectives.pairs import bradley_terry

EACH, STATE, NOISE = 5, 24, 0.3
"""Numbers of a modality, of the state, and the deviation of the noise in it; without noise its own is 1."""
SHARPNESS = 3.0
"""Log-odds per deviation of the true reward."""
HEADS = {
    "linear": Network(), "none_2": Network(depth=2, activation="none"), "tanh_2": Network(depth=2, activation="tanh"),
    "relu_2": Network(depth=2, activation="relu"), **{f"silu_{n}": Network(depth=n) for n in (3, 4, 5)},
}  # fmt: skip
"""Arms that take all pairs with another head than SiLU in two layers."""
ROWS = {
    "mixed": ("mixed",), "text": ("text",), "mixed_and_text": ("mixed", "text"), "more_mixed": ("mixed", "further"),
    "mixed_and_coins": ("mixed", "coins"), "mixed_and_text@unrelated": ("mixed", "unrelated"),
    "centred": ("mixed", "text"), **{name: ("mixed", "text") for name in HEADS},
}  # fmt: skip
"""Arm to the sources of its pairs."""


@dataclass(frozen=True)
class World:
    """Weights of an instance: for each modality a slope and a bend a number, and how the state mixes them."""

    slope: np.ndarray
    bend: np.ndarray
    mixing: np.ndarray

    @classmethod
    def drawn(cls, seed: int) -> World:
        """The instance of a seed. The third row of slopes and bends is the text's of an unrelated source."""
        rng = np.random.default_rng([seed, 1])
        slope, bend = rng.normal(size=(2, 3, EACH))
        return cls(slope, np.abs(bend), rng.normal(size=(2 * EACH, STATE)) / np.sqrt(2 * EACH))

    def worth(self, numbers: np.ndarray, which: int) -> np.ndarray:
        """A modality's part of the true reward: more is better, up to a point; of deviation 1."""
        slope, bend = self.slope[which], self.bend[which]
        return np.asarray((numbers @ slope - numbers**2 @ bend) / np.sqrt(slope @ slope + 2 * bend @ bend))

    def pairs(self, source: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """States of both sides (n, 2, h) and the true margins of the first (n,)."""
        rng = np.random.default_rng([seed, 2, sorted(STREAMS).index(source)])
        text, image = rng.normal(size=(2, n, 2, EACH))
        alone = source not in ("mixed", "further", "test")
        image = image * (not alone)
        state = np.concatenate([text, image], axis=-1) @ self.mixing + NOISE * rng.normal(size=(n, 2, STATE))
        worth = self.worth(text, 2 if source == "unrelated" else 0) + (0.0 if alone else self.worth(image, 1))
        margin = worth[:, 0] - worth[:, 1]
        return state, np.zeros(n) if source == "coins" else margin


STREAMS = ("mixed", "further", "text", "coins", "unrelated", "test")
"""Sources of pairs, each with random numbers of its own; `coins` are judged by a coin."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh mixed pairs, by the true reward, and `fitted`, that on the labels it learned from.
    """
    del fit  # heads on given states
    world = World.drawn(seed)
    if arm == "oracle":
        return {"accuracy": 1.0, "fitted": 1.0}
    if arm not in ROWS:
        raise InputError(f"text_only_pairs: arm {arm!r} is not known; the claim lists the arms")
    states, labels = [], []
    for source in ROWS[arm]:
        state, margin = world.pairs(source, int(budget["mixed" if source == "mixed" else "more"]), seed)
        better = np.random.default_rng([seed, 3, sorted(STREAMS).index(source)]).random(len(margin))
        first = better < 1 / (1 + np.exp(-SHARPNESS * margin))
        states.append(np.where(first[:, None, None], state, state[:, ::-1]))
        labels.append(first)
    ordered = torch.from_numpy(np.concatenate(states)).float()
    head = fitted_head(
        ordered, HEADS.get(arm, Network(depth=2)), seed=seed, steps=int(budget["steps"]),
        center_coef=0.01 if arm == "centred" else 0.0,
    )  # fmt: skip
    state, margin = world.pairs("test", int(budget["test"]), seed)
    said = _scores(head, torch.from_numpy(state).float())
    learned = _scores(head, ordered)
    return {
        "accuracy": float((np.sign(said[:, 0] - said[:, 1]) == np.sign(margin)).mean()),
        "fitted": float((learned[:, 0] > learned[:, 1]).mean()),
    }


def fitted_head(
    states: torch.Tensor, network: Network, *, seed: int, steps: int, center_coef: float = 0.0
) -> ComposedHead:
    """A head fitted by Bradley-Terry to pairs whose better side comes first, (n, 2, h)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        head = ComposedHead(network, states.shape[-1])
    n = len(states)
    pairs = torch.arange(2 * n).reshape(n, 2)

    def loss(_: int) -> torch.Tensor:
        total: torch.Tensor = bradley_terry(
            head.outputs(states.flatten(0, 1), None)[:, 0], pairs, center_coef=center_coef
        )
        return total / n

    minimise(head.parameters(), loss, steps=steps)
    return head


@torch.no_grad()
def _scores(head: ComposedHead, states: torch.Tensor) -> np.ndarray:
    found: np.ndarray = head.outputs(states.flatten(0, 1), None)[:, 0].reshape(-1, 2).double().numpy()
    return found
