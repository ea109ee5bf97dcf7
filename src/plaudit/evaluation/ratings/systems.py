"""Ratings of systems from battles, each with an interval that resamples prompts.

Differs from LMSYS's leaderboards: prompts are resampled, not battles, because judgements of one prompt share its
difficulty; a system without a finite rating is named instead of given the number at which an iteration stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, nearest
from plaudit.evaluation.ratings.battles import Battles
from plaudit.evaluation.ratings.bradley_terry import Fit, fit_bradley_terry, groups_of_models
from plaudit.evaluation.ratings.resampled import (
    anchored,
    average_win_rates,
    draws,
    elo_resampled,
    resampled_strengths,
    win_tables,
)
from plaudit.evaluation.strata import UNDEFINED, flat, stratified
from plaudit.stats.estimate import Estimate

METHODS = ("bradley-terry", "elo", "win-rate")
CENTRE, SCALE = 1000.0, 400.0 / math.log(10.0)
"""Points of a rating: 400 are odds of ten to one, 1000 is the mean system."""
K = 4.0
"""Points that are at stake in one battle of Elo's, LMSYS's and evalica's default."""


@dataclass(frozen=True)
class Ratings:
    """Systems, best first.

    Attributes:
        method: `bradley-terry`, `elo` or `win-rate`.
        table: system to its rating: points (mean 1000, 400 are odds of ten to one), or a share for win rates. NaN with
            the reason in `method` where there is no finite one.
        battles: system to its number of battles.
        notes: what the table cannot say, a sentence each.
    """

    method: str
    table: Mapping[str, Estimate]
    battles: Mapping[str, int]
    notes: tuple[str, ...] = field(default_factory=tuple)


