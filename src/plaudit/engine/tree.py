"""Prefix trees of token sequences: what is computed once, and who attends to whom.

Sequences that begin alike share those tokens. The tree is laid out as one packed row in depth-first order, so
that the tokens below a token are a contiguous run: token q attends to token k exactly when `k <= q < end[k]`,
where `end[k]` is where the subtree of k's segment ends. Positions equal depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError

Ids = NDArray[np.int32]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Token sequences with common prefixes merged, in depth-first layout.

    Attributes:
        input_ids: int32 (t,), the distinct tokens of the row.
        position_ids: int64 (t,), depth of each token: the position that it has in its sequences.
        segments: int64 (s, 4): `start, stop` in the row, index of the `parent` segment (-1 at a root), and where the
            segment's subtree ends, `subtree_stop`. Parents come before their children.
        leaf: int64 (n,), for each sequence the segment that ends with its last token.
        lengths: int64 (n,), raw length of each sequence.
    """

    input_ids: Ids
    position_ids: Index
    segments: Index
    leaf: Index
    lengths: Index

    def __len__(self) -> int:
        return int(self.input_ids.size)

    @property
    def n_raw(self) -> int:
        """Tokens before sharing."""
        return int(self.lengths.sum())

    @property
    def leaf_positions(self) -> Index:
        """Where in the row the last token of each sequence stands, int64 (n,)."""
        positions: Index = self.segments[self.leaf, 1] - 1
        return positions

    def path(self, segment: int) -> list[int]:
        """Segments from the root down to `segment`, inclusive."""
        chain = []
        while segment >= 0:
            chain.append(segment)
            segment = int(self.segments[segment, 2])
        return chain[::-1]

    def positions(self, sequence: int) -> Index:
        """Row positions of every token of a sequence, in reading order, int64 (length,)."""
        spans = self.segments[self.path(int(self.leaf[sequence])), :2]
        return np.concatenate([np.arange(a, b) for a, b in spans])

    def prompt_positions(self, lengths: Sequence[int] | Index) -> Index:
        """Row position of the last token of each sequence's prompt, int64 (n,).

        Args:
            lengths: tokens of each prompt; of an empty one the sequence's first token is meant.
        """
        found = [self.positions(i)[max(int(n) - 1, 0)] for i, n in enumerate(lengths)]
        return np.array(found, dtype=np.int64)

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int] | Ids]) -> PrefixTree:
        """Merges the longest common prefixes of token id sequences.

        Cost: one sort and one vectorised comparison of neighbours, so about the number of raw tokens.

        Args:
            sequences: at least one, none of them empty; duplicates and prefixes of one another are welcome.

        Raises:
            InputError: if there is no sequence, or one is empty.
        """
        arrays = [np.ascontiguousarray(s, dtype=np.int32) for s in sequences]
        if not arrays:
            raise InputError("prefix tree: no sequences; give at least one")
        for i, a in enumerate(arrays):
            if not a.size:
                raise InputError(f"prefix tree: sequence {i} is empty; every sequence needs at least one token")
        # Any byte order of fixed width keeps equal prefixes together, and bytes compare with memcmp.
        blobs = [a.tobytes() for a in arrays]
        order = sorted(range(len(arrays)), key=blobs.__getitem__)
        return _layout(arrays, *_merge(arrays, order))


def common_prefix(a: Ids, b: Ids) -> int:
    """Length of the longest common prefix of two id arrays."""
    m = min(a.size, b.size)
    differ = a[:m] != b[:m]
    at = int(differ.argmax()) if m else 0
    return at if m and differ[at] else m


@dataclass(slots=True)
class _Node:
    first: int  # depth of its first token
    last: int  # depth after its last token
    parent: int
    source: int  # a sequence that runs through it


def _merge(arrays: list[Ids], order: list[int]) -> tuple[list[_Node], Index]:
    """Nodes of the compressed trie, and the node that each sequence ends in.

    The path of the previous sequence is kept on a stack; the next one in sorted order leaves it at their common
    prefix. A sequence that is a prefix of another sorts before it, so sequences end where nodes end.
    """
    nodes: list[_Node] = []
    leaf = np.zeros(len(arrays), dtype=np.int64)
    stack: list[int] = []
    previous: Ids | None = None
    for i in order:
        ids = arrays[i]
        shared = 0 if previous is None else common_prefix(previous, ids)
        while stack and nodes[stack[-1]].first >= shared:
            stack.pop()
        if stack and nodes[stack[-1]].last > shared:
            lower = stack.pop()
            node = nodes[lower]
            nodes.append(_Node(node.first, shared, node.parent, node.source))
            node.first, node.parent = shared, len(nodes) - 1
            stack.append(len(nodes) - 1)
        if shared < ids.size:
            nodes.append(_Node(shared, ids.size, stack[-1] if stack else -1, i))
            stack.append(len(nodes) - 1)
        leaf[i] = stack[-1]
        previous = ids
    return nodes, leaf


def _layout(arrays: list[Ids], nodes: list[_Node], leaf: Index) -> PrefixTree:
    children: list[list[int]] = [[] for _ in nodes]
    roots: list[int] = []
    for i, node in enumerate(nodes):
        (roots if node.parent < 0 else children[node.parent]).append(i)
    rank = np.full(len(nodes), -1, dtype=np.int64)
    preorder: list[int] = []
    todo = roots[::-1]
    while todo:
        i = todo.pop()
        rank[i] = len(preorder)
        preorder.append(i)
        todo.extend(reversed(children[i]))
    segments = np.empty((len(nodes), 4), dtype=np.int64)
    at = 0
    for s, i in enumerate(preorder):
        node = nodes[i]
        segments[s] = at, at + node.last - node.first, rank[node.parent] if node.parent >= 0 else -1, 0
        at = int(segments[s, 1])
    stops = segments[:, 1].copy()
    for s in range(len(preorder) - 1, -1, -1):  # children come after parents: one sweep from the end
        parent = segments[s, 2]
        if parent >= 0:
            stops[parent] = max(stops[parent], stops[s])
    segments[:, 3] = stops
    pieces = [(arrays[nodes[i].source], nodes[i].first, nodes[i].last) for i in preorder]
    return PrefixTree(
        input_ids=np.concatenate([a[first:last] for a, first, last in pieces]),
        position_ids=np.concatenate([np.arange(first, last, dtype=np.int64) for _, first, last in pieces]),
        segments=segments,
        leaf=rank[leaf],
        lengths=np.array([a.size for a in arrays], dtype=np.int64),
    )
