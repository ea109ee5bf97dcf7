"""Bradley-Terry, Elo and win rates: hand values, parity with evalica, and what has no rating."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import evalica
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.evaluation.ratings import (
    METHODS,
    battles_from_rows,
    fit_bradley_terry,
    groups_of_models,
    rate,
    read_battles,
)
from plaudit.evaluation.ratings.bradley_terry import strengths
from plaudit.evaluation.ratings.resampled import (
    anchored,
    average_win_rates,
    elo_resampled,
    resampled_strengths,
    win_tables,
)

LLMFAO = Path(__file__).resolve().parents[3] / "../shared/data/llmfao.csv.gz"
WORDS = {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}


def rows(*battles):
    return [dict(zip(("model_a", "model_b", "winner", "prompt"), b, strict=False)) for b in battles]


@pytest.fixture(scope="module")
def llmfao():
    if not LLMFAO.is_file():
        pytest.skip("../shared/data/llmfao.csv.gz is not here")
    with gzip.open(LLMFAO, "rt") as file:
        raw = list(csv.DictReader(file))
    sides = [r["left"] for r in raw], [r["right"] for r in raw]
    return read_battles(LLMFAO), (*sides, [WORDS[r["winner"]] for r in raw])


def test_two_systems_by_hand():
    # a beats b in 3 of 4: sigmoid(x_a - x_b) = 3/4, so x_a - x_b = log 3 and the mean is 0
    fit = fit_bradley_terry(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert fit.strength == pytest.approx([math.log(3) / 2, -math.log(3) / 2], abs=1e-12)
    # in points: 400 log10(3) apart around 1000
    table = rate(battles_from_rows(rows(*[("a", "b", "model_a")] * 3, ("a", "b", "model_b")))).table
    assert table["a"].value - table["b"].value == pytest.approx(400 * math.log10(3), abs=1e-9)
    assert table["a"].value + table["b"].value == pytest.approx(2000, abs=1e-9)


def test_prior_by_hand():
    # one win and a prior of 1 against the made-up v: by symmetry x_a = -x_b = t and x_v = 0, and a's wins are
    # 1 + 1 = sigmoid(2t) + 2 sigmoid(t); with s = e^t: the root of the equation, found here by bisection
    low, high = 0.0, 10.0
    for _ in range(200):
        t = (low + high) / 2
        low, high = (t, high) if 1 / (1 + math.exp(-2 * t)) + 2 / (1 + math.exp(-t)) < 2 else (low, t)
    fit = fit_bradley_terry(np.array([[0.0, 1.0], [0.0, 0.0]]), prior=1.0)
    assert fit.strength == pytest.approx([low, -low], abs=1e-9)


def test_llmfao_bradley_terry_equals_evalica(llmfao):
    battles, (xs, ys, winners) = llmfao
    assert (len(battles), len(battles.models), battles.n_prompts) == (8931, 59, 13)
    theirs = evalica.bradley_terry(xs, ys, winners, tolerance=1e-13, limit=100_000)
    log = np.log(theirs.scores.reindex(list(battles.models)).to_numpy())
    assert fit_bradley_terry(battles.wins()).strength == pytest.approx(log - log.mean(), abs=1e-6)


def test_llmfao_maximises_the_likelihood(llmfao):
    # Zermelo's fixed point, written out: x_i = log(w_i / sum_j n_ij / (e^x_i + e^x_j))
    wins = llmfao[0].wins()
    games, strength = wins + wins.T, np.ones(len(wins))
    for _ in range(20_000):
        strength = wins.sum(1) / (games / (strength[:, None] + strength[None, :])).sum(1)
        strength /= np.exp(np.log(strength).mean())
    assert fit_bradley_terry(wins).strength == pytest.approx(np.log(strength), abs=1e-6)


def test_llmfao_elo_and_win_rates_equal_evalica(llmfao):
    battles, (xs, ys, winners) = llmfao
    everything = np.ones((1, battles.n_prompts), dtype=np.int64)
    elo = evalica.elo(xs, ys, winners).scores.reindex(list(battles.models)).to_numpy()
    assert elo_resampled(battles, everything)[0] == pytest.approx(elo, abs=1e-6)
    table = rate(battles, "elo", resamples=5).table
    assert [table[m].value for m in battles.models] == pytest.approx(elo.tolist(), abs=1e-6)
    rates = evalica.average_win_rate(xs, ys, winners).scores.reindex(list(battles.models)).to_numpy()
    assert average_win_rates(win_tables(battles, everything))[0] == pytest.approx(rates, abs=1e-6)
    table = rate(battles, "win-rate", resamples=5).table
    assert [table[m].value for m in battles.models] == pytest.approx(rates.tolist(), abs=1e-6)


def test_intervals_resample_prompts_whole(llmfao):
    battles, _ = llmfao
    counts = np.random.default_rng(3).multinomial(13, np.full(13, 1 / 13), size=4)
    tables = win_tables(battles, counts)
    drawn = resampled_strengths(tables, fit_bradley_terry(battles.wins()), 0.0)
    for r in range(4):
        # the plain way: repeat the rows of every drawn prompt, count their wins, fit from scratch
        times = counts[r][battles.prompt]
        wins = np.zeros((59, 59))
        for a, b, s, t in zip(battles.first, battles.second, battles.outcome, times, strict=True):
            wins[a, b] += s * t
            wins[b, a] += (1 - s) * t
        assert tables[r] == pytest.approx(wins)
        assert drawn[r] == pytest.approx(fit_bradley_terry(wins).strength, abs=1e-8)


def test_chunks_of_draws_do_not_change_the_ratings(monkeypatch):
    rng = np.random.default_rng(0)
    battles = battles_from_rows(
        rows(*[(f"m{a}", f"m{(a + s) % 4}", w, str(p)) for a, s, w, p in zip(
            rng.integers(0, 4, 200), rng.integers(1, 4, 200), rng.choice(["model_a", "model_b", "tie"], 200),
            rng.integers(0, 30, 200), strict=True)])
    )  # fmt: skip
    whole = [rate(battles, m, resamples=50).table for m in METHODS]
    monkeypatch.setattr("plaudit.evaluation.ratings.resampled.DRAWN", 7 * 30)
    assert [rate(battles, m, resamples=50).table for m in METHODS] == whole


def test_elo_plays_a_battle_twice_that_is_drawn_twice():
    battles = battles_from_rows(rows(("a", "b", "model_a", "p"), ("b", "c", "tie", "q")))
    # drawn: p twice, q never. 1: expected 1/2, so a gains 2. 2: expected 1 / (1 + 10^(-4/400)) = 0.505756
    twice = elo_resampled(battles, np.array([[2, 0]]))[0]
    assert twice == pytest.approx([1002 + 4 * (1 - 1 / (1 + 10**-0.01)), 998 - 4 * (1 - 1 / (1 + 10**-0.01)), 1000])


def test_a_win_rate_of_one_is_no_certainty():
    # 3 wins of 3 of three battles; Wilson's low end is 3 / (3 + 1.96^2)
    found = rate(battles_from_rows(rows(*[("a", "b", "model_a")] * 3)), "win-rate").table
    assert found["a"].low == pytest.approx(3 / (3 + 1.959964**2), abs=1e-6)
    assert found["b"].high == pytest.approx(1 - 3 / (3 + 1.959964**2), abs=1e-6)


def test_a_system_that_never_wins_has_no_finite_rating():
    battles = battles_from_rows(
        rows(("a", "b", "model_a"), ("b", "a", "model_a"), ("a", "c", "model_a"), ("d", "b", "model_a"))
    )
    found = rate(battles, resamples=20)
    assert math.isnan(found.table["c"].value)
    assert "never won against" in found.table["c"].method
    assert "never lost to" in found.table["d"].method
    assert found.table["a"].value == pytest.approx(1000)  # one win each between a and b, and c says nothing of them
    assert any("2 of 4 systems have no finite rating" in note for note in found.notes)
    assert all(math.isfinite(e.value) for e in rate(battles, prior=1.0, resamples=20).table.values())


def test_unconnected_battles_are_told():
    battles = battles_from_rows(rows(("a", "b", "tie"), ("c", "d", "tie"), ("d", "e", "tie")))
    assert groups_of_models(battles.wins()).comparable == (2, 3, 4)
    found = rate(battles, resamples=20)
    assert any("2 sets without a battle between them" in note for note in found.notes)
    assert "no battles that order it" in found.table["a"].method
    assert found.table["d"].value == pytest.approx(1000)


def test_one_battle():
    found = rate(battles_from_rows(rows(("a", "b", "model_a"))))
    assert all(math.isnan(e.value) for e in found.table.values())
    assert found.table["a"].method == "no finite rating: above all others, without a loss"
    assert any("nothing has a finite rating" in note for note in found.notes)
    elo = rate(battles_from_rows(rows(("a", "b", "model_a"))), "elo").table
    assert elo["a"].value == pytest.approx(1002)  # 4 (1 - 1/2)
    assert math.isnan(elo["a"].low)


def test_an_interval_is_infinite_where_resamples_leave_no_win():
    # c loses to a on prompt p and beats it on q; of two prompts a quarter of the resamples are p twice (c never wins)
    # and a quarter q twice (c never loses); a and b tie everywhere and are always comparable
    battles = battles_from_rows(
        rows(("a", "b", "tie", "p"), ("a", "b", "tie", "q"), ("a", "c", "model_a", "p"), ("a", "c", "model_b", "q"))
    )
    table = rate(battles, resamples=200).table
    assert table["c"].value == pytest.approx(1000)
    assert (table["c"].low, table["c"].high) == (-math.inf, math.inf)
    # nothing but ties between a and b: every resample has 1000, and that is no certainty
    assert math.isnan(table["a"].low)
    assert "every resample says the same" in table["a"].method


def test_two_systems_keep_the_resamples_in_which_one_wins_everything():
    # a wins 19 of 20 prompts. A resample has X ~ Binomial(20, .95) wins: P(X = 20) = .95^20 = .358, far above 2.5%, and
    # there the odds are infinite. P(X <= 16) = .016, P(X <= 17) = .075: the 2.5% quantile is 17, so 200 log10(17 / 3)
    battles = battles_from_rows(rows(*[("a", "b", "model_a" if i else "model_b", str(i)) for i in range(20)]))
    table = rate(battles).table
    assert table["a"].value == pytest.approx(1000 + 200 * math.log10(19))
    assert (table["a"].low, table["a"].high) == (pytest.approx(1000 + 200 * math.log10(17 / 3)), math.inf)
    assert (table["b"].low, table["b"].high) == (-math.inf, pytest.approx(1000 - 200 * math.log10(17 / 3)))
    assert "upper end infinite" in table["a"].method


def test_without_a_circle_the_first_and_the_last_are_infinite():
    # a beats b beats c, and nobody else anybody: a is above all, c below all, b between them
    chain = np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert fit_bradley_terry(chain).strength[[0, 2]].tolist() == [math.inf, -math.inf]
    assert math.isnan(fit_bradley_terry(chain).strength[1])
    # a and b both beat c: neither is above all others
    assert np.isnan(fit_bradley_terry(np.array([[0.0, 0, 1], [0, 0, 1], [0, 0, 0]])).strength).all()
    # d never played: it is neither above nor below
    assert np.isnan(fit_bradley_terry(np.pad(chain, ((0, 1), (0, 1)))).strength).all()
    assert (
        "above all others"
        in rate(battles_from_rows(rows(("a", "b", "model_a"), ("b", "c", "model_a")))).table["a"].method
    )


def test_points_do_not_jump_when_a_strong_system_is_never_beaten():
    # s beats b and c 9 of 10 times each, b and c split theirs 6 to 4; without its losses s is infinite
    # Between b and c the differences of a resample are those of a fit, and their mean stays at 1000 - s's lead / 2
    wins = np.array([[0.0, 9, 9], [1, 0, 6], [1, 4, 0]])
    fit = fit_bradley_terry(wins)
    unbeaten = wins.copy()
    unbeaten[1:, 0] = 0
    tables = np.stack([wins, unbeaten])
    drawn = resampled_strengths(tables, fit, 0.0)
    assert drawn[1, 0] == math.inf
    assert drawn[1, 1:].mean() == pytest.approx(0, abs=1e-9)  # where the points of b and c would jump to
    held = anchored(drawn, fit)
    # against each other b and c have odds of 6 to 4: half a log-odds of 1.5 either side of where their mean was
    middle = fit.strength[1:].mean()
    assert held[1, 1:] == pytest.approx([middle + math.log(1.5) / 2, middle - math.log(1.5) / 2], abs=1e-9)
    assert held[0] == pytest.approx(fit.strength, abs=1e-9)
    assert held[1, 0] == math.inf


def test_what_intervals_are_relative_to_is_told():
    # s loses one of ten battles to b: .35 of the resamples lack it. b and c meet on every prompt, once each way
    cells = [("s", "b", "model_b" if i == 0 else "model_a", str(i)) for i in range(10)]
    cells += [("b", "c", w, str(i)) for i in range(10) for w in ("model_a", "model_b")]
    found = rate(battles_from_rows(rows(*cells)), resamples=200)
    assert found.table["s"].high == math.inf
    assert "intervals are of points relative to the 2 systems that are finite in every resample" in found.notes
    # both resamples and fit have b and c equal
    assert math.isnan(found.table["b"].low)


def test_a_resample_that_lacks_a_system_counts_at_both_ends():
    # c plays on one prompt of ten: (9/10)^10 = .349 of the resamples lack it, and then it may be anywhere
    cells = [("a", "b", "model_a" if i % 2 else "model_b", str(i)) for i in range(10)]
    battles = battles_from_rows(rows(*cells, ("a", "c", "model_a", "0"), ("c", "a", "model_a", "0")))
    found = rate(battles, resamples=300).table["c"]
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "say nothing of it" in found.method


def test_a_win_rate_of_one_battle_is_no_certainty():
    # c wins its one battle, on a prompt among others: Wilson of 1 of 1 is 1 / (1 + z^2), at most 1
    cells = [("a", "b", "model_a" if i % 2 else "model_b", str(i)) for i in range(10)]
    table = rate(battles_from_rows(rows(*cells, ("c", "a", "model_a", "0"))), "win-rate").table
    z = 1.959964
    assert (table["c"].value, table["c"].n) == (1.0, 1)
    assert (table["c"].low, table["c"].high) == pytest.approx((1 / (1 + z**2), 1.0), abs=1e-6)


def test_a_win_rate_over_opponents_is_as_uncertain_as_its_parts():
    # c wins 8 of 8 against a, and 1 of 1 against b, which weigh alike: the lower end is
    # 1 - sqrt((1 - 8 / (8 + z^2))^2 + (1 - 1 / (1 + z^2))^2) / 2
    cells = [("c", "a", "model_a", str(i)) for i in range(8)] + [("c", "b", "model_a", "8"), ("a", "b", "tie", "9")]
    found = rate(battles_from_rows(rows(*cells)), "win-rate").table["c"]
    z = 1.959964
    assert found.low == pytest.approx(1 - math.hypot(z**2 / (8 + z**2), z**2 / (1 + z**2)) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"model_a": "a", "model_b": "b", "winner": "modelA"}, "did you mean 'model_a'"),
        ({"model_a": "a", "model_b": "b"}, "winner: is missing"),
        ({"model_a": "a", "winner": "tie"}, "model_b: is missing"),
        ({"left": "a", "winner": "tie"}, "right: is missing"),
        ({"model_a": None, "model_b": "b", "winner": "tie"}, "model_a: names no system"),
        ({"model_a": "a", "model_b": " ", "winner": "tie"}, "model_b = ' ': names no system"),
        ({"left": math.nan, "right": "b", "winner": "tie"}, "left = nan: names no system"),
    ],
)
def test_rows_that_cannot_be_read(row, words):
    with pytest.raises(InputError, match=words):
        battles_from_rows([row])


def test_blank_prompts_are_no_prompt():
    battles = battles_from_rows(rows(*[("a", "b", "tie", "")] * 3, ("a", "b", "tie", " "), ("a", "b", "tie", None)))
    assert (battles.n_prompts, len(set(battles.prompt.tolist()))) == (0, 5)
    assert "no column names the prompt" in rate(battles, resamples=5).notes[0]
    some = battles_from_rows(rows(("a", "b", "tie", ""), ("a", "b", "tie", "p"), ("b", "a", "tie", "p")))
    assert (some.n_prompts, some.unnamed, some.prompt.tolist()) == (2, 1, [0, 1, 1])
    assert "1 battles name no prompt: each is resampled by itself" in rate(some, resamples=5).notes
    # the second column is asked where the first is blank
    both = battles_from_rows([{"model_a": "a", "model_b": "b", "winner": "tie", "prompt": "", "question_id": 7}])
    assert both.n_prompts == 1


def test_spellings_say_the_same():
    expected = [1.0, 0.0, 0.5]
    lmsys = rows(("a", "b", "model_a"), ("a", "b", "model_b"), ("a", "b", "tie (bothbad)"))
    plain = [{"left": "a", "right": "b", "winner": w} for w in ("left", "right", "tie")]
    numbers = [{"model_x": 1, "model_y": 2, "winner": w} for w in ("left", "right", "both_bad")]
    assert [battles_from_rows(r).outcome.tolist() for r in (lmsys, plain, numbers)] == [expected] * 3


def test_a_system_against_itself_is_counted_and_left_out():
    battles = battles_from_rows(rows(("a", "a", "tie"), ("a", "b", "tie")))
    assert (len(battles), dict(battles.skipped)) == (1, {"a system against itself": 1})
    with pytest.raises(InputError, match=r"no battle between two systems is left; \d rows are a system against itself"):
        battles_from_rows(rows(("a", "a", "tie")))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "glicko"}, "method 'glicko' is not known"),
        ({"method": "elo", "prior": 1.0}, "of no use to elo"),
        ({"prior": -1.0}, "prior is -1.0"),
        ({"resamples": 0}, "resamples 0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        rate(battles_from_rows(rows(("a", "b", "tie"))), **options)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0, 1, 2])), min_size=1, max_size=40))
def test_what_is_comparable_is_what_reaches_each_other(played):
    wins = np.zeros((5, 5))
    for a, b, s in played:
        if a != b:
            wins[a, b] += s / 2
            wins[b, a] += 1 - s / 2
    reach = (wins > 0) | np.eye(5, dtype=bool)
    for _ in range(5):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    mutual = reach & reach.T
    groups = groups_of_models(wins)
    first = groups.comparable[0]
    assert len(groups.comparable) == mutual.sum(1).max()
    assert set(groups.comparable) == set(np.flatnonzero(mutual[first]))
    assert set(groups.below) == set(np.flatnonzero(reach[first] & ~reach[:, first]))
    assert set(groups.above) == set(np.flatnonzero(~reach[first] & reach[:, first]))


@given(st.integers(0, 10_000))
def test_scores_equal_expected_scores_at_the_maximum(seed):
    rng = np.random.default_rng(seed)
    wins = rng.integers(0, 4, (6, 6)) + np.roll(np.eye(6), 1, axis=1)  # a ring makes it strongly connected
    np.fill_diagonal(wins, 0)
    x = strengths(wins[None])[0]
    expected = ((wins + wins.T) / (1 + np.exp(x[None, :] - x[:, None]))).sum(1)
    assert expected == pytest.approx(wins.sum(1), abs=1e-7)
