"""Win rate of a model over a baseline as if both wrote equally long answers: AlpacaEval 2's regression [53].

`logit P(model wins) = theta tanh(d / std(d)) + psi difficulty + phi`, d the baseline's length minus the model's. The
controlled win rate is the mean prediction at d = 0. As in the published code:

- targets are probabilities (a row counts p as a win and 1 - p as a loss), and ties are 1/2;
- an L1 penalty whose strength is chosen by 5-fold cross-validation among ten, by log loss; no intercept beside phi;
- lengths are characters; d is divided by its standard deviation (n - 1), which is the model's own;
- rows of two *gamed* baselines (the baseline told to be concise, or verbose, against itself) join with weight 0.1 each,
  without phi, so that theta and psi are not left to the model's own rows;
- rows without a preference leave the fit, and are predicted like the others; gamed ones without leave, too;
- a model that is the baseline has one half by construction.

Differs from the paper: intervals refit theta, psi and phi on resampled prompts at the penalty that was chosen (the
published standard error is that of predictions from one fit); where all judgements say the same no refit differs, and
Wilson's interval about the controlled rate stands in. Difficulty and gamed rows are given by the user, since they are
data of the benchmark, and are left out of the formula where they are not there; where no two lengths differ by another
amount, d is left out instead of divided by 0. Numbers are shares, not per cent.

Source: Dubois et al. 2024, "Length-Controlled AlpacaEval"; alpaca_eval 0.6, metrics/glm_winrate.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from scipy.special import expit

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.ratings.l1_logistic import Rows, choose_penalty, fit_l1_logistic
from plaudit.evaluation.ratings.refits import refit_l1_logistic
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share, wilson

Floats = Float[np.ndarray, " n"]
WHO = "length_controlled_winrate"
GAMED_WEIGHT = 0.2
"""Total weight of the two gamed baselines, a row of the model's own being 1."""
PENALTIES = tuple(float(c) for c in np.logspace(-4, 4, 10))
"""Inverse strengths C of the L1 penalty among which cross-validation chooses: scikit-learn's ten."""
FOLDS = 5
DRAWN = 1 << 20
"""Counts of rows that are held at once."""


@dataclass(frozen=True)
class GamedRows:
    """Rows of the gamed baselines against the baseline, g of them.

    Attributes:
        preference: probability that the gamed one wins, in [0, 1]; NaN rows have none and are left out.
        std_delta_len: baseline's length minus the gamed one's, over its standard deviation.
        difficulty: of the instruction; None where the formula has no such term.
    """

    preference: Floats
    std_delta_len: Floats
    difficulty: Floats | None = None


@dataclass(frozen=True)
class LengthControlled:
    """A model against a baseline.

    Attributes:
        controlled: win rate at equal lengths, in [0, 1].
        plain: mean preference, in [0, 1].
        weights: theta (length), psi (difficulty; NaN where there is none), phi, in log-odds.
        penalty: the C that cross-validation chose; NaN for the baseline itself.
        predicted: probability that the model wins each row at equal lengths, (n,).
        extreme: whether the two win rates differ so much that the regression may have failed.
    """

    controlled: Estimate
    plain: Estimate
    weights: tuple[float, float, float]
    penalty: float
    predicted: Floats
    extreme: bool


