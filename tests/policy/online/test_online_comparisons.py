"""Comparisons within groups: who meets whom, what undecided pairs do, and the advantages that come of a matrix."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.policy.advantages.base import AdvantageInputs
from plaudit.policy.advantages.pairwise import Strengths, WinRates
from plaudit.policy.online import Duels, OnlineConfig
from plaudit.policy.online.comparing import compared_of, drawn_pairs
from plaudit.policy.online.methods import online
from plaudit.policy.scoring import Patience
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, PreferenceBatch
from plaudit.rewards.files import batch_from_cells, read_scored, reward_cells
from plaudit.rewards.registry import load
from small_policies import MoreSevens, Sevens, losses, run

NAN = float("nan")
# P(i beats j): a beats b, b beats c, a and c tie; hence win rates of 0.75, 0.5 and 0.25
MATRIX = np.array([[NAN, 1.0, 0.5], [0.0, NAN, 1.0], [0.5, 0.0, NAN]])


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class ByMatrix:
    """Says of texts a, b, c what a matrix says; raises for pairs that are named."""

    name, fingerprint = "by-matrix", "by-matrix"

    def __init__(self, matrix=MATRIX, *, bias=0.0, outcomes=None, raises=(), strength=None):
        self.matrix, self.bias, self.outcomes, self.raises = matrix, bias, outcomes or {}, raises
        self.strength, self.seen = strength, []

    def __call__(self, first, second):
        turns = [(a.text, b.text) for a, b in zip(first, second, strict=True)]
        self.seen += turns
        if any(turn in self.raises for turn in turns):
            raise ConnectionError("the judge is away")
        at = [("abc".index(a), "abc".index(b)) for a, b in turns]
        outcome = np.array([self.outcomes.get(turn, Outcome.SCORED) for turn in turns], dtype=np.int8)
        p = np.clip([self.matrix[i, j] + self.bias for i, j in at], 0, 1)
        detail = () if self.strength is None else tuple({"strength": self.strength[i][j]} for i, j in at)
        return PreferenceBatch(np.where(outcome > 1, np.nan, p), outcome, detail=detail)


def group(texts, name="g"):
    return [Sample(conversation("which?"), text, group=name) for text in texts]


def inputs(batch, sizes):
    compared = compared_of(batch, sizes)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return AdvantageInputs(reward=batch.reward, groups=groups, lengths=np.ones(len(groups)), compared=compared)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10))
def test_who_meets_whom(size, per_sample):
    pairs = drawn_pairs(size, per_sample)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    met, first = np.zeros(size, dtype=int), np.zeros(size, dtype=int)
    for i, j in pairs:
        assert i != j
        met[[i, j]] += 1
        first[i] += 1
    most = min(per_sample or size, size - 1)
    assert set(met) == {most - most % 2 if size % 2 else most}
    assert np.abs(2 * first - met).max() <= 1  # shown first as often as second


def test_advantages_of_a_matrix_by_hand():
    """Win rates 0.75, 0.5, 0.25 have the deviation sqrt(2 * 0.0625 / 3) = 0.204124, so the first is 1.22414 above."""
    batch = Duels(ByMatrix())(group("abc"))
    assert batch.reward.tolist() == [0.75, 0.5, 0.25]
    found = WinRates()(inputs(batch, [3]))
    assert found.sequence == pytest.approx([0.25 / 0.204224, 0, -0.25 / 0.204224], abs=1e-5)  # epsilon is 1e-4


def test_strengths_of_a_matrix_by_hand():
    """With D = 2 p - 1: D_ab = 1, D_bc = 1, D_ac = 0, so that sums of rows are 1, 0 and -1.

    The scale is sqrt(sum over both orders of D^2 / (2 * 3 * 2)) = sqrt(4 / 12), and 1 / 3 / 0.57735 = 0.57735.
    """
    batch = Duels(ByMatrix())(group("abc"))
    assert Strengths()(inputs(batch, [3])).sequence == pytest.approx([0.57735, 0, -0.57735], abs=1e-5)
    # a judge's own strengths, in a circle: rows 3 - 1, 1 - 3 and 1 - 1
    strong = [[0, 3, -1], [-3, 0, 1], [1, -1, 0]]
    batch = Duels(ByMatrix(strength=strong))(group("abc"))
    scale = np.sqrt(2 * (9 + 1 + 1) / 12)
    assert Strengths()(inputs(batch, [3])).sequence == pytest.approx([2 / 3 / scale, -2 / 3 / scale, 0], abs=1e-5)


def test_what_a_log_keeps_says_the_same():
    batch = Duels(ByMatrix(strength=[[0, 2, 0], [-2, 0, 1], [0, -1, 0]]))([*group("abc", "g"), *group("ca", "h")])
    cells = json.loads(json.dumps([reward_cells(batch, i) for i in range(5)]))
    before, after = compared_of(batch, [3, 2]), compared_of(batch_from_cells(cells), [3, 2])
    for name in ("pairs", "probability", "strength"):
        assert getattr(before, name).tolist() == getattr(after, name).tolist()
    assert before.pairs.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4]]


@pytest.mark.parametrize("outcome", [Outcome.ABSTAINED, Outcome.TIMED_OUT, Outcome.INSTRUMENT_FAULT])
def test_what_is_undecided_leaves_the_denominators(outcome):
    # without a against c: a has 1 of 1, b 1 of 2, c 0 of 1
    batch = Duels(ByMatrix(outcomes={("a", "c"): outcome, ("c", "a"): outcome}))(group("abc"))
    assert batch.reward.tolist() == [1, 0.5, 0]
    assert dict(batch.detail[0])["undecided"] == {"2": outcome.name.lower()}
    assert WinRates()(inputs(batch, [3])).included.all()
    # b meets nobody who can be judged: it has no reward, and why is said
    pairs = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]
    batch = Duels(ByMatrix(outcomes=dict.fromkeys(pairs, outcome)))(group("abc"))
    assert batch.outcome.tolist() == [0, outcome, 0]
    assert WinRates()(inputs(batch, [3])).included.tolist() == [True, False, True]


def test_a_pair_that_fails_costs_itself_only():
    duels = Duels(ByMatrix(raises=[("b", "c")]), Patience(tries=1))
    batch = duels([*group("abc", "g"), *group("ab", "h")])
    # b against c is lost: b 0 of 1, c 1/2 of 1
    assert batch.reward.tolist() == [0.75, 0, 0.5, 1, 0]
    assert duels.faults == {"ConnectionError: the judge is away": 1}


def test_in_both_orders_a_place_is_worth_nothing():
    biased = ByMatrix(np.array([[0.5, 0.7, 0.5], [0.3, 0.5, 0.5], [0.5, 0.5, 0.5]]), bias=0.2)
    once, twice = Duels(biased)(group("ab")), Duels(biased, both_orders=True)(group("ab"))
    assert once.reward.tolist() == pytest.approx([0.9, 0.1])
    assert twice.reward.tolist() == pytest.approx([0.7, 0.3])


def test_identical_completions_tie_and_nobody_is_asked():
    judge = ByMatrix()
    batch = Duels(judge)(group("aab"))
    assert sorted(judge.seen) in ([("a", "b"), ("a", "b")], [("a", "b"), ("b", "a")])
    assert batch.reward.tolist() == [0.75, 0.75, 0]


def test_a_probability_beyond_one_is_the_instruments_fault():
    class Wrong(ByMatrix):
        def __call__(self, first, second):
            return PreferenceBatch(np.full(len(first), 1.5), np.zeros(len(first), dtype=np.int8))

    duels = Duels(Wrong(), Patience(tries=1))
    assert (duels(group("ab")).outcome == Outcome.INSTRUMENT_FAULT).all()
    assert "by-matrix gave probabilities from 1.5 to 1.5" in next(iter(duels.faults))


def test_a_run_learns_from_who_won(tmp_path):
    """The first loss is that of the win rates of sevens, made by a loop over all pairs."""
    judge = MoreSevens()
    found = run(tmp_path, rows=4, reward=judge, algorithm="pref-grpo", method=online("pref-grpo?weights=token")[1])
    scored = read_scored(tmp_path / "samples.jsonl")
    total, tokens, asked = 0.0, 0, 0
    for start in range(0, 12, 3):
        part = scored.samples[start : start + 3]
        count = [s.text.count("7") for s in part]
        rate = np.array([np.mean([(np.sign(c - d) + 1) / 2 for k, d in enumerate(count) if k != i])
                         for i, c in enumerate(count)])  # fmt: skip
        assert scored.batch.reward[start : start + 3] == pytest.approx(rate)
        z = (rate - rate.mean()) / (rate.std() + 1e-4) if np.ptp(rate) else np.zeros(3)
        total -= sum(a * s.meta["tokens"] for a, s in zip(z, part, strict=True))
        tokens += sum(s.meta["tokens"] for s in part)
        asked += sum(part[i].text != part[j].text for i in range(3) for j in range(i))
    assert losses(found)[0] == pytest.approx(total / tokens, abs=1e-5)
    assert len(judge.seen) == asked
    assert found.history[0]["reward"] == pytest.approx(0.5)
    assert found.history[0]["decided"] == 1


def test_sevens_win(tmp_path):
    found = run(
        tmp_path, rows=16, epochs=12, batch_size=8, completions=8, learning_rate=2e-2, reward=MoreSevens(),
        algorithm="pref-grpo", method=online("pref-grpo")[1], comparisons_per_sample=4, watched={"sevens": Sevens()},
    )  # fmt: skip
    sevens = [row["watched/sevens"] for row in found.history if "watched/sevens" in row]
    assert np.mean(sevens[-4:]) > np.mean(sevens[:4]) + 0.2


@pytest.mark.parametrize(
    ("options", "name", "words"),
    [
        ({"both_orders": True}, "grpo", "both_orders has no effect on grpo, which compares nothing; leave it out"),
        ({"comparisons_per_sample": 2}, "grpo", "comparisons_per_sample has no effect on grpo"),
        ({"completions": 1}, "pref-grpo", "pref-grpo compares siblings and completions is 1; give at least 2"),
        ({"comparisons_per_sample": 1, "completions": 3}, "pref-grpo", "completions 3: one would meet nobody"),
        ({"kl_coef": 0.1, "kl_in": "reward"}, "prime", "prime: kl_in is 'reward', where its own token rewards are"),
    ],
)
def test_options_that_a_method_does_not_read(options, name, words):
    with pytest.raises(InputError, match=words):
        OnlineConfig(algorithm=name, **options).check(online(name)[1])


def test_a_reward_is_no_comparison_and_the_other_way_round(tmp_path):
    with pytest.raises(InputError, match="pref-grpo compares completions, and sevens is a reward of one"):
        run(tmp_path, reward=Sevens(), method=online("pref-grpo")[1])
    with pytest.raises(InputError, match="more-sevens is a comparison, and grpo learns from a reward of one"):
        run(tmp_path, reward=MoreSevens(), method=online("grpo")[1])


JUDGE = """
import numpy as np
from plaudit.rewards.base import PreferenceBatch

