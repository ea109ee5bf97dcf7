"""A linear Bradley-Terry head on frozen features: convex, exact, and all that a thousand pairs can pay for.

Differs from fine-tuning: the backbone is read once for each text, in the whole run; epochs cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from threadpoolctl import threadpool_limits

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import content_hash
from plaudit.rewards.folders import open_pretrained, open_tokenizer
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.pooled import PooledFeatures, PooledReward

NEWTON_STEPS = 20
TOLERANCE = 1e-8
"""How near to the solution the weights must be."""
PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)


def fit_linear(
    difference: Float[np.ndarray, "m d"], *, l2: float, weight: Float[np.ndarray, " m"] | None = None,
    label_smoothing: float = 0.0,
) -> Float[np.ndarray, " d"]:  # fmt: skip
    """Weights w that minimise `mean(-(1 - s) log sigmoid(z) - s log sigmoid(-z)) + l2 / 2 |w|^2`, `z = difference @ w`.

    Args:
        difference: features of chosen minus rejected.
        l2: penalty, positive: without it separable pairs have no finite solution.
        weight: of each pair, default 1.
        label_smoothing: share of labels taken to be flipped, in [0, 0.5).

    Raises:
        InputError: if `l2` is not positive, or the solver does not converge.
        ShapeError: if `weight` does not have m entries.

    Source: Bradley and Terry 1952 with linear abilities: logistic regression without intercept on differences.
    """
    m, d = difference.shape
    if l2 <= 0:
        raise InputError(f"fit_linear: l2 is {l2}; it must be positive, or separable pairs have no finite solution")
    share = np.full(m, 1 / m) if weight is None else np.asarray(weight, np.float64)
    if share.shape != (m,):
        raise ShapeError(f"fit_linear: weight has shape {share.shape} for {m} pairs")
    share = share / share.sum()
    x = difference.astype(np.float64)
    w = _approach(x, share, l2, label_smoothing)
    # L-BFGS ends where the loss no longer falls in float64, some 1e-5 from the solution; Newton's steps close the gap.
    # The loss is l2-strongly convex: a gradient of norm g leaves the weights within g / l2 of the solution.
    for _ in range(NEWTON_STEPS):
        p = expit(x @ w)
        gradient = x.T @ (share * (p - (1 - label_smoothing))) + l2 * w
        if np.linalg.norm(gradient) <= TOLERANCE * l2:
            return w
        hessian = (x * (share * p * (1 - p))[:, None]).T @ x
        hessian[np.diag_indices(d)] += l2
        w = w - np.linalg.solve(hessian, gradient)
    raise InputError(f"fit_linear: did not converge; are the features finite and of like scale? l2 is {l2:g}")


def _approach(
    x: Float[np.ndarray, "m d"], share: Float[np.ndarray, " m"], l2: float, label_smoothing: float
) -> Float[np.ndarray, " d"]:
    """Weights near the solution, as good as L-BFGS makes them: enough to compare penalties by."""

    def value(w: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        z = x @ w
        loss = -(1 - label_smoothing) * log_expit(z) - label_smoothing * log_expit(-z)
        slope = expit(z) - (1 - label_smoothing)
        return float(share @ loss + l2 / 2 * w @ w), x.T @ (share * slope) + l2 * w

    options = {"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-7}
    found: Float[np.ndarray, " d"] = minimize(
        value, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=options
    ).x
    return found


def choose_l2(
    difference: Float[np.ndarray, "m d"], clusters: Sequence[str], *, seed: int, folds: int = 5,
    penalties: Sequence[float] = PENALTIES, label_smoothing: float = 0.0,
) -> float:  # fmt: skip
    """The penalty with the lowest held-out log loss over folds of the training prompts.

    Args:
        difference: features of chosen minus rejected.
        clusters: prompt of each pair: no prompt stands on both sides of a fold.
        seed: of the folds.
        folds: how many.
        penalties: candidates.
        label_smoothing: as in `fit_linear`.

    Raises:
        InputError: if there are fewer prompts than folds.
    """
    names = sorted(set(clusters))
    if len(names) < folds:
        raise InputError(f"choose_l2: {len(names)} prompts for {folds} folds; give l2 instead")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[i]: int(k % folds) for k, i in enumerate(shuffled)}
    fold = np.array([fold_of[c] for c in clusters])
    x = difference.astype(np.float64)
    losses = []
    for l2 in penalties:
        held = [
            -log_expit(x[fold == k] @ _approach(x[fold != k], np.full(int(n), 1 / n), l2, label_smoothing))
            for k, n in enumerate(len(x) - np.bincount(fold, minlength=folds))
        ]
        losses.append(float(np.concatenate(held).mean()))
    return penalties[int(np.argmin(losses))]


def standardiser(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """One over the standard deviation of each feature; 0 for constant ones, which then have no say."""
    spread = features.std(axis=0, dtype=np.float64)
    return np.where(spread > 1e-8, 1 / np.maximum(spread, 1e-8), 0.0)


def fit_frozen(
    rows: Sequence[Pair], features: Float[np.ndarray, "n 2 d"], *, encoder: PooledFeatures, l2: float, seed: int,
    label_smoothing: float = 0.0, base: str = "",
) -> PooledReward:  # fmt: skip
    """A reward from pairs whose features are known.

    Args:
        rows: n pairs; their prompts make the folds on which the penalty is chosen.
        features: of chosen and rejected.
        encoder: what made them.
        l2: penalty on standardised features; 0 chooses it by cross-validation over the prompts of `rows`.
        seed: of the folds.
        label_smoothing: as in `fit_linear`.
        base: name of the encoder, for the manifest.

    Returns:
        A reward with mean 0 and standard deviation 1 over the completions of `rows`.
    """
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    unit = standardiser(flat)
    difference = (features[:, 0].astype(np.float64) - features[:, 1]) * unit
    clusters = [content_hash([m.to_dict() for m in row.prompt]) for row in rows]
    with threadpool_limits(1, user_api="blas"):  # products this small lose more to waiting threads than they gain
        chosen = l2 or choose_l2(difference, clusters, seed=seed, label_smoothing=label_smoothing)
        weight = fit_linear(difference, l2=chosen, label_smoothing=label_smoothing) * unit
    scores = flat @ weight
    template = {"context_chars": encoder.context_chars, "max_length": encoder.max_length}
    manifest = Manifest(
        reader="pooled", template=template, offset=float(scores.mean()), scale=float(scores.std()) or 1.0,
        objective="bradley-terry", base=base,
        training={"pairs": len(rows), "l2": chosen, "seed": seed, "label_smoothing": label_smoothing},
    )  # fmt: skip
    return PooledReward(encoder, weight, manifest)


def open_encoder(reference: str, *, max_length: int = 256) -> PooledFeatures:
    """The frozen encoder of a folder, hub id or `package:NAME/FOLDER`."""
    from transformers import AutoModel

    encoder = open_pretrained(AutoModel, reference, use_safetensors=True)
    return PooledFeatures(encoder, open_tokenizer(reference), max_length=max_length)
