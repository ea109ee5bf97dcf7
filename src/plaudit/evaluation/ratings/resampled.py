"""Ratings of all bootstrap resamples at once: what a loop over resamples would take minutes for."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.evaluation.ratings.battles import Battles
from plaudit.evaluation.ratings.bradley_terry import Fit, fit_bradley_terry, groups_of_models, strengths

CHUNK = 1 << 22
"""Cells of win tables that are held at once in a fit."""
DRAWN = 1 << 24
"""Counts of prompts that are held at once."""


def draws(k: int, resamples: int, seed: int) -> Iterator[Int[np.ndarray, "r k"]]:
    """How often each of k prompts is drawn, in chunks of resamples that memory holds whatever k is.

    Args:
        k: prompts.
        resamples: in all.
        seed: of the drawing.
    """
    rng, chunk = np.random.default_rng(seed), max(1, DRAWN // k)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        yield np.stack([np.bincount(rng.integers(0, k, k), minlength=k) for _ in range(size)])


def win_tables(battles: Battles, counts: Int[np.ndarray, "r k"]) -> Float[np.ndarray, "r m m"]:
    """Wins of row against column in each resample, ties half each.

    Args:
        battles: comparisons whose prompts have codes 0..k-1.
        counts: how often each prompt was drawn.
    """
    from scipy.sparse import csr_matrix

    m, k = len(battles.models), counts.shape[1]
    rows = np.concatenate([battles.prompt, battles.prompt])
    cells = np.concatenate([battles.first * m + battles.second, battles.second * m + battles.first])
    won = np.concatenate([battles.outcome, 1 - battles.outcome])
    by_prompt = csr_matrix((won, (rows, cells)), shape=(k, m * m))
    return np.asarray((by_prompt.T @ counts.T.astype(np.float64)).T.reshape(len(counts), m, m))


def average_win_rates(tables: Float[np.ndarray, "r m m"]) -> Float[np.ndarray, "r m"]:
    """Share won against an opponent, averaged over the opponents met; NaN for a system without a battle.

    Args:
        tables: wins of row against column, ties half each.
    """
    games = tables + tables.transpose(0, 2, 1)
    met = games > 0
    share = np.where(met, tables / np.where(met, games, 1.0), 0.0)
    number = met.sum(axis=2)
    return np.asarray(np.where(number > 0, share.sum(axis=2) / np.maximum(number, 1), np.nan))


def resampled_strengths(tables: Float[np.ndarray, "r m m"], fit: Fit, prior: float) -> Float[np.ndarray, "r m"]:
    """Bradley-Terry strengths of each resample, log-odds; infinite and NaN as in `fit_bradley_terry`.

    Args:
        tables: wins of row against column.
        fit: of all battles: where the iteration starts.
        prior: as in `fit_bradley_terry`.
    """
    drawn = np.full(tables.shape[:2], np.nan)
    inside = np.array(fit.groups.comparable)
    if inside.size < 2 or not len(tables):
        return drawn
    if prior > 0:
        return np.stack([fit_bradley_terry(t, prior=prior).strength for t in tables])
    small = tables[:, inside[:, None], inside]
    whole = np.array([len(groups_of_models(t).comparable) == inside.size for t in small], dtype=bool)
    chunk, at = max(1, CHUNK // inside.size**2), np.flatnonzero(whole)
    for rows in (at[i : i + chunk] for i in range(0, at.size, chunk)):
        drawn[np.ix_(rows, inside)] = strengths(small[rows], start=fit.strength[inside])
    for r in np.flatnonzero(~whole):  # a resample in which some never win, or never lose
        drawn[r, inside] = fit_bradley_terry(small[r]).strength
    return drawn


def anchored(drawn: Float[np.ndarray, "r m"], fit: Fit) -> Float[np.ndarray, "r m"]:
    """Strengths of resamples on the scale of the fit of all battles, whichever systems are finite in each.

    A fit says differences only. With each resample's mean over its own finite systems at 0, all others would jump
    whenever a strong system is never beaten. The mean of the systems that are finite in every resample is held at
    what it is in the fit instead; where fewer than two are, that of the resample's own finite systems.

    Args:
        drawn: strengths, infinite and NaN as in `fit_bradley_terry`.
        fit: of all battles.
    """
    inside = np.array(fit.groups.comparable)
    if inside.size < 2 or not len(drawn):
        return drawn
    finite = np.isfinite(drawn[:, inside])
    always = finite.all(axis=0)
    kept = finite & always if always.sum() > 1 else finite
    apart = np.where(kept, fit.strength[inside] - np.where(finite, drawn[:, inside], 0.0), 0.0)
    return np.asarray(drawn + (apart.sum(axis=1) / np.maximum(kept.sum(axis=1), 1))[:, None])


def elo_resampled(
    battles: Battles, counts: Int[np.ndarray, "r k"], *, k: float = 4.0, initial: float = 1000.0
) -> Float[np.ndarray, "r m"]:
    """Elo points of each resample, updated in the order of the battles; a battle drawn twice is played twice in a row.

    `x += k (s - P), y -= k (s - P)` with `P = 1 / (1 + 10^((y - x) / 400))` and s the outcome.

    Args:
        battles: comparisons, in their order.
        counts: how often each prompt was drawn.
        k: points at stake in a battle.
        initial: where every system starts.
    """
    if not counts.size:
        raise InputError("elo_resampled: there is no resample; give at least one row of counts")
    points = np.full((len(battles.models), len(counts)), initial)
    for a, b, outcome, prompt in zip(
        battles.first.tolist(), battles.second.tolist(), battles.outcome.tolist(), battles.prompt.tolist(), strict=True
    ):
        times = counts[:, prompt]
        for again in range(int(times.max())):
            expected = expit((points[a] - points[b]) * (math.log(10.0) / 400.0))
            change = np.where(times > again, k * (outcome - expected), 0.0)
            points[a] += change
            points[b] -= change
    return np.asarray(points.T)