def length_controlled_winrate(
    preference: ArrayLike,
    length: ArrayLike,
    baseline_length: ArrayLike,
    clusters: Clusters | None = None,
    *,
    difficulty: ArrayLike | None = None,
    gamed: GamedRows | None = None,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> LengthControlled:
    """Fits the regression for one model and predicts its win rate at equal lengths.

    Args:
        preference: probability that the model wins, (n,), in [0, 1]; NaN rows have none and leave the fit.
        length: of the model's answers, (n,), characters, 0 or more.
        baseline_length: of the baseline's answers, (n,), the same.
        clusters: labels of the prompts, (n,), or None where every row is a prompt of its own.
        difficulty: of the instructions, (n,), log-odds, see `fit_instruction_difficulty`; None leaves the term out.
        gamed: rows of the gamed baselines; None leaves them out.
        seed: of the bootstrap.
        resamples: of the bootstrap over prompts; 0 for no interval.
        level: coverage.

    Raises:
        ShapeError: if the columns differ in length.
        InputError: if fewer than 10 rows have a preference, a preference lies outside [0, 1], a length is negative or
            not finite, a difficulty is not finite, or only one of the rows and the gamed rows has difficulties.
    """
    p, table, known = _design(preference, length, baseline_length, difficulty, gamed)
    codes = cluster_codes(clusters, known.size)
    rows = _Rows(p, table, *_gamed_rows(gamed), known, codes)
    penalty = choose_penalty(rows.features, rows.target, rows.weights, PENALTIES, folds=FOLDS)
    beta = fit_l1_logistic(rows.features, rows.target, rows.weights[None], penalty)[0]
    predicted = expit(rows.equal @ beta)
    value = float(predicted.mean())
    if resamples > 0:
        controlled, plain = _intervals(value, rows, penalty, beta, seed, resamples, level)
    else:
        plain, controlled = (Estimate(float(x), n=known.size) for x in (p[known].mean(), value))
    psi = float(beta[1]) if difficulty is not None else math.nan
    return LengthControlled(
        controlled, plain, (float(beta[0]), psi, float(beta[-1])), penalty, predicted,
        is_extreme(plain.value, value),
    )  # fmt: skip


def baseline_itself(n: int) -> LengthControlled:
    """The baseline against itself: one half by construction, nothing is fitted.

    Args:
        n: number of rows.
    """
    half = Estimate(0.5, n=n, method="the baseline itself")
    return LengthControlled(half, half, (0.0, 0.0, 0.0), math.nan, np.full(n, 0.5), False)


def is_extreme(plain: float, controlled: float, *, absolute: float = 0.10, relative: float = 4.0) -> bool:
    """Whether control changed a win rate by more than `absolute` and by more than 1 / `relative` of the room there is.

    Args:
        plain: win rate, in [0, 1].
        controlled: win rate at equal lengths.
        absolute: change that is always tolerated.
        relative: a quarter by default: 0.20 may become 0.10..0.40, 0.50 may become 0.375..0.625.

    Source: alpaca_eval, metrics/glm_winrate.py, `get_is_extreme_changes`.
    """
    low = min(plain - plain / relative, plain - absolute)
    high = max(plain + (1 - plain) / relative, plain + absolute)
    return bool(controlled < low or controlled > high)


@dataclass(frozen=True)
class _Rows:
    """What is fitted: g gamed rows above the model's n, of which those without a preference weigh nothing."""

    p: Floats
    table: Float[np.ndarray, "n f"]
    gamed_p: Float[np.ndarray, " g"]
    gamed_table: Float[np.ndarray, "g f"]
    known: Bool[np.ndarray, " n"]
    codes: Int[np.ndarray, " n"]

    @property
    def features(self) -> Float[np.ndarray, "k f"]:
        own = self.table[self.known]
        # without gamed rows there is nothing above, and no width to agree on
        return np.concatenate([self.gamed_table, own]) if len(self.gamed_p) else own

    @property
    def target(self) -> Float[np.ndarray, " k"]:
        return np.concatenate([self.gamed_p, self.p[self.known]])

    @property
    def equal(self) -> Float[np.ndarray, "n f"]:
        """All rows of the model, at equal lengths."""
        return np.concatenate([np.zeros((len(self.table), 1)), self.table[:, 1:]], axis=1)

    @property
    def weights(self) -> Float[np.ndarray, " k"]:
        """Two gamed baselines share the weight."""
        return np.concatenate([np.full(len(self.gamed_p), GAMED_WEIGHT / 2), np.ones(int(self.known.sum()))])

    def resampled(self, counts: Float[np.ndarray, "r n"]) -> list[Rows]:
        """The rows as blocks: the gamed ones are the benchmark's and stay as they are."""
        everything = bool(self.known.all())
        own = Rows(self.table[self.known], self.p[self.known], counts if everything else counts[:, self.known])
        if not len(self.gamed_p):
            return [own]
        return [own, Rows(self.gamed_table, self.gamed_p, np.full(len(self.gamed_p), GAMED_WEIGHT / 2))]


def _gamed_rows(gamed: GamedRows | None) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, "g f"]]:
    """Targets and features of the gamed rows that have a preference."""
    if gamed is None:
        return np.zeros(0), np.zeros((0, 0))
    columns = [gamed.preference, gamed.std_delta_len, *([] if gamed.difficulty is None else [gamed.difficulty])]
    p, delta, *gamma = (np.asarray(c, dtype=np.float64).reshape(-1) for c in columns)
    if any(c.shape != p.shape for c in (delta, *gamma)):
        sizes = [p.size, delta.size, *(c.size for c in gamma)]
        raise ShapeError(f"{WHO}: the columns of the gamed rows have {sizes} rows; give as many in each")
    _in_range("gamed preference", p, 0.0, 1.0, unknown=True)
    _in_range("std_delta_len of the gamed rows", delta)
    for c in gamma:
        _in_range("difficulty of the gamed rows", c)
    kept = ~np.isnan(p)
    return p[kept], np.stack([np.tanh(delta), *gamma, np.zeros_like(p)], axis=1)[kept]


def _in_range(
    name: str, values: Floats, low: float = -math.inf, high: float = math.inf, *, unknown: bool = False
) -> None:
    """Refuses a number that is not finite or lies outside, by its row; NaN is fine where it may be unknown."""
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= low) & (values <= high) | (np.isnan(values) & unknown)))
    if bad.size:
        row, span = int(bad[0]), f"[{low:g}, {high:g}]" if math.isfinite(high) else f"{low:g} or more"
        wanted = span if math.isfinite(low) else "finite"
        raise InputError(f"{WHO}: {name} of row {row} is {values[row]:g}; it has to be {wanted}: leave the row out")


