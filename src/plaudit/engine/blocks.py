"""Short segments of a packed row, attended to many at a time.

A call of attention has a fixed price. Where rows hold hundreds of short segments (small models, chat turns, pairs) that
price is most of the time, so segments of like shape are laid side by side, padded to a common size, and share one call.

In training only: padding rounds differently by who else is in the row, and a score may not depend on that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHORT = 64
"""Tokens: longer segments are worth a call of their own, which needs no padding and, at the root, no mask."""
FEWEST = 3
"""Segments of like shape: fewer are attended to one by one."""
MOST = 8192
"""Keys of a block, padding included: what a call copies stays of the size of a row."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """b segments of like shape, each aligned on the right.

    Attributes:
        queries: int64 (b * q,), row index of each query; padding on the left repeats the segment's first token.
        keys: int64 (b * k,), row index of each key, from the root down; padding on the left repeats the first one.
        mask: bool (b, 1, q, k), True where a query attends to a key. A padded query sees its own place, so that no line
            of the mask is empty; nobody reads what it gets.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor

    def attended(self, query: Tensor) -> Tensor:
        """(t, heads, d) to (b, heads, q, d)."""
        return self._laid(query, self.queries, self.mask.shape[2])

    def seen(self, key: Tensor) -> Tensor:
        """(t, heads, d) to (b, heads, k, d)."""
        return self._laid(key, self.keys, self.mask.shape[3])

    def _laid(self, x: Tensor, at: Tensor, width: int) -> Tensor:
        return x.index_select(0, at).reshape(-1, width, *x.shape[1:]).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a row's segments are divided between blocks and calls of their own.

    Attributes:
        blocks: of short segments.
        alone: the other segments, by index.
        order: int64 (t,), where each row token lies in the outputs of all blocks, padding included, and then of the
            segments that are alone.
    """

    blocks: tuple[Block, ...]
    alone: tuple[int, ...]
    order: Tensor


def layout_of(paths: Sequence[Indices], sizes: Sequence[int], *, window: int | None, device: torch.device) -> Layout:
    """Divides segments into blocks of like shape.

    Args:
        paths: for each segment the row indices that its tokens may see, from the root down to its own last token.
        sizes: for each segment its own tokens, which end its path.
        window: a token sees the last `window` positions, itself included.
        device: of the tensors.
    """
    shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        if size <= SHORT:
            shapes[_class(size), _class(len(path))].append(i)
    chosen = [part for _, found in sorted(shapes.items()) for part in _parts(found, paths) if len(part) >= FEWEST]
    taken = {i for found in chosen for i in found}
    alone = tuple(i for i in range(len(sizes)) if i not in taken)
    blocks: list[Block] = []
    places = np.empty(int(sum(sizes)), dtype=np.int64)
    offset = 0
    for found in chosen:
        block, own = _block([paths[i] for i in found], [sizes[i] for i in found], window)
        with torch.inference_mode(False):  # a plan that is first used in scoring may be trained on later
            blocks.append(Block(*(torch.from_numpy(x).to(device) for x in block)))
        places[block[0][own]] = offset + own
        offset += block[0].size
    for i in alone:
        places[paths[i][-sizes[i] :]] = offset + np.arange(sizes[i])
        offset += sizes[i]
    with torch.inference_mode(False):
        return Layout(tuple(blocks), alone, torch.from_numpy(places).to(device))


def _parts(found: Sequence[int], paths: Sequence[Indices]) -> list[Sequence[int]]:
    """Segments of like shape, in blocks of at most `MOST` keys."""
    each = max(MOST // max(len(paths[i]) for i in found), 1)
    return [found[at : at + each] for at in range(0, len(found), each)]


def _class(n: int) -> int:
    """Sizes that may share a block differ by less than a half."""
    return int(np.ceil(2 * np.log2(max(n, 4))))


def _block(
    paths: Sequence[Indices], sizes: Sequence[int], window: int | None
) -> tuple[tuple[Indices, Indices, NDArray[np.bool_]], Indices]:
    """Queries, keys and mask of a block, and the places among its queries that are no padding."""
    wide, long = max(sizes), max(len(p) for p in paths)
    queries, keys = np.empty((len(paths), wide), np.int64), np.empty((len(paths), long), np.int64)
    for b, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        queries[b, wide - size :], queries[b, : wide - size] = path[-size:], path[-size]
        keys[b, long - len(path) :], keys[b, : long - len(path)] = path, path[0]
    # the last key is the last query's own position: distances do not depend on the segment
    distance = np.arange(wide)[:, None] + (long - wide) - np.arange(long)
    allowed = (distance >= 0) if window is None else (distance >= 0) & (distance < window)
    real = np.arange(long) >= long - np.array([len(p) for p in paths])[:, None]
    mask = (allowed & real[:, None, :]) | (distance == 0)
    own = np.arange(wide) >= wide - np.array(sizes)[:, None]
    return (queries.reshape(-1), keys.reshape(-1), mask[:, None]), np.flatnonzero(own)
