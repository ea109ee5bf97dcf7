"""Arena-Hard's aggregation: by hand, against the published fit, and with style."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.ratings import arena_hard_score, style_controlled_winrates, style_features
from plaudit.evaluation.ratings.arena_hard import VERDICTS, arena_hard_battles


def test_by_hand():
    # question 1: baseline strongly better (0 of 3), then the model better (1 of 1): 1 of 4
    # question 2: a tie each: 1 of 2. Question 3 lacks a game. Together 2 of 6
    found = arena_hard_score(["A>>B", "A=B", "A>B"], ["A>B", "B=A", None])
    assert found.value == pytest.approx(2 / 6, abs=1e-12)
    assert found.n == 2


def test_winning_everything_is_no_certainty():
    # three questions, both games won: Wilson of 3 of 3 at 90%, z = 1.644854: 3 / (3 + z^2)
    found = arena_hard_score(["B>A"] * 3, ["A>B"] * 3)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(3 / (3 + 1.644854**2), abs=1e-6)


def test_orders_and_spellings_agree():
    # the same judgement in all four ways in which it can be written
    for word, turned in [("A>>B", "B<<A"), ("A>B", "B<A"), ("A=B", "B=A"), ("A<B", "B>A"), ("A<<B", "B>>A")]:
        assert arena_hard_battles([word], [word])[0][0] == arena_hard_battles([turned], [turned])[0][0]
    for word in VERDICTS:  # the same verdict in both orders cancels to one half
        won, count = arena_hard_battles([word], [word])
        assert won[0] / count[0] == 0.5


def test_version_0_1s_fit_is_the_weighted_win_rate():
    # the published fit: a row for each battle, base 10, ties once as a win and once as a loss, no penalty
    rng = np.random.default_rng(0)
    games = {m: rng.choice(list(VERDICTS), size=(2, 120), p=q) for m, q in
             (("x", [0.1] * 10), ("y", [0.2, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1]))}  # fmt: skip
    rows, wins = [], []
    for place, (first, second) in enumerate(games.values()):
        won, count = arena_hard_battles(list(first), list(second))
        for w, c in zip(won, count, strict=True):
            row = np.zeros(3)
            row[0], row[place + 1] = -np.log(10), np.log(10)  # baseline, x, y
            rows += [row] * int(2 * c)  # everything twice, so that a tie is a whole win and a whole loss
            wins += [1] * int(2 * w) + [0] * int(2 * (c - w))
    model = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10, max_iter=10_000).fit(np.array(rows), wins)
    elo = 400 * model.coef_[0]
    for place, (first, second) in enumerate(games.values()):
        predicted = 1 / (1 + 10 ** ((elo[0] - elo[place + 1]) / 400))
        assert arena_hard_score(list(first), list(second)).value == pytest.approx(predicted, abs=1e-5)


def test_style_features_by_hand():
    # lengths 30 and 10: 20 / 40 = 0.5; 10 and 30: -0.5. Two values: mean 0, deviation 0.5 sqrt(2), so +-0.7071
    # headers 3 of 30 and 1 of 10: equal densities, constant 0, and stays 0
    found = style_features([30, 10], [10, 30], [[3], [1]], [[1], [3]])
    assert found == pytest.approx(np.array([[0.5**0.5, 0], [-(0.5**0.5), 0]]), abs=1e-12)


def test_style_control_recovers_what_was_planted():
    rng = np.random.default_rng(1)
    models = ["x"] * 400 + ["y"] * 400
    features = rng.normal(size=(800, 2))
    features = (features - features.mean(0)) / features.std(0, ddof=1)
    p = expit(np.repeat([0.5, -1.0], 400) + features @ [1.2, -0.3])
    count = np.full(800, 4.0)
    rates, style = style_controlled_winrates(models, p * count, count, features)
    assert rates == pytest.approx({"x": expit(0.5), "y": expit(-1.0)}, abs=1e-9)
    assert style == pytest.approx([1.2, -0.3], abs=1e-8)
    # without control the style passes for quality
    assert abs(p[:400].mean() - expit(0.5)) > 0.02


def test_what_is_refused():
    with pytest.raises(InputError, match="'A=>B' is not known; did you mean"):
        arena_hard_score(["A=>B"], ["A=B"])
    with pytest.raises(ShapeError, match="1 games with the baseline first, 2 without"):
        arena_hard_score(["A=B"], ["A=B", "A=B"])
    with pytest.raises(InputError, match="no token"):
        style_features([0], [1], [[0]], [[0]])
    with pytest.raises(InputError, match="x wins or loses every battle"):
        style_controlled_winrates(["x", "y", "y"], [1.0, 0.5, 0.5], [1.0, 1.0, 1.0], np.zeros((3, 1)))
