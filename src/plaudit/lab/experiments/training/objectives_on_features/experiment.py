"""Small networks on given features, fitted by every objective to the same rated lists.

The arms are those of training/objectives, in another world: what is learned is a nonlinear function of twelve numbers,
in place of texts. Rows, heads and losses are those of `plaudit train`; a completion is the number of its features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plaudit.engine.rendering import Encoded
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import (
    OPPONENTS,
    SETTINGS,
    soft_pairs,
    with_shuffled_levels,
)
from plaudit.lab.networks import minimise, small_network
from plaudit.lab.worlds.assistant.preferences import levels_of
from plaudit.records.rows import Ranked
from plaudit.records.sample import conversation
from plaudit.rewards.readers.head import Head
from plaudit.search import best_of_n_values
from plaudit.stats.correlation import within_group_correlation
from plaudit.training import FitConfig
from plaudit.training.collating import items_of, labels_of
from plaudit.training.fitting import objective
from plaudit.training.groups import encode_groups, standardised
from plaudit.training.methods import chosen

FEATURES, WIDTH, LEVELS, BETA = 12, 32, 5, 3.0
BATCH = 32
"""Lists a step."""

SHARES = {"0": 0.0, "20": 0.2, "40": 0.4}
"""Lists that are rated upside down."""

CONTROLS = ("placebo", "linear", "oracle")


class World:
    """A true reward of twelve numbers, four of which all completions of a prompt share.

    Its deviation within prompts is 1. Raters see it with noise, as those of the assistant world.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed = seed
        self.linear = rng.normal(size=FEATURES)
        self.first, self.second = rng.normal(size=(FEATURES, 16)), rng.normal(size=16)
        self.unit = 1.0
        worth = self.worth(self.items(2000, each=8, stream=2))
        self.unit = float((worth - worth.mean(axis=1, keepdims=True)).std())

    def items(self, n: int, *, each: int, stream: int) -> np.ndarray:
        """Features of the completions of n prompts, (n, each, 12)."""
        rng = np.random.default_rng([self.seed, stream])
        x = rng.normal(size=(n, each, FEATURES))
        x[:, :, :4] = x[:, :1, :4]
        return x

    def worth(self, x: np.ndarray) -> np.ndarray:
        """True rewards."""
        bent = np.tanh(x @ self.first * 2 / np.sqrt(FEATURES)) @ self.second
        return np.asarray((x @ self.linear + 4.0 * bent) / self.unit)

    def lists(self, n: int, *, each: int, flips: float) -> tuple[np.ndarray, list[Ranked]]:
        """Features of all completions, (n each, 12), and n lists of their numbers with the raters' levels.

        Lists of one level are drawn anew; the first draws are the same whatever the flips are.
        """
        x = self.items(4 * n, each=each, stream=3)
        rng = np.random.default_rng([self.seed, 4])
        noise, turn = rng.gumbel(size=(4 * n, each)), rng.random(4 * n) < flips
        told = [
            levels_of(u, g, beta=BETA, levels=LEVELS, flip=bool(t))
            for u, g, t in zip(self.worth(x), noise, turn, strict=True)
        ]
        kept = [i for i, levels in enumerate(told) if len(set(levels.tolist())) > 1][:n]
        rows = [
            Ranked(conversation(str(k)), tuple(str(k * each + j) for j in range(each)), tuple(told[i].tolist()))
            for k, i in enumerate(kept)
        ]
        return x[kept].reshape(-1, FEATURES), rows


