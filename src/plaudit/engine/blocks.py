"""Segments of a packed row, attended to many at a time.

A call of attention has a fixed price. Where rows hold hundreds of short segments (small models, chat turns, pairs,
pools of candidates) that price is most of the time, so short segments are padded to one of a few shapes, and those of
one shape share a call. Long segments keep their own shape: they need no padding and, at the root, no mask.

A segment's shape depends on itself and its path alone: padding rounds, and no score may depend on what else is scored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHORT = 64
"""Tokens of the longest segment that is padded."""
MOST = 2**19
"""Numbers in the keys of a block, padding included, over all heads: what a call reads fits a processor's cache."""
FEWEST = 3
"""Segments: where a block has no room for so many, none is padded."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """b segments of one shape, each aligned on the right.

    Attributes:
        queries: int64 (b, q), row index of each query; padding on the left repeats the segment's first token.
        keys: int64 (b, k), row index of each key, from the root down; padding on the left repeats the first one.
        mask: bool (b, 1, q, k), True where a query attends to a key. A padded query sees its own place, so that no line
            of the mask is empty; nobody reads what it gets. None for a segment that is all that it sees: causal.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class Layout:
    """How a row's segments are divided between blocks.

    Attributes:
        blocks: each segment is in one.
        order: int64 (t,), where each row token lies in the outputs of all blocks, padding included.
    """

    blocks: tuple[Block, ...]
    order: Tensor

    def attended(self, query: Tensor) -> Iterator[Tensor]:
        """(t, heads, d) to (b, heads, q, d), for each block."""
        return _laid(query, [b.queries for b in self.blocks], self._queries if query.requires_grad else None)

    def seen(self, key: Tensor) -> Iterator[Tensor]:
        """(t, heads, d) to (b, heads, k, d), for each block."""
        return _laid(key, [b.keys for b in self.blocks], self._keys if key.requires_grad else None)

    @cached_property
    def _queries(self) -> Tensor:
        return torch.cat([b.queries.flatten() for b in self.blocks])

    @cached_property
    def _keys(self) -> Tensor:
        return torch.cat([b.keys.flatten() for b in self.blocks])


class Shape(NamedTuple):
    """Queries and keys of each segment of a block.

    Attributes:
        queries: tokens, padding included.
        keys: tokens, padding included.
        padded: whether there may be padding; segments that have this very shape without are in another block.
    """

    queries: int
    keys: int
    padded: bool


def layout_of(
    paths: Sequence[Indices], sizes: Sequence[int], *, window: int | None, width: int, device: torch.device
) -> Layout:
    """Divides segments into blocks of one shape.

    Args:
        paths: for each segment the row indices that its tokens may see, from the root down to its own last token.
        sizes: for each segment its own tokens, which end its path.
        window: a token sees the last `window` positions, itself included.
        width: numbers in a key, over all heads.
        device: of the tensors.
    """
    shapes: dict[Shape, list[int]] = defaultdict(list)
    for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        shapes[_shape(size, len(path), width)].append(i)
    blocks: list[Block] = []
    order = np.empty(sum(sizes), dtype=np.int64)
    filled = 0
    for shape, found in sorted(shapes.items()):
        each = max(MOST // (shape.keys * width), 1)
        for part in (found[at : at + each] for at in range(0, len(found), each)):
            queries, keys, mask, own = _block([paths[i] for i in part], [sizes[i] for i in part], shape, window)
            order[queries[own]] = filled + np.flatnonzero(own)
            filled += own.size
            blocks.append(
                Block(_tensor(queries, device), _tensor(keys, device), None if mask is None else _tensor(mask, device))
            )
    return Layout(tuple(blocks), _tensor(order, device))


def _shape(size: int, length: int, width: int) -> Shape:
    """The shape that a segment has in its block."""
    queries = _power(size, 8)
    # the longer the path, the more a padded key costs, and the less a call
    keys = max(_power(length, 16) if length <= SHORT else -(-length // 32) * 32, queries)
    if size > SHORT or FEWEST * keys * width > MOST:
        return Shape(size, length, padded=False)
    return Shape(queries, keys, padded=True)


def _power(n: int, least: int) -> int:
    """The next power of two."""
    return max(1 << (n - 1).bit_length(), least)


def _block(
    paths: Sequence[Indices], sizes: Sequence[int], shape: Shape, window: int | None
) -> tuple[Indices, Indices, NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Queries, keys and mask of a block, and which of its queries are no padding."""
    flat, own, lengths = np.concatenate(paths), np.array(sizes)[:, None], np.array([len(p) for p in paths])[:, None]
    last = np.cumsum(lengths)[:, None] - 1
    # how far before the last one; what lies before the first one is the first one again
    asks, sees = np.arange(shape.queries)[::-1], np.arange(shape.keys)[::-1]
    queries, keys = flat[last - np.minimum(asks, own - 1)], flat[last - np.minimum(sees, lengths - 1)]
    if shape.queries == shape.keys and not shape.padded and (window is None or window >= shape.keys):
        return queries, keys, None, asks < own
    # the last key is the last query's own position: distances do not depend on the segment
    distance = sees - asks[:, None]
    allowed = (distance >= 0) if window is None else (distance >= 0) & (distance < window)
    mask = (allowed & (sees < lengths)[:, None]) | (distance == 0)
    return queries, keys, mask[:, None], asks < own


def _tensor(x: NDArray[Any], device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a plan that is first used in scoring may be trained on later
        return torch.from_numpy(x).to(device)


def _laid(x: Tensor, parts: Sequence[Tensor], together: Tensor | None) -> Iterator[Tensor]:
    """(t, heads, d) to (b, heads, n, d) for each part (b, n).

    The backward pass of a gather fills a row-sized buffer: with a gradient there is one gather for all parts.
    """
    found: Iterable[Tensor]
    if together is None:
        found = (x.index_select(0, at.flatten()) for at in parts)
    else:
        found = torch.split(x.index_select(0, together), [at.numel() for at in parts])
    for at, gathered in zip(parts, found, strict=True):
        yield gathered.reshape(*at.shape, *x.shape[1:]).transpose(1, 2)
