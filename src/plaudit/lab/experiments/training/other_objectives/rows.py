"""What objectives that read other rows learn from, made of rated lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, permutations
from typing import Any

import numpy as np

from plaudit.lab.experiments.training.objectives.experiment import Bench
from plaudit.lab.worlds.assistant import ASPECTS
from plaudit.lab.worlds.assistant.preferences import levels_of
from plaudit.records.rows import Pair, Ranked, Rated, Unpaired
from plaudit.records.sample import Sample

BETA, LEVELS = 3.0, 5
"""Of the raters, as `Prepared.lists` has them by default."""


def ordered(row: Ranked) -> list[tuple[int, int]]:
    """The pairs of a list, by number: the first has the higher level."""
    return [(i, j) for i, j in permutations(range(len(row.completions)), 2) if row.scores[i] > row.scores[j]]


def pair_of(row: Ranked, i: int, j: int, **meta: Any) -> Pair:
    """Two completions of a list, the first chosen."""
    return Pair(row.prompt, row.completions[i], row.completions[j], meta=meta)


def rated_again(row: Ranked, share: float, rng: np.random.Generator) -> np.ndarray:
    """Levels that another rater gives the completions: with noise, and upside down by chance, as the first one's."""
    u = np.asarray(row.meta["u"])
    return levels_of(u, rng.gumbel(size=len(u)), beta=BETA, levels=LEVELS, flip=bool(rng.random() < share))


def as_demonstrations(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The first of the best completions of each list above each that is worse."""
    del bench, seed, share
    best = [int(np.argmax(row.scores)) for row in rows]
    return [pair_of(r, i, j) for r, b in zip(rows, best, strict=True) for i, j in ordered(r) if i == b]


def partly_labelled(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The pairs of every list, those of every other one in any order and without a label."""
    del bench, share
    rng = np.random.default_rng([seed, 51])
    found = []
    for k, row in enumerate(rows):
        for i, j in ordered(row):
            turned = k % 2 and rng.random() < 0.5
            found.append(pair_of(row, *((j, i) if turned else (i, j)), labelled=k % 2 == 0))
    return found


def judged_pairs(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The pairs as the first rater orders them, with the differences of levels of three raters."""
    del bench
    rng = np.random.default_rng([seed, 52])
    found = []
    for row in rows:
        levels = [np.asarray(row.scores), rated_again(row, share, rng), rated_again(row, share, rng)]
        found += [pair_of(row, i, j, judgements=[float(x[i] - x[j]) for x in levels]) for i, j in ordered(row)]
    return found


def rated_twice(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Rated]:
    """Every completion with the levels of two raters."""
    del bench
    rng = np.random.default_rng([seed, 53])
    return [
        Rated(row.prompt, text, score, meta={"second": float(second)})
        for row in rows
        for text, score, second in zip(row.completions, row.scores, rated_again(row, share, rng), strict=True)
    ]


def told_twice(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The pairs with whether a second rater prefers chosen too; a coin where he finds both as good."""
    del bench
    rng = np.random.default_rng([seed, 54])
    found = []
    for row in rows:
        second = rated_again(row, share, rng)
        for i, j in ordered(row):
            coin = bool(rng.random() < 0.5)
            found.append(pair_of(row, i, j, second=coin if second[i] == second[j] else bool(second[i] > second[j])))
    return found


def with_aspects(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Ranked]:
    """The lists with the aspects of their completions, as `aspect_tables` has them."""
    del seed, share
    return [
        replace(row, meta={"aspects": [dict(zip(ASPECTS, map(float, values), strict=True)) for values in table]})
        for row, table in zip(rows, aspect_tables(bench, rows), strict=True)
    ]


def preferred_by_aspect(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The pairs with the aspects in which chosen has more (1), less (0), or as much (a half)."""
    del seed, share
    found = []
    for row, table in zip(rows, aspect_tables(bench, rows), strict=True):
        for i, j in ordered(row):
            more = (np.sign(table[i] - table[j]) + 1) / 2
            found.append(pair_of(row, i, j, aspect_preferences=dict(zip(ASPECTS, map(float, more), strict=True))))
    return found


def aspect_tables(bench: Bench, rows: Sequence[Ranked]) -> list[np.ndarray]:
    """Aspects of each list's completions, (k, 12), in units of their deviation within prompts.

    Upside down where the list is, about the mean of all lists: as raters who turn a scale round do not leave it.
    """
    world = bench.world.world
    tables = [
        np.asarray(world.parse([Sample(row.prompt, text) for text in row.completions]).values / world.spread)
        for row in rows
    ]
    centre = np.concatenate(tables).mean(axis=0)
    return [2 * centre - table if row.meta["flipped"] else table for row, table in zip(rows, tables, strict=True)]


def groups_in(rows: Sequence[Any]) -> int:
    """Groups that the trainer makes of rows: one of each pair and list, one of neighbours of one prompt otherwise."""
    if isinstance(rows[0], Pair | Ranked):
        return len(rows)
    return sum(1 for _ in groupby(rows, key=lambda row: row.prompt))


def by_annotator(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Pair]:
    """The pairs of the lists, which two annotators have rated in turn."""
    del bench, seed, share
    return [replace(pair_of(r, i, j), annotator="ab"[k % 2]) for k, r in enumerate(rows) for i, j in ordered(r)]


def outcomes(bench: Bench, rows: Sequence[Ranked], seed: int, share: float) -> list[Unpaired]:
    """Every completion, right where its level is above the list's mean."""
    del bench, seed, share
    return [
        Unpaired(row.prompt, text, bool(score > np.mean(row.scores)))
        for row in rows
        for text, score in zip(row.completions, row.scores, strict=True)
    ]