def rate(
    battles: Battles,
    method: str = "bradley-terry",
    *,
    prior: float = 0.0,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> Ratings:
    """Rates systems.

    `bradley-terry`: maximum likelihood, whatever the order of the battles. `elo`: updates of `k = 4` points in the
    order of the file, from 1000; it depends on the order, and systems that played little stay near 1000. `win-rate`:
    the share won against an opponent, ties half, averaged over the opponents met, so that meeting one often counts no
    more.

    Args:
        battles: comparisons.
        method: one of `METHODS`.
        prior: of Bradley-Terry, see `fit_bradley_terry`.
        seed: of the bootstrap over prompts (over battles where the source names no prompt).
        resamples: number of bootstrap resamples.
        level: coverage of the intervals.

    Returns:
        The ratings. An end of an interval is infinite where so many resamples leave the system without a win, or
        without a loss, or say nothing of it. Win rates whose resamples agree, or often lack the system, have Wilson's
        interval against each opponent, combined.

    Raises:
        InputError: if the method is not known, an option is out of range, or there is a prior that is of no use.
    """
    if method not in METHODS:
        raise InputError(f"rate: method {method!r} is not known; {nearest(method, METHODS)}")
    if prior and method != "bradley-terry":
        raise InputError(f"rate: a prior of {prior} is of no use to {method}; leave it out")
    if resamples < 1 or not 0.0 < level < 1.0:
        raise InputError(f"rate: resamples {resamples}, level {level}; give at least 1, and a coverage between 0 and 1")
    k = int(battles.prompt.max()) + 1
    fit = None
    notes, ways = _data_notes(battles, k), draws(k, resamples if k > 1 else 0, seed)
    if method == "elo":
        value = _elo(battles)
        drawn = [elo_resampled(battles, counts, k=K, initial=CENTRE) for counts in ways]
    elif method == "win-rate":
        value = _win_rates(battles)
        drawn = [average_win_rates(win_tables(battles, counts)) for counts in ways]
    else:
        fit = fit_bradley_terry(battles.wins(), prior=prior)
        value = CENTRE + SCALE * fit.strength
        drawn = [resampled_strengths(win_tables(battles, c), fit, prior) for c in ways]
        notes += _fit_notes(battles, fit, prior)
    together = np.concatenate([np.empty((0, value.size)), *drawn])
    if fit is not None:
        notes += _scale_notes(together, fit)
        together = CENTRE + SCALE * anchored(together, fit)
    return _ratings(method, battles, value, together, k, level, notes)


def _ratings(
    method: str, battles: Battles, value: Float[np.ndarray, " m"], drawn: Float[np.ndarray, "r m"], k: int,
    level: float, notes: tuple[str, ...],
) -> Ratings:  # fmt: skip
    unit = "prompts" if battles.n_prompts else "battles"
    table = {}
    for i in np.argsort(-np.where(np.isnan(value), -np.inf, value), kind="stable"):
        name, seen = battles.models[i], battles.prompt[(battles.first == i) | (battles.second == i)]
        n = int(np.unique(seen).size)
        if not math.isfinite(value[i]):
            table[name] = Estimate(math.nan, n=n, method=_why(value[i], anything=bool(np.isfinite(value).any())))
        elif k == 1:
            table[name] = Estimate(float(value[i]), n=n, method=f"one of the {unit}: no interval")
        else:
            table[name] = _interval(float(value[i]), drawn[:, i], n, f"bootstrap over {k} {unit}", level)
            if method == "win-rate" and (flat(table[name]) or np.isnan(drawn[:, i]).mean() > UNDEFINED):
                table[name] = _by_opponent(battles, int(i), float(value[i]), level)
            elif flat(table[name]):
                table[name] = Estimate(float(value[i]), n=n, method="no interval: every resample says the same")
    played = battles.counts()
    return Ratings(method, table, {name: int(played[battles.models.index(name)]) for name in table}, notes)


def _by_opponent(battles: Battles, i: int, value: float, level: float) -> Estimate:
    """A win rate with Wilson's interval against each opponent, combined: resamples of it agree, or often lack it."""
    rows = np.flatnonzero((battles.first == i) | (battles.second == i))
    first = battles.first[rows] == i
    won = np.where(first, battles.outcome[rows], 1 - battles.outcome[rows])
    other = np.where(first, battles.second[rows], battles.first[rows])
    met = np.unique(other)
    found = stratified(won, other[:, None] == met, np.ones(met.size).tolist(), battles.prompt[rows], level=level)
    return Estimate(value, found.low, found.high, found.n, found.method)


def _interval(value: float, drawn: Float[np.ndarray, " r"], n: int, over: str, level: float) -> Estimate:
    method = f"{over}, {drawn.size} resamples, {level:.0%}"
    undefined = np.isnan(drawn)
    if undefined.any():
        # a resample that says nothing of a system leaves it anywhere: it counts beyond both ends
        method += f" ({int(undefined.sum())} resamples say nothing of it and count at both ends)"
    # order statistics, not interpolated: infinite ones have no middle
    low = float(np.quantile(np.where(undefined, -np.inf, drawn), (1 - level) / 2, method="lower"))
    high = float(np.quantile(np.where(undefined, np.inf, drawn), (1 + level) / 2, method="higher"))
    ends = [name for name, end in (("lower", low), ("upper", high)) if math.isinf(end)]
    if ends:
        method += f"; {' and '.join(ends)} end infinite"  # JSON has no number for it
    return Estimate(value, low, high, n, method)


def _why(value: float, *, anything: bool) -> str:
    if math.isnan(value):
        if not anything:
            return "no rating: no two systems have each won against the other, and it is neither above nor below all"
        return "no rating: no battles that order it with others"
    if not anything:
        return f"no finite rating: {'above' if value > 0 else 'below'} all others, without a {_lacks(value)}"
    return f"no finite rating: never {'lost to' if value > 0 else 'won against'} the systems that have one"


def _lacks(value: float) -> str:
    return "loss" if value > 0 else "win"


def _data_notes(battles: Battles, k: int) -> tuple[str, ...]:
    notes = [f"{n} rows are not used: {why}" for why, n in battles.skipped.items()]
    if not battles.n_prompts:
        notes.append("no column names the prompt, so every battle is resampled by itself: intervals may be too narrow")
    if battles.unnamed:
        notes.append(f"{battles.unnamed} battles name no prompt: each is resampled by itself")
    if battles.n_prompts and 1 < k < 30:
        notes.append(f"{k} prompts are few to resample: intervals are rough")
    return tuple(notes)


def _fit_notes(battles: Battles, fit: Fit, prior: float) -> tuple[str, ...]:
    groups, components = fit.groups, groups_of_models(battles.wins()).components
    notes = []
    if components > 1:
        notes.append(f"the systems fall into {components} sets without a battle between them; {_across(prior)}")
    left = len(battles.models) - len(groups.comparable)
    if len(groups.comparable) < 2:
        notes.append("no two systems have each won against the other, so nothing has a finite rating without --prior")
    elif left:
        notes.append(f"{left} of {len(battles.models)} systems have no finite rating; --prior 1 gives them one")
    return tuple(notes)


def _scale_notes(drawn: Float[np.ndarray, "r m"], fit: Fit) -> tuple[str, ...]:
    """What intervals are relative to, where some systems are not finite in every resample."""
    inside = list(fit.groups.comparable)
    always = int(np.isfinite(drawn[:, inside]).all(axis=0).sum()) if len(drawn) else len(inside)
    if always == len(inside) or len(inside) < 3:
        return ()
    whose = f"the {always} systems that are finite in every" if always > 1 else "the systems that are finite in each"
    return (f"intervals are of points relative to {whose} resample",)


def _across(prior: float) -> str:
    if prior > 0:
        return "ratings across sets rest on the prior alone"
    return "only the largest set that can be compared is rated"


def _win_rates(battles: Battles) -> Float[np.ndarray, " m"]:
    import evalica

    words = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    xs, ys = battles.first.tolist(), battles.second.tolist()
    found = evalica.average_win_rate(xs, ys, [words[o] for o in battles.outcome.tolist()])
    return np.asarray(found.scores.reindex(range(len(battles.models))).to_numpy(dtype=np.float64))


def _elo(battles: Battles) -> Float[np.ndarray, " m"]:
    import evalica

    words = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    xs, ys = battles.first.tolist(), battles.second.tolist()
    found = evalica.elo(xs, ys, [words[o] for o in battles.outcome.tolist()], initial=CENTRE, scale=400.0, k=K)
    return np.asarray(found.scores.reindex(range(len(battles.models))).to_numpy(dtype=np.float64))
