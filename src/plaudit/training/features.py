"""Fitting a reward on domain features: hundreds of pairs in place of tens of thousands [21].

Differs from the paper: fitted by L-BFGS on all pairs with a penalty, which for a hundred weights is exact and needs no
learning rate; a linear part stands beside the hidden units, so that few pairs give a linear model and not a constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair
from plaudit.rewards.base import Floats, Outcome, Reward
from plaudit.rewards.features import FeatureReward, measured, network_scores


def fit_feature_network(
    chosen: Float[np.ndarray, "m k"], rejected: Float[np.ndarray, "m k"], *, width: int = 8, l2: float = 1e-2,
    seed: int = 0, steps: int = 200,
) -> dict[str, Floats]:  # fmt: skip
    """The arrays of a `FeatureReward`, by Bradley-Terry on pairs of feature vectors.

    Minimises `mean(-log sigmoid(s(chosen) - s(rejected))) + l2 / 2 * sum of squared weights`.

    Args:
        chosen: features of the chosen completions.
        rejected: features of the rejected ones.
        width: hidden units; 0 for a linear model.
        l2: penalty, above 0.
        seed: of the hidden units' first weights.
        steps: of L-BFGS, at most.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a feature is not finite, there are no pairs, or a hyper-parameter is outside its range.

    Source: Nath et al. 2024, "Leveraging Domain Knowledge for Efficient Reward Modelling in RLHF" [21].
    """
    if chosen.shape != rejected.shape or chosen.ndim != 2:
        raise ShapeError(f"fit_feature_network: chosen is {chosen.shape} and rejected {rejected.shape}; give (m, k)")
    if not len(chosen) or width < 0 or not l2 > 0:
        raise InputError(
            f"fit_feature_network: {len(chosen)} pairs, width {width}, l2 {l2}; give at least 1, at least 0, above 0"
        )
    both = np.concatenate([chosen, rejected]).astype(np.float64)
    if not np.isfinite(both).all():
        raise InputError("fit_feature_network: a feature is not finite; leave out pairs that a feature cannot judge")
    spread = both.std(axis=0)
    arrays: dict[str, Floats] = {"center": both.mean(axis=0), "spread": np.where(spread > 0, spread, 1.0)}
    z = torch.from_numpy((both - arrays["center"]) / arrays["spread"])
    arrays |= _fitted(z[: len(chosen)], z[len(chosen) :], width, l2, seed, steps)
    scores = network_scores(both, arrays)
    arrays["unit"] = np.array([scores.mean(), scores.std() or 1.0])
    return arrays


def fit_features(
    pairs: Sequence[Pair], features: Mapping[str, Reward | str | Mapping[str, Any]], **options: Any
) -> FeatureReward:
    """A feature reward of pairs.

    Args:
        pairs: to be fitted to; those that a feature cannot judge are left out.
        features: name to a reward or a reference to one; with references the result can be saved.
        **options: see `fit_feature_network`.

    Raises:
        InputError: if no pair can be judged by all features.
    """
    from plaudit.rewards.registry import load

    opened = {n: load(r) if isinstance(r, str | Mapping) else r for n, r in features.items()}
    table, outcome = measured(opened, [s for pair in pairs for s in pair.samples()])
    kept = (outcome.reshape(-1, 2) <= Outcome.POLICY_FAULT).all(axis=1)
    if not kept.any():
        raise InputError(f"features: none of {len(pairs)} pairs can be judged by all of {list(features)}")
    both = table.reshape(len(pairs), 2, -1)[kept]
    arrays = fit_feature_network(both[:, 0], both[:, 1], **options)
    named = all(isinstance(r, str | Mapping) for r in features.values())
    return FeatureReward(opened, arrays, references=dict(features) if named else None)


def _fitted(chosen: Tensor, rejected: Tensor, width: int, l2: float, seed: int, steps: int) -> dict[str, Floats]:
    k = chosen.shape[1]
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(width, k, generator=generator, dtype=torch.float64) / max(k, 1) ** 0.5
    weights = {
        "linear": torch.zeros(k, dtype=torch.float64), "first": first, "bias": torch.zeros(width, dtype=torch.float64),
        "second": torch.zeros(width, dtype=torch.float64) + 1e-2,
    }  # fmt: skip
    parameters = [w.requires_grad_() for w in weights.values()]
    optimiser = torch.optim.LBFGS(parameters, max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def score(z: Tensor) -> Tensor:
        found: Tensor = z @ weights["linear"] + torch.tanh(z @ weights["first"].T + weights["bias"]) @ weights["second"]
        return found

    def closure() -> Tensor:
        optimiser.zero_grad()
        penalty = torch.stack([w.square().sum() for w in parameters]).sum()
        loss = -F.logsigmoid(score(chosen) - score(rejected)).mean() + l2 / 2 * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return {name: w.detach().numpy() for name, w in weights.items()}
