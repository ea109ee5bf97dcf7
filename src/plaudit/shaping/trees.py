"""Trees that split on a protected attribute, walked both ways: FairTTTS on fitted scikit-learn trees [10].

A sample of the unprivileged group that comes to a split on a protected column follows the opposite branch with
probability

    q = flip * max(0, 1 - |x - threshold| / (reach * range of the column))

so the nearer it is to the threshold, the likelier; all other splits, and all other samples, go as the tree says. The
exact answer is a mixture over leaves, computed by recursion; the paper's Monte Carlo converges to it.

**What it costs.** Where the attribute carries true worth, predictions of the unprivileged become less accurate. What
stands in for the attribute (a dialect's words) is left as it is: this repairs direct use only.

Source: "FairTTTS" [10], fair tree test-time simulation.

Differs from the paper: the mixture is exact by default (`passes=0`), which is what the passes estimate; the function of
the distance is ours (inferred): linear, within `reach` of the column's range.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError

Floats = NDArray[np.float64]


def fair_tree_values(
    tree: Any,
    x: ArrayLike,
    unprivileged: ArrayLike,
    *,
    protected: Collection[int],
    flip: float = 0.5,
    reach: float = 1.0,
    ranges: ArrayLike | None = None,
    passes: int = 0,
    seed: int = 0,
) -> Float[np.ndarray, "b c"]:
    """What a fitted tree predicts when the unprivileged may take the other branch at protected splits.

    Args:
        tree: a fitted scikit-learn `DecisionTreeClassifier` or `DecisionTreeRegressor` with one output.
        x: (b, d), finite.
        unprivileged: (b,), True for those who may take the other branch.
        protected: numbers of the protected columns.
        flip: q at the threshold itself, 0 to 1; 0 is the tree.
        reach: share of the column's range beyond which nobody takes it, above 0.
        ranges: (d,) ranges of the columns where the tree was trained; those of `x` if None.
        passes: Monte Carlo passes of the paper; 0 for the exact mixture.
        seed: of the passes.

    Returns:
        Class shares (c of them) of a classifier, as its `predict_proba`; the value (c = 1) of a regressor.

    Raises:
        ShapeError: if the rows differ.
        InputError: if the tree is not fitted, has several outputs, a value is not finite, or an option is outside its
            range.
    """
    nodes = getattr(tree, "tree_", None)
    if nodes is None or nodes.n_outputs != 1:
        raise InputError(f"fair_tree_values: {type(tree).__name__} is no fitted tree with one output; fit one")
    rows, mask = np.asarray(x, dtype=np.float32), np.asarray(unprivileged, dtype=bool)  # as scikit-learn compares
    if rows.ndim != 2 or mask.shape != rows.shape[:1] or rows.shape[1] != nodes.n_features:
        raise ShapeError(
            f"fair_tree_values: x is {rows.shape} and unprivileged {mask.shape}; give (b, {nodes.n_features}) and (b,)"
        )
    if not np.isfinite(rows).all():
        raise InputError("fair_tree_values: x has values that are not finite; fill them in")
    if not 0 <= flip <= 1 or not reach > 0 or passes < 0:
        raise InputError(
            f"fair_tree_values: flip {flip}, reach {reach}, passes {passes}; give 0 to 1, above 0, at least 0"
        )
    if outside := [c for c in protected if not 0 <= c < rows.shape[1]]:
        raise InputError(f"fair_tree_values: protected column {outside[0]} of {rows.shape[1]}; count from 0")
    span = np.ptp(rows, axis=0) if ranges is None else np.asarray(ranges, dtype=np.float64)
    cross = _Crossing(nodes, rows, mask, frozenset(protected), flip, reach, np.asarray(span, dtype=np.float64))
    weight = cross.exact() if passes == 0 else cross.sampled(passes, np.random.default_rng(seed))
    values = nodes.value[:, 0, :]
    if hasattr(tree, "classes_"):
        values = values / values.sum(axis=1, keepdims=True)
    return np.asarray(weight @ values)


class _Crossing:
    """How much of each sample arrives at each node."""

    def __init__(
        self, nodes: Any, x: NDArray[np.float32], mask: NDArray[np.bool_], protected: frozenset[int], flip: float,
        reach: float, span: Floats,
    ) -> None:  # fmt: skip
        self.nodes, self.x, self.mask = nodes, x, mask
        self.protected, self.flip, self.reach, self.span = protected, flip, reach, span

    def exact(self) -> Floats:
        """(b, nodes), the share of each sample that ends at each leaf; parents stand before their children."""
        weight = np.zeros((len(self.x), self.nodes.node_count))
        weight[:, 0] = 1.0
        for node in self._inner():
            right, here = self._right(node), weight[:, node].copy()
            weight[:, self.nodes.children_left[node]] += here * (1 - right)
            weight[:, self.nodes.children_right[node]] += here * right
            weight[:, node] = 0.0
        return weight

    def sampled(self, passes: int, rng: np.random.Generator) -> Floats:
        """The same shares among random walks."""
        weight = np.zeros((len(self.x), self.nodes.node_count))
        every = np.arange(len(self.x))
        for _ in range(passes):
            place = np.zeros(len(self.x), dtype=np.int64)
            for node in self._inner():
                at = place == node
                right = rng.random(len(self.x)) < self._right(node)
                place[at] = np.where(right, self.nodes.children_right[node], self.nodes.children_left[node])[at]
            weight[every, place] += 1 / passes
        return weight

    def _inner(self) -> list[int]:
        """Nodes that split, each before its children (depth first, as scikit-learn numbers them)."""
        found, left = [], [0]
        while left:
            node = left.pop()
            if self.nodes.children_left[node] >= 0:
                found.append(node)
                left += [int(self.nodes.children_left[node]), int(self.nodes.children_right[node])]
        return found

    def _right(self, node: int) -> Floats:
        """Chance that each sample goes right."""
        column, threshold = int(self.nodes.feature[node]), float(self.nodes.threshold[node])
        value = self.x[:, column].astype(np.float64)
        right = (value > threshold).astype(np.float64)
        if column not in self.protected:
            return right
        span = self.reach * self.span[column]
        near = 1 - np.abs(value - threshold) / span if span > 0 else np.zeros(len(value))
        q = self.flip * np.clip(near, 0.0, 1.0) * self.mask
        return np.asarray(right * (1 - q) + (1 - right) * q)
