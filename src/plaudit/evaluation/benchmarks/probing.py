"""MRMBench and inference-time probing: which dimensions of preference a reward model's states hold [88].

A linear probe a dimension (harmlessness, helpfulness, correctness, coherence, complexity, verbosity) on the state
at the last token, frozen; two levels in Easy, three in Hard; the score is the mean of the six accuracies. At
inference no probe is trained: each dimension has the centroids of its levels on validation states; a new pair is
explained by the dimension whose distance to a centroid is smallest for its scale, and the confidence is how far
chosen and rejected are apart along it.

Source: Wang et al. 2025, "Probing Preference Representations"; data layout (`input`, `output`, `label`; one folder a
dimension) from its code.

Differs from the paper: its code trains the whole model with the probe's head; here the states are given and stay as
they are, which is what the text calls probing. Levels' centroids are their means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.strata import flat, stratified
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share

DIMENSIONS = ("harmlessness", "helpfulness", "correctness", "coherence", "complexity", "verbosity")
"""The six dimensions, in the published order."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeResult:
    """A linear probe on held-out states.

    Attributes:
        accuracy: share of right levels, with its interval.
        majority: share of the most frequent training level on the same states: what no reading of the state reaches.
        right: (n,) 1 or 0, for paired comparisons.
    """

    accuracy: Estimate
    majority: Estimate
    right: Floats


def probe_accuracy(
    train: Float[np.ndarray, "m d"], train_labels: ArrayLike, test: Float[np.ndarray, "n d"], test_labels: ArrayLike, *,
    clusters: Clusters | None = None, l2: float = 1.0, seed: int = 0,
) -> ProbeResult:  # fmt: skip
    """Fits a softmax probe on whitened states and measures it on others.

    Whitening makes the accuracy independent of any invertible linear map of the states.

    Args:
        train: states to fit on.
        train_labels: (m,) integer levels.
        test: held-out states.
        test_labels: (n,).
        clusters: (n,) labels of the held-out prompts.
        l2: penalty of the weights on whitened states, positive.
        seed: of the bootstrap.

    Raises:
        ShapeError: if states and labels do not fit.
        InputError: if a state is not finite, or there are fewer than two levels.
    """
    x, y, u, v = *_states("train", train, train_labels), *_states("test", test, test_labels)
    right = (probe_levels(x, y, u, l2=l2) == v).astype(np.float64)
    levels, counts = np.unique(y, return_counts=True)
    usual = (v == levels[counts.argmax()]).astype(np.float64)
    return ProbeResult(share(right, clusters, seed=seed), share(usual, clusters, seed=seed), right)


