"""Responses as a tree: shared beginnings that branch at several depths, pairs of leaves, and what they tell [144].

A tree of completions costs its distinct tokens, here as in training: the engine runs a shared beginning once. Pairs
that share a long beginning differ in little, so the label is about that little.

Differs from the paper: beginnings are continued by any function, so that a local model, a server or a world samples;
the variance of a reward difference is computed exactly, as the effective resistance of the graph of comparisons, where
the paper bounds it by the best path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import Conversation, Sample
from plaudit.rewards.base import Reward

Continue = Callable[[Conversation, str, int, np.random.Generator], Sequence[str]]
"""`(prompt, beginning, n, rng)` to n continuations of the beginning, each one step long (the last step ends)."""


@dataclass(frozen=True, slots=True)
class ResponseTree:
    """Completions of one prompt with their shared beginnings.

    Attributes:
        prompt: what they answer.
        text: what each node adds to its parent; the root adds nothing.
        parent: of each node, -1 for the root, which is node 0.
    """

    prompt: Conversation
    text: tuple[str, ...]
    parent: tuple[int, ...]

    @property
    def leaves(self) -> tuple[int, ...]:
        """Nodes without children, in their order."""
        inner = set(self.parent)
        return tuple(i for i in range(len(self.parent)) if i not in inner)

    def path(self, node: int) -> tuple[int, ...]:
        """Nodes from the root to this one."""
        found = [node]
        while self.parent[found[-1]] >= 0:
            found.append(self.parent[found[-1]])
        return tuple(reversed(found))

    def completion(self, node: int) -> str:
        """The text from the root to a node."""
        return "".join(self.text[i] for i in self.path(node))

    def shared(self, first: int, second: int) -> int:
        """How many steps two nodes have in common."""
        ours = zip(self.path(first)[1:], self.path(second)[1:], strict=False)
        return next((i for i, (a, b) in enumerate(ours) if a != b), min(map(len, map(self.path, (first, second)))) - 1)


def grow_tree(
    prompt: Conversation, generate: Continue, *, branches: Sequence[int], rng: np.random.Generator
) -> ResponseTree:
    """A tree whose nodes at depth l have `branches[l]` children.

    `branches=(8,)` is eight independent completions (the chain baseline of equal leaves); `(2, 2, 2)` shares
    beginnings. Equal continuations of one node are one child, so there may be fewer leaves than the product.

    Args:
        prompt: what is answered.
        generate: continues a beginning by one step.
        branches: children of each node, by depth; all at least 1.
        rng: handed to `generate`.

    Raises:
        InputError: if there are no branches, or `generate` returns another number of continuations.
    """
    if not branches or min(branches) < 1:
        raise InputError(f"grow_tree: branches are {list(branches)}; give at least one depth, each at least 1")
    text, parent, level = [""], [-1], [(0, "")]
    for n in branches:
        following = []
        for node, begun in level:
            more = list(generate(prompt, begun, n, rng))
            if len(more) != n:
                raise InputError(f"grow_tree: generate returned {len(more)} continuations of {n} that were asked for")
            for addition in dict.fromkeys(more):
                text.append(addition)
                parent.append(node)
                following.append((len(text) - 1, begun + addition))
        level = following
    return ResponseTree(prompt, tuple(text), tuple(parent))


def tree_pairs(tree: ResponseTree, n: int, *, rng: np.random.Generator, min_shared: int = 0) -> Int[np.ndarray, "m 2"]:
    """Distinct pairs of leaves of different text, in random order.

    Args:
        tree: the completions.
        n: at most so many pairs.
        rng: of the choice.
        min_shared: steps that the two must have in common; 0 takes any two, and one less than the depth siblings.

    Returns:
        Nodes (m, 2) with m up to n: fewer where the tree has fewer.
    """
    leaves = tree.leaves
    found = [
        (a, b) for i, a in enumerate(leaves) for b in leaves[i + 1 :]
        if tree.shared(a, b) >= min_shared and tree.completion(a) != tree.completion(b)
    ]  # fmt: skip
    order = rng.permutation(len(found))[:n]
    return np.array([found[i] for i in order], dtype=np.int64).reshape(-1, 2)


def labelled_pairs(tree: ResponseTree, pairs: Int[np.ndarray, "m 2"], judge: Reward) -> list[Pair]:
    """Preference rows of pairs of nodes, judged by a reward; ties and pairs that do not count are left out.

    Args:
        tree: the completions.
        pairs: nodes.
        judge: scores completions; each leaf is scored once.

    Returns:
        Rows whose `margin` is the difference of the rewards and whose meta says how many steps are `shared`.
    """
    nodes = sorted({int(i) for i in pairs.flatten()})
    said = judge([Sample(tree.prompt, tree.completion(i)) for i in nodes])
    worth = dict(zip(nodes, np.where(said.valid, said.reward, np.nan).tolist(), strict=True))
    rows = []
    for a, b in pairs.tolist():
        gap = worth[a] - worth[b]
        if gap == 0 or not np.isfinite(gap):
            continue
        better, worse = (a, b) if gap > 0 else (b, a)
        rows.append(
            Pair(
                tree.prompt, tree.completion(better), tree.completion(worse), margin=abs(gap),
                meta={"shared": tree.shared(a, b)},
            )
        )  # fmt: skip
    return rows


def difference_variance(
    n: int, edges: Int[np.ndarray, "m 2"], variance: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n n"]:
    """Variance of every difference of n rewards, given noisy differences along edges.

    Each edge observes a difference with its variance; with `L` the Laplacian of precisions `1 / variance` and `L+` its
    pseudo-inverse, `Var(r_i - r_j) = L+_ii + L+_jj - 2 L+_ij`, the effective resistance between i and j. Infinite
    between parts that no edge connects.

    Args:
        n: rewards.
        edges: which two each observation compares, or which are alike (an edge of the tree).
        variance: of each observation, above 0.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a node is out of range or a variance is not positive.

    Source: Qiu et al. 2024, "Reward Generalization in RLHF: A Topological Perspective", section 4 [144]; Klein and
    Randic 1993 for resistance distances.
    """
    if edges.ndim != 2 or edges.shape[1] != 2 or variance.shape != edges.shape[:1]:
        raise ShapeError(
            f"difference_variance: edges are {edges.shape} and variance {variance.shape}; give (m, 2), (m,)"
        )
    if edges.size and (edges.min() < 0 or edges.max() >= n):
        raise InputError(f"difference_variance: edges name nodes {edges.min()} to {edges.max()}; there are {n} nodes")
    if not (np.isfinite(variance).all() and (variance > 0).all()):
        raise InputError(f"difference_variance: variances go down to {variance.min():g}; they must be positive")
    out = np.full((n, n), np.inf)
    for part in _connected(n, edges):
        place = {node: i for i, node in enumerate(part)}
        laplacian = np.zeros((len(part), len(part)))
        for (a, b), v in zip(edges.tolist(), variance.tolist(), strict=True):
            if a in place and a != b:
                i, j = place[a], place[b]
                laplacian[[i, j, i, j], [i, j, j, i]] += np.array([1, 1, -1, -1]) / v
        inverse = np.linalg.pinv(laplacian, hermitian=True)
        own = np.diag(inverse)
        out[np.ix_(part, part)] = np.maximum(own[:, None] + own[None, :] - 2 * inverse, 0.0)
    np.fill_diagonal(out, 0.0)
    return out


def mean_variance(variance: Float[np.ndarray, "n n"], nodes: Sequence[int]) -> float:
    """Mean over pairs of different nodes; of leaves, how well a data set tells completions apart.

    Raises:
        InputError: if there are fewer than two nodes.
    """
    if len(nodes) < 2:
        raise InputError(f"mean_variance: {len(nodes)} nodes; give at least 2")
    part = variance[np.ix_(nodes, nodes)]
    return float(part[~np.eye(len(nodes), dtype=bool)].mean())


def tree_edges(tree: ResponseTree) -> Int[np.ndarray, "m 2"]:
    """Parent and child of every node but the root."""
    found = [(p, i) for i, p in enumerate(tree.parent) if p >= 0]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _connected(n: int, edges: Int[np.ndarray, "m 2"]) -> Iterator[list[int]]:
    """Nodes of each part that edges hold together."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    left = set(range(n))
    while left:
        part, stack = set(), [min(left)]
        while stack:
            node = stack.pop()
            if node not in part:
                part.add(node)
                stack += neighbours[node]
        left -= part
        yield sorted(part)