class ByRuns:
    name, fingerprint = "more-sevens", "more-sevens"

    def __call__(self, first, second):
        ahead = np.array([a.text.count("7") - b.text.count("7") for a, b in zip(first, second, strict=True)])
        return PreferenceBatch((np.sign(ahead) + 1) / 2, np.zeros(len(first), dtype=np.int8))

judge = ByRuns()
"""


def test_a_pointwise_reward_beside_the_comparison_is_a_composed_reward(tmp_path):
    """Pref-GRPO's released mix, .4 of the win rate and .6 of a reward: the first loss by a loop over all pairs."""
    (tmp_path / "judge.py").write_text(JUDGE)
    reward = load(
        {
            "combine/weighted": {
                "terms": [
                    {"weight": 0.4, "reward": {"shape/win-rate": {"of": f"{tmp_path}/judge.py:judge"}}},
                    {"weight": 0.6, "reward": "rule/length?target=6"},
                ]
            }
        }
    )
    assert reward.scope == "group"
    found = run(tmp_path / "run", rows=4, completions=4, reward=reward, method=online("grpo?weights=token")[1])
    scored, pointwise = read_scored(tmp_path / "run" / "samples.jsonl"), load("rule/length?target=6")
    total, tokens, apart = 0.0, 0, 0.0
    for start in range(0, 16, 4):
        part = scored.samples[start : start + 4]
        count = [s.text.count("7") for s in part]
        rate = np.array([np.mean([(np.sign(c - d) + 1) / 2 for k, d in enumerate(count) if k != i])
                         for i, c in enumerate(count)])  # fmt: skip
        worth = 0.4 * rate + 0.6 * pointwise(part).reward
        assert scored.batch.reward[start : start + 4] == pytest.approx(worth)
        total -= sum(a * s.meta["tokens"] for a, s in zip(z(worth, 1), part, strict=True))
        tokens += sum(s.meta["tokens"] for s in part)
        # the estimator of the entry, given both, says the same in units of sqrt(3 / 4)
        compared = compared_of(Duels(MoreSevens())(part), [4])
        mixed = WinRates(preference=0.4, pointwise=0.6)(
            AdvantageInputs(pointwise(part).reward, np.zeros(4), np.ones(4), compared=compared)
        )
        assert mixed.sequence == pytest.approx(z(worth, 0), abs=1e-6)
        apart = max(apart, np.abs(z(worth, 1) - z(rate, 1)).max())
    assert losses(found)[0] == pytest.approx(total / tokens, abs=1e-5)
    assert apart > 0.1  # the pointwise part has a say
    assert {"aspect/win-rate(more-sevens)", "dominance/win-rate(more-sevens)"} <= set(found.history[0])


def z(values, ddof):
    return (values - values.mean()) / (values.std(ddof=ddof) + 1e-4) if np.ptp(values) else np.zeros(len(values))
