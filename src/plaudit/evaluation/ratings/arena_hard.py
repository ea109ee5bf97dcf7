"""Arena-Hard's scores from its judgements: win rates over one baseline, each answer judged in both orders.

A judgement is one of `A>>B`, `A>B`, `A=B`, `B>A`, `B>>A`; a strong one counts three times. In the first game of a pair
the baseline is A, in the second the model is. Version 0.1 fits Bradley-Terry to all battles and reports the predicted
win rate over the baseline; where every battle is against the baseline that fit is saturated, and its prediction *is*
the weighted win rate with ties half (a test fits both). Version 2 reports that mean directly, or under style control
the win rate that a Bradley-Terry fit with length and markdown features predicts.

Differs from the published code: the value is that of all questions, not the mean of bootstrap draws; questions are
resampled, not battles of them (two games and three-fold weights are one judgement of one question); a judgement that is
missing leaves its question out, as version 2 does. With `--control-features length` alone the published code keeps the
first model's column instead of the length (`all_features[:, :1]`); here the features are what they are called.

Source: Li et al. 2024, "From Crowdsourced Data to High-Quality Benchmarks"; arena-hard-auto, show_result.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.evaluation.strata import flat
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson

STRONG = 3
"""How often a strong judgement counts."""
VERDICTS: Mapping[str, tuple[float, int]] = {
    "A>>B": (1.0, STRONG), "A>B": (1.0, 1), "A=B": (0.5, 1), "A<B": (0.0, 1), "A<<B": (0.0, STRONG),
    "B>>A": (0.0, STRONG), "B>A": (0.0, 1), "B=A": (0.5, 1), "B<A": (1.0, 1), "B<<A": (1.0, STRONG),
}  # fmt: skip
"""What A gets and how often that counts."""


def arena_hard_score(
    baseline_first: Sequence[str | None],
    model_first: Sequence[str | None],
    questions: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.90,
) -> Estimate:
    """Share of a model's weighted battles with the baseline that it wins, ties half, in [0, 1].

    Args:
        baseline_first: verdict of the game in which the baseline is A, (n,); None where there is none.
        model_first: verdict of the game in which the model is A, (n,).
        questions: labels, (n,); None where every row is a question of its own.
        seed: of the bootstrap over questions.
        resamples: of the bootstrap.
        level: coverage; the published table has 90%.

    Returns:
        The share; where all questions agree, and resamples with them, Wilson's interval over the questions stands in.

    Raises:
        ShapeError: if there are not as many games of both orders.
        InputError: if a verdict is not known.
    """
    won, count = arena_hard_battles(baseline_first, model_first)
    found = bootstrap_totals(
        lambda t: np.asarray(t[:, 0] / t[:, 1]), [won, count], questions, seed=seed, resamples=resamples, level=level
    )
    return wilson(found.n * found.value, found.n, level=level) if flat(found) else found


def arena_hard_battles(
    baseline_first: Sequence[str | None], model_first: Sequence[str | None]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """What the model won on each question and of how many battles, both games together; NaN where one is missing.

    Args:
        baseline_first: verdicts with the baseline as A, (n,).
        model_first: verdicts with the model as A, (n,).

    Raises:
        ShapeError: if there are not as many games of both orders.
        InputError: if a verdict is not known.
    """
    if len(baseline_first) != len(model_first):
        raise ShapeError(f"arena_hard: {len(baseline_first)} games with the baseline first, {len(model_first)} without")
    won, count = np.full(len(model_first), np.nan), np.full(len(model_first), np.nan)
    for i, (one, two) in enumerate(zip(baseline_first, model_first, strict=True)):
        if one is None or two is None:
            continue
        (for_baseline, times), (for_model, again) = _verdict(one), _verdict(two)
        won[i], count[i] = (1 - for_baseline) * times + for_model * again, times + again
    return won, count


def style_features(
    tokens: ArrayLike, baseline_tokens: ArrayLike, markdown: ArrayLike, baseline_markdown: ArrayLike
) -> Float[np.ndarray, "n f"]:
    """Standardised differences of length and of markdown density, model minus baseline.

    Length: `(t_m - t_b) / (t_m + t_b)`. Each count of markdown: densities a token, `(d_m - d_b) / (d_m + d_b + 1)`.
    Each column is centred and divided by its standard deviation (n - 1); a constant one is 0.

    Args:
        tokens: of the model's answers, (n,), above 0.
        baseline_tokens: of the baseline's, (n,), above 0.
        markdown: counts in the model's answers, (n, f - 1), such as headers, lists, bold.
        baseline_markdown: counts in the baseline's.

    Raises:
        InputError: if an answer has no token.
    """
    t, b = np.asarray(tokens, dtype=np.float64), np.asarray(baseline_tokens, dtype=np.float64)
    if (t <= 0).any() or (b <= 0).any():
        raise InputError("style_features: an answer has no token; leave the question out")
    own = np.asarray(markdown, dtype=np.float64).reshape(t.size, -1) / t[:, None]
    base = np.asarray(baseline_markdown, dtype=np.float64).reshape(t.size, -1) / b[:, None]
    raw = np.concatenate([((t - b) / (t + b))[:, None], (own - base) / (own + base + 1)], axis=1)
    spread = raw.std(axis=0, ddof=1)
    return np.asarray(np.where(spread > 0, (raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0), 0.0))


def style_controlled_winrates(
    models: Sequence[str], won: ArrayLike, count: ArrayLike, features: Float[np.ndarray, "n f"]
) -> tuple[dict[str, float], Float[np.ndarray, " f"]]:
    """Win rates over the baseline at equal style: `logit P = x_model + features @ s`, maximum likelihood.

    Args:
        models: of each row, (n,).
        won: battles that the model won, ties half, (n,); NaN rows are left out.
        count: battles, (n,).
        features: standardised style differences, see `style_features`.

    Returns:
        Model to `sigmoid(x_model)`, the baseline being 1/2; and the coefficients of style.

    Raises:
        InputError: if a model wins or loses everything, or the fit does not converge.
    """
    names = list(dict.fromkeys(models))
    w, c = np.asarray(won, dtype=np.float64), np.asarray(count, dtype=np.float64)
    keep = ~np.isnan(w + c)
    w, c = w[keep], c[keep]
    one_hot = np.asarray([[m == n for n in names] for m, k in zip(models, keep, strict=True) if k], dtype=np.float64)
    total = one_hot.T @ w
    for name, x, y in zip(names, total, one_hot.T @ c, strict=True):
        if x in (0.0, y):
            raise InputError(
                f"style_controlled_winrates: {name} wins or loses every battle: no finite fit; leave it out"
            )
    design = np.concatenate([one_hot, features[keep]], axis=1)
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        q = expit(design @ beta)
        curve = design.T @ (design * (c * q * (1 - q))[:, None])
        # the least-squares solution leaves a constant feature's coefficient at 0
        step = np.linalg.lstsq(curve, design.T @ (w - c * q), rcond=None)[0]
        change = float(np.abs(design @ step).max())
        beta += step * (np.log1p(change) / change if change > 1e-3 else 1.0)
        if change < 1e-9:
            rates = {name: float(expit(b)) for name, b in zip(names, beta, strict=False)}
            return rates, np.asarray(beta[len(names) :])
    raise InputError("style_controlled_winrates: not converged in 100 steps; does style predict every battle?")


def _verdict(word: str) -> tuple[float, int]:
    if word not in VERDICTS:
        raise InputError(f"arena_hard: verdict {word!r} is not known; {nearest(word, VERDICTS)}")
    return VERDICTS[word]
