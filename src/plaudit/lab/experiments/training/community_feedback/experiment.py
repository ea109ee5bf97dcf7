"""Clicks on items that are shown unevenly: pairs from rates of reuse, and from raw counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.curation.community import Event, Reception, reception_pairs, receptions
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.records.rows import Pair
from plaudit.training.objectives.ratings.community import community_triplets

ARMS = ("corrected", "raw", "distinct", "unseen", "shuffled", "oracle")
FEATURES, WIDTH, USERS = 8, 8, 400
CLICK = (-2.0, 1.0)
"""Log-odds that a user reuses what is shown: at an appeal of 0, and a deviation of appeal."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` of the cosine on pairs of fresh prompts, by the true appeal; `right`, the share of the training pairs
        that the true appeal orders so; `pairs`, how many they are.
    """
    del fit  # embeddings of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"community_feedback: arm {arm!r} is not known; the claim lists the arms")
    prompts, items, appeal = _catalogue(seed, 1, int(budget["prompts"]), int(budget["items"]))
    n = int(budget["pairs"])
    if name == "oracle":
        received = [Reception(f"{p}", f"{i}", 10**6, round(10**6 / (1 + np.exp(-a)))) for (p, i), a in _cells(appeal)]
    else:
        views = float(budget["views"])
        received = _received(seed, int(budget["prompts"]), int(budget["items"]), views, bool(knob), name)
    rng = np.random.default_rng([seed, 3])
    pairs = _mined(received, 1 if name in ("raw", "distinct", "unseen", "oracle") else int(budget["min_exposure"]))
    kept = [pairs[i] for i in rng.permutation(len(pairs))[:n]]  # as many labels for every arm
    where = np.array([[int(str(p.prompt[0].content)), int(_text(p.chosen)), int(_text(p.rejected))] for p in kept])
    where = where.reshape(-1, 3)
    right = float((appeal[where[:, 0], where[:, 1]] > appeal[where[:, 0], where[:, 2]]).mean()) if len(where) else 0.5
    if name == "shuffled":
        turned = rng.random(len(where)) < 0.5
        where[turned] = where[turned][:, [0, 2, 1]]
    test = _catalogue(seed, 2, int(budget["test"]), 2)
    said = _fitted(prompts, items, where, test, seed, int(budget["steps"]))
    true = test[2][:, 0] > test[2][:, 1]
    return {"accuracy": float(((said[:, 0] > said[:, 1]) == true).mean()), "right": right, "pairs": float(len(where))}


def _catalogue(seed: int, part: int, n: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompts (n, 8), items (n, each, 8) and their appeal (n, each): what suits the prompt, and what all like."""
    taste = np.random.default_rng([seed, 0]).normal(size=(FEATURES, FEATURES + 1))
    rng = np.random.default_rng([seed, part])
    prompts, items = rng.normal(size=(n, FEATURES)), rng.normal(size=(n, each, FEATURES))
    wanted = prompts @ taste[:, :FEATURES] / np.sqrt(FEATURES) + taste[:, FEATURES]
    return prompts, items, np.einsum("pif,pf->pi", items, wanted) / np.sqrt(2 * FEATURES)


def _cells(appeal: np.ndarray) -> Iterator[tuple[tuple[int, int], float]]:
    for (p, i), value in np.ndenumerate(appeal):
        yield (p, i), float(value)


def _received(seed: int, n: int, each: int, views: float, even: bool, arm: str) -> list[Reception]:
    """Receptions as the arm counts them; where it counts raw, exposure is the same for all and every click counts."""
    events, drawn = _events(seed, n, each, views, even)
    if arm not in ("raw", "distinct"):
        return receptions(events)
    clicks = Counter((e.prompt, e.item) for e in events if e.action == "reused")
    if arm == "distinct":
        clicks = Counter({(r.prompt, r.item): r.reuses for r in receptions(events)})
    most = max(clicks.values(), default=1)
    return [Reception(f"{p}", f"{i}", most, clicks[f"{p}", f"{i}"]) for (p, i), _ in _cells(drawn)]


@lru_cache(maxsize=4)
def _events(seed: int, n: int, each: int, views: float, even: bool) -> tuple[Sequence[Event], np.ndarray]:
    """What users do. An item's place grows with its first feature; makers remix their own, and fans come back."""
    _, items, appeal = _catalogue(seed, 1, n, each)
    rng = np.random.default_rng([seed, 4])
    place = np.exp(1.5 * items[:, :, 0] - 1.125) if not even else np.ones_like(appeal)  # mean 1 either way
    found = []
    for (p, i), value in _cells(appeal):
        key, maker = (f"{p}", f"{i}"), f"maker {p} {i}"
        seen = rng.choice(USERS, size=min(rng.poisson(views * place[p, i]), USERS), replace=False)
        took = rng.random(len(seen)) < 1 / (1 + np.exp(-(CLICK[0] + CLICK[1] * value)))
        found += [Event(*key, maker, "made"), *[Event(*key, maker, "reused")] * int(rng.geometric(0.4) - 1)]
        found += [Event(*key, f"{user}", "shown") for user in seen]
        for user in seen[took]:
            found += [Event(*key, f"{user}", "reused")] * int(rng.geometric(0.5))
    return found, appeal


def _mined(received: Sequence[Reception], min_exposure: int) -> list[Pair]:
    """Pairs of the upper against the lower quarter, by whatever rate the receptions show."""
    rates = [r.rate for r in received if r.exposures >= min_exposure]
    low, high = np.quantile(rates, (0.25, 0.75)) if rates else (0.0, 1.0)
    high = max(float(high), 1e-9)
    return reception_pairs(received, min_exposure=min_exposure, min_rate=high, max_rate=min(float(low), 0.99 * high))


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else str(completion[0].content)


def _fitted(
    prompts: np.ndarray, items: np.ndarray, where: np.ndarray, test: tuple[np.ndarray, ...], seed: int, steps: int
) -> np.ndarray:
    """Cosines of fresh items with their prompts, (n, each), from two linear towers."""
    prompt, item = (small_network(FEATURES + 1, WIDTH, width=0, seed=seed + i) for i in (0, 1))
    asked, given = _tensor(prompts[where[:, 0]]), _tensor(items[where[:, :1], where[:, 1:]]).reshape(-1, FEATURES + 1)
    pairs = torch.arange(2 * len(where)).reshape(-1, 2)

    def loss(_: int) -> Tensor:
        return community_triplets(item(given), pairs, anchors=prompt(asked)) / max(len(where), 1)

    minimise([*prompt.parameters(), *item.parameters()], loss, steps=steps)
    with torch.no_grad():
        anchors, outputs = prompt(_tensor(test[0])), item(_tensor(test[1]))
        return np.asarray(torch.cosine_similarity(outputs, anchors[:, None, :], dim=-1).numpy())


def _tensor(features: np.ndarray) -> Tensor:
    """With a one at the end: the towers have no level of their own."""
    return torch.from_numpy(np.concatenate([features, np.ones((*features.shape[:-1], 1))], axis=-1))
