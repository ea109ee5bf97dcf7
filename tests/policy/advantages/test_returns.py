"""Returns and generalised advantages beside a slow loop; rewards in their places; whitening."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy import AdvantageInputs
from plaudit.policy.advantages import generalised_advantages, placed_rewards, token_returns, whitened

NUMBERS = st.floats(-3, 3)


def slow_gae(rewards, values, lengths, gamma, lam, last):
    found, start = [], 0
    for i, length in enumerate(lengths):
        r, v = rewards[start : start + length], [*values[start : start + length], last[i]]
        later, rows = 0.0, []
        for s in reversed(range(length)):
            later = r[s] + gamma * v[s + 1] - v[s] + gamma * lam * later
            rows.append(later)
        found += rows[::-1]
        start += length
    return np.array(found)


@st.composite
def ragged(draw):
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    t = sum(lengths)
    numbers = [draw(st.lists(NUMBERS, min_size=t, max_size=t)) for _ in range(2)]
    last = draw(st.lists(NUMBERS, min_size=len(lengths), max_size=len(lengths)))
    return np.array(lengths), *(np.array(x, dtype=float) for x in numbers), np.array(last)


@given(ragged(), st.floats(0, 1), st.floats(0, 1))
def test_gae_beside_a_slow_loop(batch, gamma, lam):
    lengths, rewards, values, last = batch
    found, returns = generalised_advantages(rewards, values, lengths, gamma=gamma, lam=lam, last=last)
    assert np.allclose(found, slow_gae(rewards, values, lengths, gamma, lam, last), atol=1e-9)
    assert np.allclose(returns, found + values)


@given(ragged(), st.floats(0, 1))
def test_the_ends_of_lambda(batch, gamma):
    lengths, rewards, values, last = batch
    whole, _ = generalised_advantages(rewards, values, lengths, gamma=gamma, lam=1.0, last=last)
    # lambda 1: the return, with what the value function says of the end, less the value
    assert np.allclose(whole, token_returns(rewards, lengths, gamma=gamma, last=last) - values, atol=1e-9)
    one, _ = generalised_advantages(rewards, values, lengths, gamma=gamma, lam=0.0, last=last)
    following = [[*v[1:], e] for v, e in zip(np.split(values, np.cumsum(lengths)[:-1]), last, strict=True) if len(v)]
    assert np.allclose(one, rewards + gamma * np.concatenate([*following, np.zeros(0)]) - values, atol=1e-9)


def test_by_hand():
    # completions of 2 and 1 tokens; gamma 1/2: 1 + 1/2 * 4 = 3
    assert token_returns(np.array([1.0, 4.0, 2.0]), np.array([2, 1]), gamma=0.5).tolist() == [3, 4, 2]
    # d = (0 + 1/2 * 2 - 1, 1 + 0 - 2) = (0, -1); A_0 = 0 + 1/2 * 1/2 * -1
    found, returns = generalised_advantages(np.array([0, 1.0]), np.array([1, 2.0]), np.array([2]), gamma=0.5, lam=0.5)
    assert found.tolist() == [-0.25, -1]
    assert returns.tolist() == [0.75, 1]


@given(ragged())
def test_completions_do_not_touch_each_other(batch):
    lengths, rewards, values, last = batch
    whole, _ = generalised_advantages(rewards, values, lengths, gamma=0.9, lam=0.8, last=last)
    ends = np.cumsum(lengths)
    for i, (start, end) in enumerate(zip(ends - lengths, ends, strict=True)):
        alone, _ = generalised_advantages(
            rewards[start:end], values[start:end], lengths[i : i + 1], gamma=0.9, lam=0.8, last=last[i : i + 1]
        )
        assert np.allclose(alone, whole[start:end], atol=1e-12)


def inputs(**more):
    return AdvantageInputs(np.array([1.0, np.nan, 5.0]), [0, 0, 1], np.array([2, 2, 1]), **more)


def test_rewards_find_their_places():
    # the outcome at the last token; nothing for a completion without a reward
    assert placed_rewards(inputs()).tolist() == [0, 1, 0, 0, 5]
    logp, ref = np.array([-1.0, -2, -1, -1, -1]), np.array([-2.0, -1, 0, 0, -4])
    full = inputs(token_rewards=np.full(5, 0.25), logp=logp, ref_logp=ref)
    # k1 = 1, -1, ., ., 3 at a tenth each
    assert placed_rewards(full, kl_coef=0.1).tolist() == pytest.approx([0.15, 1.35, 0, 0, 4.95])
    assert placed_rewards(full, outcome=False).tolist() == pytest.approx([0.25, 0.25, 0, 0, 0.25])
    with pytest.raises(InputError, match="gae: needs `logp`"):
        placed_rewards(inputs(), kl_coef=0.1, who="gae")
    with pytest.raises(InputError, match="kl_coef is -1"):
        placed_rewards(full, kl_coef=-1.0)


def test_a_completion_without_tokens_has_no_place_for_its_reward():
    empty = AdvantageInputs(np.array([1.0, 2.0]), [0, 0], np.array([0, 2]))
    assert placed_rewards(empty).tolist() == [0, 2]


@given(st.lists(st.tuples(NUMBERS, st.booleans()), min_size=1, max_size=12), st.floats(0.5, 3), NUMBERS)
def test_whitened_has_mean_0_and_deviation_1(rows, scale, shift):
    value, kept = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = whitened(value, kept)
    assert not found[~kept].any()
    known = value[kept]
    if known.size < 2 or not np.ptp(known):
        assert not found.any()
        return
    assert found[kept].mean() == pytest.approx(0, abs=1e-6)
    if known.std() > 0.01:
        assert found[kept].std(ddof=1) == pytest.approx(1, abs=1e-3)
        # neither a shift nor a scale matters, nor what is left out
        moved = np.where(kept, scale * value + shift, 1e6)
        assert np.allclose(whitened(moved, kept), found, atol=1e-3)


def test_whitened_by_hand():
    # mean 2, variance (1 + 1) / 1 over n - 1 = 2
    assert whitened(np.array([1.0, 3.0, 9.0]), np.array([True, True, False]), epsilon=0.0).tolist() == pytest.approx(
        [-1 / math.sqrt(2), 1 / math.sqrt(2), 0]
    )


def test_errors_say_what_is_wrong():
    with pytest.raises(ShapeError, match=r"token_returns: \(2,\) tokens for lengths that sum to 3"):
        token_returns(np.zeros(2), np.array([2, 1]))
    with pytest.raises(InputError, match=r"token_returns: gamma is 1\.5"):
        token_returns(np.zeros(2), np.array([2]), gamma=1.5)
    with pytest.raises(InputError, match="lam is -1"):
        generalised_advantages(np.zeros(2), np.zeros(2), np.array([2]), lam=-1.0)
    with pytest.raises(ShapeError, match=r"rewards \(2,\) and values \(1,\)"):
        generalised_advantages(np.zeros(2), np.zeros(1), np.array([2]))
    with pytest.raises(ShapeError, match=r"whitened: values \(2,\) and marks \(1,\)"):
        whitened(np.zeros(2), np.ones(1, bool))