def _design(
    preference: ArrayLike, length: ArrayLike, baseline_length: ArrayLike, difficulty: ArrayLike | None,
    gamed: GamedRows | None,
) -> tuple[Floats, Float[np.ndarray, "n f"], Bool[np.ndarray, " n"]]:  # fmt: skip
    """Targets and features of the model's rows, and which of them have a preference."""
    p, own, theirs = (np.asarray(x, dtype=np.float64).reshape(-1) for x in (preference, length, baseline_length))
    gamma = None if difficulty is None else np.asarray(difficulty, dtype=np.float64).reshape(-1)
    if not p.shape == own.shape == theirs.shape or (gamma is not None and gamma.shape != p.shape):
        raise ShapeError(f"{WHO}: {p.size} preferences, {own.size} and {theirs.size} lengths; give as many of each")
    known = ~np.isnan(p)
    if known.sum() < 2 * FOLDS:
        raise InputError(f"{WHO}: {int(known.sum())} rows have a preference; at least {2 * FOLDS} are needed")
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise InputError(f"{WHO}: a preference lies outside [0, 1]; subtract 1 from AlpacaEval's 1..2")
    if gamed is not None and (gamed.difficulty is None) != (gamma is None):
        raise InputError(
            f"{WHO}: the difficulty is there for only one of the rows and the gamed rows; give both or none"
        )
    _in_range("length", own, 0.0)
    _in_range("baseline_length", theirs, 0.0)
    if gamma is not None:
        _in_range("difficulty", gamma)
    delta = theirs - own
    spread = float(delta.std(ddof=1))  # of all rows, as published
    features = [np.tanh(delta / spread) if spread > 0 else np.zeros_like(delta)]
    features += [] if gamma is None else [gamma]
    return p, np.stack([*features, np.ones_like(delta)], axis=1), known


def _intervals(
    value: float, rows: _Rows, penalty: float, beta: Floats, seed: int, resamples: int, level: float
) -> tuple[Estimate, Estimate]:
    """The controlled and the plain win rate, from the same resamples of prompts where both have any use for them."""
    k, known = int(rows.codes.max()) + 1, rows.p[rows.known]
    controlled = None
    if k == 1:
        controlled = Estimate(value, n=1, method="one cluster: no interval")
    elif not beta.any():  # and so in nearly every resample: a width of nothing would claim certainty
        controlled = Estimate(value, n=k, method="no interval: the penalty took every term away")
    elif np.ptp(known) == 0:
        # all wins (or losses, or the same preference): the refits differ by the lengths alone
        judged = int(np.unique(rows.codes[rows.known]).size)
        found = wilson(judged * value, judged, level=level)
        method = f"{found.method}: every judgement is {known[0]:g}"
        controlled = Estimate(value, found.low, found.high, judged, method)
    if controlled is not None:
        return controlled, share(rows.p, rows.codes, seed=seed, resamples=resamples, level=level)
    drawn = np.concatenate([_resample(counts, rows, penalty, beta) for counts in _counts(rows.codes, resamples, seed)])
    (low, floor), (high, ceiling) = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    method = f"bootstrap over {k} clusters, {resamples} resamples, {level:.0%}"
    controlled = Estimate(value, float(low), float(high), k, f"refitted, {method}")
    if not (rows.known.all() and floor < ceiling):  # prompts without a preference leave the plain rate's resamples
        return controlled, share(rows.p, rows.codes, seed=seed, resamples=resamples, level=level)
    return controlled, Estimate(float(known.mean()), float(floor), float(ceiling), k, method)


def _resample(counts: Float[np.ndarray, "r n"], rows: _Rows, penalty: float, beta: Floats) -> Float[np.ndarray, "r 2"]:
    """Win rates at equal lengths, refitted at the chosen penalty, and plain ones."""
    fitted = refit_l1_logistic(rows.resampled(counts), penalty, beta, len(counts))
    predicted = 0.5 + 0.5 * np.tanh(0.5 * fitted @ rows.equal.T)  # the sigmoid
    total = counts.sum(axis=1)
    return np.stack([np.einsum("rn,rn->r", counts, predicted) / total, (counts @ rows.p) / total], axis=1)


def _counts(codes: Int[np.ndarray, " n"], resamples: int, seed: int) -> Iterator[Float[np.ndarray, "r n"]]:
    """How often each row is in a resample of prompts, in chunks that memory holds."""
    k, rng = int(codes.max()) + 1, np.random.default_rng(seed)
    chunk = max(1, DRAWN // codes.size)
    for size in (min(chunk, resamples - start) for start in range(0, resamples, chunk)):
        picked = rng.integers(0, k, (size, k)) + k * np.arange(size)[:, None]
        counts = np.bincount(picked.ravel(), minlength=size * k).reshape(size, k).astype(np.float64)
        yield counts if k == codes.size else counts[:, codes]