def probe_levels(
    train: Float[np.ndarray, "m d"], train_labels: ArrayLike, test: Float[np.ndarray, "n d"], *, l2: float = 1.0
) -> Int[np.ndarray, " n"]:
    """The levels that a softmax probe on whitened states says of others.

    States that do not vary say the most frequent level.

    Args:
        train: states to fit on.
        train_labels: (m,) integer levels.
        test: states to judge.
        l2: penalty of the weights on whitened states, positive.

    Raises:
        ShapeError: if states and labels do not fit.
        InputError: if a state is not finite, or there are fewer than two levels.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = _states("train", train, train_labels)
    u, _ = _states("test", test, np.zeros(len(test), np.int64))
    if x.shape[1] != u.shape[1]:
        raise ShapeError(f"probe_accuracy: states have widths {x.shape[1]} and {u.shape[1]}; they must be equal")
    levels, counts = np.unique(y, return_counts=True)
    if len(levels) < 2:
        raise InputError("probe_accuracy: all training labels are one level; a probe needs two")
    center = x.mean(axis=0)
    _, scale, axes = np.linalg.svd(x - center, full_matrices=False)
    kept = scale > scale.max() * 1e-10
    if not kept.any():
        return np.full(len(u), levels[counts.argmax()], np.int64)
    whiten = (axes[kept] / scale[kept][:, None]).T * math.sqrt(len(x))
    model = LogisticRegression(C=1.0 / l2, max_iter=2000).fit((x - center) @ whiten, y)
    return np.asarray(model.predict((u - center) @ whiten), np.int64)


def _states(who: str, states: ArrayLike, labels: ArrayLike) -> tuple[Floats, Int[np.ndarray, " n"]]:
    h, y = np.asarray(states, np.float64), np.asarray(labels)
    if h.ndim != 2 or y.shape != (len(h),) or not len(h):
        raise ShapeError(
            f"probe_accuracy: {who} states have shape {h.shape} and labels {y.shape}; give (n, d) and (n,)"
        )
    if not np.isfinite(h).all():
        raise InputError(f"probe_accuracy: a {who} state is not finite; leave out samples without a state")
    return h, y.astype(np.int64)


def mrmbench_score(results: Mapping[str, ProbeResult], *, seed: int = 0) -> Estimate:
    """The mean of the six dimensions' accuracies; NaN, with the missing ones named, if one is missing.

    Args:
        results: dimension to its probe.
        seed: of the bootstrap.
    """
    missing = [d for d in DIMENSIONS if d not in results]
    if missing:
        return Estimate(math.nan, method=f"missing dimensions: {', '.join(missing)}")
    # dimensions have data of their own: rows of one take no part in another's mean
    label = np.concatenate([np.full(len(results[d].right), i) for i, d in enumerate(DIMENSIONS)])
    right = np.concatenate([results[d].right for d in DIMENSIONS])
    inside = np.eye(len(DIMENSIONS))[label]
    k = len(DIMENSIONS)
    columns = [*(inside * right[:, None]).T, *inside.T]
    found = bootstrap_totals(lambda t: np.asarray((t[:, :k] / t[:, k:]).mean(axis=1)), columns, seed=seed)
    return stratified(right, inside > 0, [1.0] * k) if flat(found) else found


@dataclass(frozen=True)
class InferenceProbe:
    """Centroids of levels in each dimension, on validation states.

    Attributes:
        centroids: dimension to (levels, d), from the lowest level to the highest.
        scale: dimension to the mean distance of validation states to their nearest centroid.
    """

    centroids: Mapping[str, Floats]
    scale: Mapping[str, float]

    @classmethod
    def fit(cls, states: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike]) -> InferenceProbe:
        """Class means of each dimension.

        Args:
            states: dimension to (m, d).
            labels: dimension to (m,) levels.

        Raises:
            InputError: if a dimension has fewer than two levels, or all its states are one point.
        """
        centroids, scale = {}, {}
        for name, given in states.items():
            h, y = _states(name, given, labels[name])
            levels = np.unique(y)
            if len(levels) < 2:
                raise InputError(f"InferenceProbe: dimension {name} has one level only; it needs two")
            centroids[name] = np.stack([h[y == level].mean(axis=0) for level in levels])
            spread = float(_distances(h, centroids[name]).min(axis=1).mean())
            if spread == 0:
                raise InputError(
                    f"InferenceProbe: the states of {name} all lie on its centroids; distances say nothing"
                )
            scale[name] = spread
        return cls(centroids, scale)

    def explain(self, chosen: Float[np.ndarray, "n d"], rejected: Float[np.ndarray, "n d"]) -> Explanation:
        """Which dimension explains each decision, and how sure it is.

        Args:
            chosen: states of the preferred candidates.
            rejected: states of the others.

        Returns:
            For each pair the dimension with the smallest normalised distance of the two states to their nearest
            centroids, and the signed confidence along it; exchanging the two states turns its sign.
        """
        a, b = np.asarray(chosen, np.float64), np.asarray(rejected, np.float64)
        if a.shape != b.shape or a.ndim != 2:
            raise ShapeError(f"explain: states have shapes {a.shape} and {b.shape}; give two (n, d)")
        names = tuple(self.centroids)
        profile = np.stack([self._distance(a, n) + self._distance(b, n) for n in names], axis=1) / 2
        margins = np.stack([self._along(a, n) - self._along(b, n) for n in names], axis=1)
        best = profile.argmin(axis=1)
        rows = np.arange(len(a))
        return Explanation(tuple(names[i] for i in best), margins[rows, best], profile, names)

    def nearest(self, states: Float[np.ndarray, "n d"], name: str) -> Int[np.ndarray, " n"]:
        """Which of a dimension's centroids is nearest, from 0 for the lowest level.

        Args:
            states: of any candidates.
            name: of the dimension.
        """
        return np.asarray(_distances(np.asarray(states, np.float64), self.centroids[name]).argmin(axis=1), np.int64)

    def _distance(self, states: Floats, name: str) -> Floats:
        return np.asarray(_distances(states, self.centroids[name]).min(axis=1) / self.scale[name])

    def _along(self, states: Floats, name: str) -> Floats:
        """Position along the line from the lowest to the highest level, in units of their distance."""
        axis = self.centroids[name][-1] - self.centroids[name][0]
        length = float(axis @ axis)
        return np.asarray(states @ axis / length) if length > 0 else np.zeros(len(states))


@dataclass(frozen=True)
class Explanation:
    """What inference-time probing says of n pairs.

    Attributes:
        dimension: (n,) the one that explains the decision.
        confidence: (n,) chosen minus rejected along it, in units of the distance of its outer levels.
        profile: (n, dimensions) normalised distances.
        names: of the dimensions.
    """

    dimension: tuple[str, ...]
    confidence: Floats
    profile: Floats
    names: Sequence[str]


def _distances(states: Floats, centroids: Floats) -> Floats:
    # one centroid at a time: all differences at once would take the states' memory again for each
    return np.stack([np.linalg.norm(states - c, axis=1) for c in centroids], axis=1)
