"""What a filter leaves out it leaves out of everything: no statistic of the one inside has seen it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_estimators import ALL, full

from plaudit.policy import AdvantageInputs, Compared
from plaudit.policy.advantages import (
    GroupRelative,
    LeaveOneOut,
    ReinforcePlusPlus,
    SpreadFiltered,
    StreamCredit,
    TaskScaled,
    ValueBased,
    WithinAccuracy,
)
from plaudit.policy.online.methods import online
from plaudit.shaping import SpreadFilter

NAN = float("nan")
# half right, all right, all wrong
RIGHT = np.array([1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0.0])
GROUPS = np.repeat([0, 1, 2], 4)


def batch(reward=RIGHT, **more):
    given = {"groups": GROUPS, "lengths": np.ones(12, dtype=int), "correct": RIGHT, **more}
    return AdvantageInputs(reward, **given)


def test_prime_whitens_what_it_keeps():
    rewards = np.r_[[0.5, -0.25, 0.25, 0.5], np.full(8, 3.0)]
    given = batch(token_rewards=rewards)
    # outcomes by leave one out are +-2/3 [198]: +-1 in units of their deviation over the kept tokens
    found = WithinAccuracy(of=StreamCredit(process=0.0))(given)
    assert found.token == pytest.approx(np.r_[[1, -1, -1, 1], np.zeros(8)], abs=1e-6)
    # process rewards are divided by the largest return among the kept, 0.5: 1, -0.5, 0.5, 1, in all 2, and by leave one
    # out 4/3 r - 2/3: 2/3, -4/3, 0, 2/3, whose deviation over four is sqrt((4 + 16 + 0 + 4) / 36) = sqrt(2/3)
    found = WithinAccuracy(of=StreamCredit(outcome=0.0))(given)
    assert found.token == pytest.approx(np.r_[[2 / 3, -4 / 3, 0, 2 / 3] / np.sqrt(2 / 3), np.zeros(8)], abs=1e-6)
    assert found.metrics["largest_process_return"] == 0.5
    named = online("prime")[1].estimator(given)
    assert named.token[:4].mean() == pytest.approx(0, abs=1e-9)
    assert named.token[:4].std() == pytest.approx(1, abs=1e-6)
    assert named.included.tolist() == [True] * 4 + [False] * 8


def test_statistics_of_the_batch_by_hand():
    scale = math.sqrt(1 / 3)  # deviation of 1, 0, 0, 1 over n - 1
    expected = np.r_[[0.5, -0.5, -0.5, 0.5], np.zeros(8)]
    assert WithinAccuracy(of=ReinforcePlusPlus())(batch()).token == pytest.approx(expected / scale, abs=1e-6)
    found = WithinAccuracy(of=GroupRelative(scale="batch", epsilon=0.0))(batch())
    assert found.sequence == pytest.approx(expected / scale)
    # +-2/3 by leave one out; deviation over n - 1 sqrt(16 / 27)
    found = WithinAccuracy(of=LeaveOneOut(normalise=True, epsilon=0.0))(batch())
    assert found.sequence == pytest.approx(expected * (4 / 3) / math.sqrt(16 / 27))


def test_returns_of_what_is_left_out_are_its_values():
    values = np.linspace(0, 1, 12)
    found = WithinAccuracy(of=ValueBased(whiten=False))(batch(values=values))
    assert found.returns == pytest.approx(np.r_[RIGHT[:4], values[4:]])
    assert found.token == pytest.approx(np.r_[RIGHT[:4] - values[:4], np.zeros(8)])


def test_a_spread_filter_tells_the_one_inside_nothing_of_what_it_left_out():
    reward = np.array([1, 0, 0.6, 0.6, 0.5, 0.5])
    given = AdvantageInputs(reward, [0, 0, 1, 1, 2, 2], [1] * 6, tasks=("a", "a", "b", "b", "b", "b"))
    estimator = SpreadFiltered(of=TaskScaled(), filter=SpreadFilter(step=10, mean=0.5))
    assert set(estimator(given).metrics) & {"deviation/a", "deviation/b"} == {"deviation/a"}
    later = estimator.updated(given)
    assert set(later.of.state()["moments"]) == {"a"}
    assert later.filter.mean == pytest.approx(0.99 * 0.5 + 0.01 * 0.5 / 3)  # all three spreads: 1/2, 0 and 0


def test_numbers_to_watch():
    # all wrong, with rewards that differ: nothing is learnt from either group
    reward = np.array([0.1, 0.2, 0.3, 0.1] * 2)
    given = AdvantageInputs(reward, np.repeat([0, 1], 4), [2] * 8, correct=np.zeros(8))
    found = online("dapo")[1].estimator(given)
    assert found.metrics == pytest.approx({"reward": 0.175, "included": 0, "silent_groups": 1, "dropped": 1})
    # one in three teaches; the completion without a reward was not dropped by the filter
    reward = np.where(np.arange(12) == 11, NAN, RIGHT)
    found = WithinAccuracy(low=0.0, high=1.0, open=True)(batch(reward))
    told = {"reward": 6 / 11, "included": 4 / 12, "silent_groups": 2 / 3, "dropped": 7 / 11}
    assert found.metrics == pytest.approx(told)
    # within wide bounds silent groups take part
    found = WithinAccuracy(low=0.0, high=1.0)(batch(reward))
    told = {"reward": 6 / 11, "included": 11 / 12, "silent_groups": 2 / 3, "dropped": 0}
    assert found.metrics == pytest.approx(told)


def only(inputs, keep):
    """Those completions by themselves."""
    whole, at = keep[inputs.owner], np.cumsum(keep) - 1
    both = keep[inputs.compared.pairs].all(axis=1)
    tokens = {name: getattr(inputs, name)[whole] for name in ("tokens", "token_rewards", "values", "logp", "ref_logp")}
    told = inputs.compared
    return AdvantageInputs(
        inputs.reward[keep], inputs.grouped.code[keep], inputs.lengths[keep], correct=inputs.correct[keep],
        tasks=tuple(np.array(inputs.tasks)[keep]), **tokens, columns={k: v[keep] for k, v in inputs.columns.items()},
        compared=Compared(at[told.pairs[both]], told.probability[both], told.strength[both]),
    )  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_one_inside_sees_what_stays(make_inputs, name):
    """With groups between the others, and in disorder, left out: as if they had never been sampled."""
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(5), (3, 4, 4, 3, 5)))
    inputs = full(replace(make_inputs((19,), missing=0.1), groups=groups))
    wrong, correct = np.isin(groups, (1, 3)), np.zeros(19)
    for group in (0, 2, 4):  # every other one with a reward is right
        at = np.flatnonzero((groups == group) & inputs.included)
        correct[at] = np.arange(at.size) % 2
    inputs = replace(inputs, correct=np.where(inputs.included, correct, NAN))
    keep = ~wrong
    assert np.isfinite(inputs.reward[wrong]).any()
    inner = ALL[name](only(inputs, keep))
    found = WithinAccuracy(of=ALL[name], low=0.1, high=0.9)(inputs)
    whole = keep[inputs.owner]
    flat = found.flat(inputs.lengths)
    assert np.array_equal(flat[whole], inner.flat(inputs.lengths[keep]))
    assert not flat[~whole].any()
    assert np.array_equal(found.included[keep], inner.included)
    assert not found.included[wrong].any()
    if inner.weight is not None:
        assert np.array_equal(found.weight[keep], inner.weight)
    assert found.metrics["reward"] == pytest.approx(np.nanmean(inputs.reward))


@pytest.mark.parametrize("name", ALL)
def test_nothing_may_stay(make_inputs, name):
    inputs = full(make_inputs())
    inputs = replace(inputs, correct=np.where(np.isnan(inputs.reward), NAN, 1.0))
    estimator = WithinAccuracy(of=ALL[name])
    found = estimator(inputs)
    assert not found.flat(inputs.lengths).any()
    assert not found.included.any()
    assert found.metrics["dropped"] == found.metrics["silent_groups"] == 1
    later = estimator.updated(inputs)
    assert not later(inputs).included.any()
