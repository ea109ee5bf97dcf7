"""Rewards of steps and tokens: the checks of their catalogue entries, by hand, and what they sum to."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.steps import (
    Stream,
    best_of_k_value,
    clipped_steps,
    contrastive_token_rewards,
    delta_steps,
    discounted_returns,
    effective_rewards,
    leave_one_out_steps,
    placed_at_ends,
    potential_shaping,
    process_leave_one_out,
    progress_rewards,
    repetition_penalty,
    return_errors,
    stream_advantages,
    verifiable_step_rewards,
)

rows = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_clip_and_delta_by_hand():
    p, mask = np.array([[0.9, 0.8, 0.95, 0.6]]), np.ones((1, 4), bool)
    delta = delta_steps(p, mask)
    assert delta[0] == pytest.approx([0.1, -0.15, 0.95, 0.0])
    assert delta.sum() == pytest.approx(0.9)
    assert clipped_steps(p, mask, eta=0.9)[0] == pytest.approx([0, -0.1, 0, -0.3])


@settings(deadline=None)
@given(rows, st.integers(1, 5))
def test_more_steps_never_pay(scores, more):
    p = np.array([scores])
    mask = np.ones_like(p, bool)
    longer = np.concatenate([p[:, :1].repeat(more, axis=1), p], axis=1)
    wide = np.ones_like(longer, bool)
    assert clipped_steps(longer, wide, eta=0.8).sum() <= clipped_steps(p, mask, eta=0.8).sum() + 1e-12
    assert delta_steps(longer, wide).sum() == pytest.approx(delta_steps(p, mask).sum() if p.size > 1 else 0)
    returns = delta_steps(p, mask)[:, ::-1].cumsum(axis=1)[:, ::-1]
    assert np.allclose(returns[0, :-1], p[0, :-1])  # from step k on: p_k


@settings(deadline=None)
@given(rows, st.floats(0.1, 1))
def test_a_potential_moves_every_return_by_the_same(potential, discount):
    phi = np.array([potential, potential[::-1]])
    phi[1, 0] = phi[0, 0]  # both start in one state
    mask = np.ones_like(phi, bool)
    mask[1, 2:] = False  # and end at different times
    shaped = potential_shaping(phi, mask, discount=discount)
    weights = discount ** np.arange(phi.shape[1])
    assert (shaped * weights).sum(axis=1) == pytest.approx([-phi[0, 0]] * 2)
    open_end = potential_shaping(phi, mask, discount=discount, keep_end=True)
    last = discount ** np.array([phi.shape[1], 2]) * np.array([phi[0, -1], phi[1, 1]])
    assert ((open_end - shaped) * weights).sum(axis=1) == pytest.approx(last)


def test_progress_under_a_prover_by_hand():
    # Q from 0.1 to 0.3: 0.2 for one attempt, 0.7^4 .. : 0.9^4 - 0.7^4 = 0.6561 - 0.2401, and next to nothing for 64
    for k, gain in ((1, 0.2), (4, 0.416), (64, 0.9**64 - 0.7**64)):
        v = best_of_k_value([0.1, 0.3], k=k)
        assert effective_rewards([0.3], v, alpha=1.0)[0] - 0.3 == pytest.approx(gain)
    v = best_of_k_value([0.1, 0.3, 0.2, 1.0])
    assert (effective_rewards([0.0] * 3, v, alpha=2.0)).sum() == pytest.approx(2 * (v[-1] - v[0]))


def test_verifiable_steps_by_hand():
    assert verifiable_step_rewards([0, 0, 0.5, 0.5, 1.0]) == pytest.approx([0.35, 0.5, 0.35, 0.5])
    assert verifiable_step_rewards([0.4] * 5).tolist() == [0.0] * 4
    assert verifiable_step_rewards([0, 0, 0, 1.0], ahead=1).tolist() == pytest.approx([0.0, 0.7, 1.0])
    # a loss ahead is one too: -0.5 two steps later
    assert verifiable_step_rewards([1, 1, 1, 0.5])[0] == pytest.approx(-0.5 * 0.49)


@settings(deadline=None)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=8, unique=True))
def test_verifiable_steps_without_flats_telescope(levels):
    a = np.array(levels) / 8
    assert verifiable_step_rewards(a).sum() == pytest.approx(a[-1] - a[0])


def test_attribution_by_hand():
    c, mask = np.array([[0.5, 0.25, 9.0]]), np.array([[True, True, False]])
    assert return_errors(c, mask, [1.0])[0] == pytest.approx(0.0625)
    assert np.isnan(return_errors(c, mask, [np.nan])[0])
    assert progress_rewards(c, mask, np.array([[True, False, True]]))[0].tolist() == [1.0, 0.25, 0.0]
    found = leave_one_out_steps([1.0, 0.0, np.nan], ["a"] * 3, np.ones((3, 1), bool))
    assert found.tolist() == [[1.0], [-1.0], [0.0]]


def test_tokens_by_hand():
    # log odds of 2 in favour: 2/3 - 1/2
    assert contrastive_token_rewards([math.log(0.4), -1.0], [math.log(0.2), -1.0]) == pytest.approx([1 / 6, 0])
    penalty = repetition_penalty([1, 2, 3, 1, 2, 3, 1, 2], n=3, penalty=-1.0)
    assert penalty.tolist() == [0, 0, 0, -1, -1, -1, -1, -1]
    once = repetition_penalty([1, 2, 3, 1, 2, 3, 1, 2], n=3, penalty=-1.0, only_start=True)
    assert once.tolist() == [0, 0, 0, -1, -1, -1, 0, 0]
    assert repetition_penalty([1, 2], n=3).tolist() == [0, 0]
    assert placed_at_ends([0.3, 0.4], [1, 3], 4, outcome=1.0).tolist() == [0, 0.3, 0, 1.0]
    assert placed_at_ends([0.3, 0.4], [1, 3], 4).tolist() == [0, 0.3, 0, 0.4]


def test_a_discount_a_stream_by_hand():
    # 1 at the last token undiscounted, -0.05 at the third at 0.99: 1 - 0.05 * 0.99^2, 1 - 0.05 * 0.99, 0.95, 1
    mask = np.ones((1, 4), bool)
    right, repeated = np.array([[0, 0, 0, 1.0]]), np.array([[0, 0, -0.05, 0]])
    streams = [Stream(right, baseline="none"), Stream(repeated, 0.99, baseline="none")]
    assert stream_advantages(streams, mask, [0])[0] == pytest.approx([0.950995, 0.9505, 0.95, 1.0])
    assert discounted_returns(right, 0.5)[0].tolist() == [0.125, 0.25, 0.5, 1.0]


def test_outcome_and_process_streams_by_hand():
    # outcomes 1, 0, 0, 1 at the last of two tokens, leave one out: +-2/3 at both
    mask = np.ones((4, 2), bool)
    outcome = np.zeros((4, 2))
    outcome[[0, 3], 1] = 1.0
    found = stream_advantages([Stream(outcome)], mask, [0] * 4)
    assert found == pytest.approx(np.array([[2 / 3] * 2, [-2 / 3] * 2, [-2 / 3] * 2, [2 / 3] * 2]))
    # process, two completions: 2 r - (mean_1 + mean_2) with means 0.5 and 0
    process = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert process_leave_one_out(process, np.ones((2, 2), bool), [0, 0]).tolist() == [[1.5, -0.5], [-0.5, -0.5]]
    shifted = stream_advantages([Stream(outcome + np.array([0, 5.0]))], mask, [0] * 4)
    assert np.allclose(shifted, found)  # a level that all share
    both = stream_advantages([Stream(outcome), Stream(outcome, weight=2.0)], mask, [0] * 4, whiten=True)
    assert both.mean() == pytest.approx(0)
    assert both.std() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("missing", [True, False])
def test_whitening_knows_nothing_of_who_is_alone(missing):
    # 1, 0, 0 by leave one out: 1, -1/2, -1/2; the first has two tokens, the others one each: 1, 1, -1/2, -1/2 has mean
    # 1/4 and deviation 3/4
    values, mask = np.zeros((5, 2)), np.array([[1, 1], [1, 0], [1, 0], [1, 1], [1, 1]], dtype=bool)
    values[0, 1], values[3:, 0] = 1.0, 7.0
    groups = [0, 0, 0, 1, 1 if missing else 2]
    values[4, 1] = np.nan if missing else 0.0  # a sibling without a reward is none
    expected = np.zeros((5, 2))
    expected[:3] = [[1, 1], [-1, 0], [-1, 0]]
    found = stream_advantages([Stream(values)], mask, groups, whiten=True)
    assert found == pytest.approx(expected, abs=1e-6)
    # a stream without a baseline compares nobody: there it has a say
    alone = stream_advantages([Stream(np.eye(2), baseline="none")], np.ones((2, 2), bool), [0, 1], whiten=True)
    # returns 1, 0 and 1, 1: mean 3/4, deviation sqrt(3)/4
    assert alone == pytest.approx(np.array([[1, -3], [1, 1]]) / np.sqrt(3), abs=1e-6)
    unweighted = [Stream(values), Stream(np.where(mask, 1.0, 0.0), weight=0.0, baseline="none")]
    assert stream_advantages(unweighted, mask, groups, whiten=True) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.sampled_from(["mean", "leave-one-out", "standardised", "process-leave-one-out"]), st.data())
def test_streams_by_group_move_with_their_rows_and_say_nothing_of_one(baseline, data):
    n = data.draw(st.integers(2, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values, groups = rng.normal(size=(n, 3)), rng.integers(0, 2, n)
    mask = np.arange(3) < rng.integers(1, 4, n)[:, None]
    found = stream_advantages([Stream(values, 0.9, baseline=baseline)], mask, groups)
    order = rng.permutation(n)
    again = stream_advantages([Stream(values[order], 0.9, baseline=baseline)], mask[order], groups[order])
    assert np.allclose(again, found[order])
    assert not found[~mask].any()
    for label in (0, 1):
        if (groups == label).sum() == 1:
            assert not found[groups == label].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clipped_steps(np.zeros((1, 2)), np.ones((1, 2), bool), eta=np.nan), "eta is nan"),
        (lambda: clipped_steps(np.zeros((1, 2)), np.ones((1, 3), bool), eta=1), r"scores \(1, 2\) and mask \(1, 3\)"),
        (lambda: delta_steps(np.zeros((1, 2)), np.array([[False, True]])), "a step after a gap; put steps first"),
        (lambda: potential_shaping(np.zeros((1, 2)), np.ones((1, 2), bool), discount=2), "discount is 2"),
        (lambda: best_of_k_value([0.5], k=0), r"k is 0 and chances \[0.5\]"),
        (lambda: effective_rewards([0.1], [0.1], alpha=1), r"\(1,\) policy values and \(1,\) prover values"),
        (lambda: effective_rewards([0.1], [0.1, 0.2], alpha=-1), "alpha is -1"),
        (lambda: verifiable_step_rewards([0.1]), r"accuracy has shape \(1,\)"),
        (lambda: verifiable_step_rewards([0.1, 0.2], gamma=2), "gamma is 2 and ahead 4"),
        (lambda: return_errors(np.zeros((1, 2)), np.ones((2, 2), bool), [0]), r"contributions \(1, 2\)"),
        (lambda: contrastive_token_rewards([0.1], [0.1, 0.2]), r"\(1,\) and \(2,\) log-probabilities"),
        (lambda: repetition_penalty([1], n=0), "n is 0 and penalty -0.05"),
        (lambda: placed_at_ends([0.1], [5], 3), r"ends \[5\] for 3 tokens"),
        (lambda: Stream(np.zeros((1, 1)), discount=2), "discount is 2"),
        (lambda: Stream(np.zeros((1, 1)), baseline="loo"), "baseline 'loo' is not known"),
        (lambda: stream_advantages([], np.ones((1, 1), bool), [0]), "there are no streams"),
        (lambda: stream_advantages([Stream(np.zeros((1, 1)))], np.ones((1, 2), bool), [0]), r"stream 0 is \(1, 1\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