class Numbers:
    """Renders a completion as its number."""

    def encode_group(self, prompt: Any, completions: Sequence[Any], **options: Any) -> list[Encoded]:
        """As `Encoder.encode_group`."""
        del prompt, options
        return [Encoded(np.array([int(c)], dtype=np.int32), 0) for c in completions]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        On fresh prompts `accuracy` of ordering two completions, `correlation` with the true reward within prompts, and
        what the best of 16 is truly worth above a random completion.
    """
    del fit  # small networks on given features
    name, _, share = arm.partition("@")
    if name not in (*SETTINGS, *CONTROLS) or share not in (("",) if name == "oracle" else SHARES):
        raise InputError(f"objectives_on_features: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed)
    x = world.items(int(budget["test"]), each=64, stream=5)
    truth = world.worth(x)
    if name == "oracle":
        scores, leads = truth, _leads(truth)
    else:
        scores, leads = _judged(name, SHARES[share], world, x, budget, seed)
    right = (np.sign(leads) * np.sign(_leads(truth)) + 1) / 2
    groups = np.repeat(np.arange(len(truth)), truth.shape[1])
    best = best_of_n_values(scores, truth, [16]).mean(axis=0)[0] - truth.mean()
    return {
        "accuracy": float(right.mean()),
        "correlation": float(within_group_correlation(scores.ravel(), truth.ravel(), groups, resamples=1).value),
        "best_of_16": float(best),
    }


def _leads(scores: np.ndarray) -> np.ndarray:
    """First minus second of neighbours."""
    return np.asarray(scores[:, 0::2] - scores[:, 1::2])


def _judged(
    name: str, share: float, world: World, x: np.ndarray, budget: Mapping[str, Any], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a fit says of the completions of n prompts: scores (n, k), and leads of neighbours (n, k / 2).

    A comparison's leads are its log-odds, its scores mean log-odds against some of the prompt's completions.
    """
    features, rows = world.lists(int(budget["lists"]), each=int(budget["each"]), flips=share)
    options = dict(SETTINGS.get(name, {}))
    if name == "general-preference":
        options["objective"] += "&by_prompt=false"  # there is no prompt to read planes from
    if name == "cotraining":
        options["objective"] = f"cotraining?noise={share}"
    training: Sequence[Any] = rows
    if name == "placebo":
        training = with_shuffled_levels(rows, seed)
    if name == "soft":
        training = soft_pairs(rows)
    network, head = fitted(
        training, features, FitConfig(**options), width=0 if name == "linear" else WIDTH, steps=int(budget["steps"]),
        batch=round(BATCH * len(training) / len(rows)), seed=seed,  # as many steps where a list is several rows
    )  # fmt: skip
    with torch.no_grad():
        outputs = network(torch.from_numpy(x))
    n, each, k = outputs.shape
    if not head.compares:
        scores = np.asarray(head.read(outputs.reshape(-1, k)).score.reshape(n, each))
        return scores, _leads(scores)

    def odds(first: Tensor, second: Tensor) -> np.ndarray:
        return np.asarray(head.log_odds(first.reshape(-1, k), second.reshape(-1, k)).reshape(first.shape[:-1]))

    mine = outputs[:, :, None].expand(n, each, OPPONENTS, k)
    others = outputs[:, None, :OPPONENTS].expand(n, each, OPPONENTS, k)
    return odds(mine, others).mean(axis=2), odds(outputs[:, 0::2], outputs[:, 1::2])


def fitted(
    rows: Sequence[Any], features: np.ndarray, config: FitConfig, *, width: int, steps: int, batch: int, seed: int
) -> tuple[nn.Module, Head]:
    """A network and the head that reads its outputs, fitted by the objective that `plaudit train` would use.

    Args:
        rows: whose completions are numbers of features.
        features: (n, 12).
        config: objective, and the options of its loss; two layers of the head are one more of the network.
        width: hidden units; 0 for a linear map.
        steps: of Adam.
        batch: rows a step, drawn without replacement.
        seed: of weights and order.
    """
    method = chosen(config.objective)
    encoder: Any = Numbers()
    groups = encode_groups(method.rows(rows), encoder, labels=method.method.labels, columns=method.method.columns)
    if method.method.standardised:
        groups, _, _ = standardised(groups)
    head, loss = method.head_for(rows), objective(config)
    network = small_network(FEATURES, head.outputs, width=width, seed=seed)
    if config.head_depth == 2:
        network = nn.Sequential(small_network(FEATURES, WIDTH, width=width, seed=seed), nn.SiLU(),
                                small_network(WIDTH, head.outputs, width=0, seed=seed + 1))  # fmt: skip
    x, rng = torch.from_numpy(features), np.random.default_rng([seed, 6])

    def of_a_batch(done: int) -> Tensor:
        """Of lists that are drawn for a step, a mean over items."""
        some = [groups[i] for i in rng.choice(len(groups), size=min(batch, len(groups)), replace=False)]
        numbers = np.concatenate([s for g in some for s in g.sequences])
        row = {**labels_of(some), "progress": torch.tensor(done / steps)}
        total = sum(items_of(g, method.method.item) for g in some)
        found: Tensor = loss(network(x[torch.from_numpy(numbers).long()]), row) / total
        return found

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of combinations that a loss draws
        minimise(network.parameters(), of_a_batch, steps=steps, lr=0.01)
        with torch.no_grad():
            head = head.fitted(network(x))
    return network, head
