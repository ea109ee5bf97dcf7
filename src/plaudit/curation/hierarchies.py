"""Preferences from a ranking of factors: the first that differs by enough decides [104].

Differs from the paper: the deviations that margins are counted in are those of the table that is given (a batch, a data
set, or kept from one with `spread`); the environment loop and the level-scaled reward are left to whoever optimises.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair, Rated
from plaudit.records.sample import content_hash


def hierarchical_labels(
    factors: Float[np.ndarray, "n k"], *, margins: Float[np.ndarray, " k"] | Sequence[float] | float = 0.5,
    spread: Float[np.ndarray, " k"] | None = None,
) -> tuple[Int[np.ndarray, "n n"], Int[np.ndarray, "n n"]]:  # fmt: skip
    """For every two rows, which is preferred and which factor said so.

    From the most important factor on: i is preferred to j if `factors_i > factors_j + margin * spread`, j to i in the
    other case, and the next factor decides otherwise. Positive factors of scale change nothing, since margins are in
    units of the spread; with margins of 0 the order is lexicographic.

    Args:
        factors: columns from the most to the least important, higher is better. NaN decides nothing.
        margins: in deviations of each factor, at least 0; one for all or one each.
        spread: deviation of each factor; that of the table by default.

    Returns:
        Labels (n, n): 1 where the row is preferred to the column, -1 where the column is, 0 for a tie; antisymmetric.
        Levels (n, n): index of the factor that decided, -1 for a tie.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a margin is negative.

    Source: Bukharin et al. 2024, "Deep Reinforcement Learning from Hierarchical Preference Design" (HERON) [104].
    """
    if factors.ndim != 2:
        raise ShapeError(f"hierarchical_labels: factors are {factors.shape}; give (n, k)")
    n, k = factors.shape
    margin = np.broadcast_to(np.asarray(margins, np.float64), (k,)) if np.ndim(margins) == 0 else np.asarray(margins)
    unit = np.nanstd(factors, axis=0) if spread is None and n else np.zeros(k) if spread is None else spread
    if margin.shape != (k,) or np.shape(unit) != (k,):
        raise ShapeError(f"hierarchical_labels: {margin.shape} margins and {np.shape(unit)} spreads for {k} factors")
    if not (np.isfinite(margin).all() and (margin >= 0).all()):
        raise InputError(f"hierarchical_labels: margins are {margin.tolist()}; they must be at least 0")
    label, level = np.zeros((n, n), dtype=np.int64), np.full((n, n), -1, dtype=np.int64)
    for at in range(k):
        gap = factors[:, None, at] - factors[None, :, at]
        # of differences, not `a > b + m`: rounding is then the same both ways, and the labels stay antisymmetric
        said = np.where(np.abs(gap) > margin[at] * unit[at], np.sign(gap), 0).astype(np.int64)
        new = (label == 0) & (said != 0)
        label[new], level[new] = said[new], at
    return label, level


RENDERING = ("tools", "chat_template_kwargs")
"""Columns that belong to the prompt: they are rendered with it."""


def hierarchical_pairs(
    rows: Sequence[Rated], order: Sequence[str], *, margins: Sequence[float] | float = 0.5
) -> list[Pair]:
    """Pairs of rated completions of one prompt, preferred by a ranking of their aspects; ties are left out.

    Args:
        rows: with aspects; completions are compared with those of the same prompt (and tools) only.
        order: aspects from the most to the least important; a leading minus says that lower is better.
        margins: see `hierarchical_labels`; deviations are taken over all rows.

    Returns:
        Rows whose meta is what the two rated rows agree on, with the `factor` that decided and its `level`, counted
        from 0.

    Raises:
        InputError: if the order is empty, or no row has an aspect of it.
    """
    if not order:
        raise InputError("hierarchical_pairs: the order is empty; name the aspects, the most important one first")
    signed = [(name.removeprefix("-"), -1.0 if name.startswith("-") else 1.0) for name in order]
    for name, _ in signed:
        if not any(name in row.aspects for row in rows):
            raise InputError(f"hierarchical_pairs: no row has the aspect {name!r}; give rated rows with aspects")
    table = np.array([[s * row.aspects.get(name, np.nan) for name, s in signed] for row in rows], dtype=np.float64)
    spread = np.nanstd(table, axis=0)
    prompts: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        asked = content_hash([[m.to_dict() for m in row.prompt], *map(row.meta.get, RENDERING)])
        prompts.setdefault(asked, []).append(i)
    found = []
    for members in prompts.values():
        label, level = hierarchical_labels(table[members], margins=margins, spread=spread)
        for a, b in zip(*np.nonzero(label > 0), strict=True):
            better, worse, at = rows[members[a]], rows[members[b]], int(level[a, b])
            meta = {
                name: v for name, v in better.meta.items() if content_hash([v]) == content_hash([worse.meta.get(name)])
            }
            annotator = meta.pop("annotator", None)
            meta |= {"factor": order[at], "level": at}
            found.append(Pair(better.prompt, better.completion, worse.completion, annotator=annotator, meta=meta))
    return found
