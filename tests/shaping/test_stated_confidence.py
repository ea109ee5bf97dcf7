"""Reading stated confidence, and PPO-C's arithmetic."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit import load
from plaudit.errors import InputError, ShapeError
from plaudit.records import Message, Part, Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping import (
    ConfidenceShaping,
    Unstated,
    confidence_reward,
    read_confidence,
    state_confidence,
    stated_confidence,
    without_confidence,
)
from plaudit.shaping.transforms import Shaped
from plaudit.testing import RewardContract, example_samples

FLOATS = st.floats(-10, 10)


@pytest.mark.parametrize(
    ("text", "rest", "value"),
    [
        ("It is 4. Confidence: 7/10.", "It is 4.", 0.7),
        ("It is 4.\nConfidence: 7", "It is 4.", 0.7),
        ("It is 4.\n**Confidence:** 7.5", "It is 4.", 0.75),
        ("It is 4.\nconfidence = 80%.", "It is 4.", 0.8),
        ("It is 4. CONFIDENCE: 10", "It is 4.", 1.0),
        ("It is 4. Confidence: 0", "It is 4.", 0.0),
        ("Confidence: 2. No. Confidence: 9.", " No.", 0.9),
        ("It is 4. Confidence: 70", "It is 4.", None),
        ("It is 4. Confidence: -1", "It is 4.", None),
        ("It is 4. I have confidence: none", "It is 4. I have confidence: none", None),
        ("Overconfidence: 7 of them", "Overconfidence: 7 of them", None),
        ("", "", None),
        ("It is 4. Confidence: 7/100", "It is 4.", 0.07),
        ("It is 4. Confidence: **7**/10.", "It is 4.", 0.7),
        ("It is 4. Confidence: 8 out of 10", "It is 4.", 0.8),
        ("It is 4. Confidence: _7_", "It is 4.", 0.7),
        ("It is 4. Confidence: __70%__", "It is 4.", 0.7),
        ("It is 4. Confidence: _7/10_", "It is 4.", 0.7),
        ("It is 4. Confidence: 70 percent.", "It is 4.", 0.7),
        ("My confidence: 7 apples remain", "My apples remain", 0.7),
        ("It is 4. Confidence: 0.8", "It is 4.", 0.08),
        *(
            (f"It is 4. Confidence: {odd}", f"It is 4. Confidence: {odd}", None)
            for odd in (
                "7/20",
                "**7**/20",
                "**7**,5",
                "7 out of 20",
                "3 out of 5",
                "7/10/10",
                "7 / 12",
                "7,5",
                "1e1",
                "7.5.2",
            )
        ),
    ],
)
def test_what_is_read_and_what_is_left(text, rest, value):
    found = read_confidence(text)
    assert found[0] == rest
    assert found[1] == (None if value is None else pytest.approx(value))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab .\n", max_size=20), st.integers(0, 10))
def test_what_is_stated_is_read_and_leaves_no_residue(text, value):
    rest, found = read_confidence(state_confidence(text, value))
    assert rest == text.rstrip()
    assert found == pytest.approx(value / 10)


def test_messages_state_in_their_last_assistant_turn():
    turns = (Message("assistant", "first"), Message("user", "?"), Message("assistant", "second"))
    stated = state_confidence(turns, 8)
    assert [m.text for m in stated] == ["first", "?", "second\nConfidence: 8"]
    sample = Sample("q", stated)
    assert without_confidence(sample).completion == turns
    assert stated_confidence([sample, Sample("q", "x"), Sample("q", "Confidence: 99")]).tolist() == [0.8, 0.5, 0.5]
    plain = Sample("q", "a b", steps=("a ", "b"))
    assert without_confidence(plain) is plain
    with pytest.raises(InputError, match="no assistant speaks in text"):
        state_confidence((Message("user", "?"),), 8)
    with pytest.raises(InputError, match="11 is no confidence; give a number from 0 to 10"):
        state_confidence("x", 11)


@pytest.mark.parametrize(
    ("r", "s", "expected"),
    # r + 2 (r - 1) (s - 1/2): 2 + 2 * .4, 2 - 2 * .4, 0 - 2 * .4, 0 + 2 * .4
    [(2.0, 0.9, 2.8), (2.0, 0.1, 1.2), (0.0, 0.9, -0.8), (0.0, 0.1, 0.8)],
)
def test_difference_mode_by_hand(r, s, expected):
    assert confidence_reward([r], [s], 1.0, weight=2.0)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("r", "expected"), [(2.0, 2.4), (-2.0, -2.4)])
def test_threshold_mode_by_hand(r, expected):
    # w |r| (s - 1/2) = .5 * 2 * .4 = .4, added at or above the mean of 1 and taken off below it
    assert confidence_reward([r], [0.9], 1.0, mode="threshold", weight=0.5)[0] == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(FLOATS, st.floats(0, 1), FLOATS, st.floats(0.1, 3))
def test_identities_and_slope(r, s, mean, weight):
    def shaped(r, s, mode="difference"):
        return confidence_reward([r], [s], mean, mode=mode, weight=weight)[0]

    assert shaped(r, 0.5) == r == shaped(r, 0.5, "threshold")
    assert shaped(mean, s) == mean
    # linear in s with slope w (r - m)
    assert shaped(r, 1.0) - shaped(r, 0.0) == pytest.approx(weight * (r - mean), abs=1e-9)
    assert shaped(r, s) - r == pytest.approx(-(shaped(r, 1 - s) - r), abs=1e-9)


def batch(*rewards, outcome=None):
    return RewardBatch(np.array(rewards), None if outcome is None else np.array(outcome, dtype=np.int8))


def test_the_state_shapes_first_and_learns_after():
    samples = [Sample("q", f"x\nConfidence: {n}") for n in (9, 1)]
    shaping = ConfidenceShaping(mean=1.0)
    scored = batch(2.0, 0.0)
    np.testing.assert_allclose(shaping(scored, samples).reward, [2.8, 0.8])
    # .1 * mean(2, 0) + .9 * 1
    assert shaping.updated(scored, samples).mean == pytest.approx(1.0)
    assert shaping.updated(batch(3.0, 5.0), samples).mean == pytest.approx(0.1 * 4 + 0.9)
    assert shaping.mean == 1.0
    # clamped to 10 before anything else: 10 + 2 (10 - 1) .4, and the mean learns 10
    assert shaping(batch(50.0), samples[:1]).reward[0] == pytest.approx(17.2)
    assert shaping.updated(batch(50.0), samples[:1]).mean == pytest.approx(1.9)


def test_what_does_not_count_is_left_alone():
    samples = [Sample("q", "x\nConfidence: 9")] * 3
    mixed = batch(2.0, -5.0, np.nan, outcome=[Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.TIMED_OUT])
    shaped = ConfidenceShaping(mean=1.0)(mixed, samples)
    assert shaped.reward[:2].tolist() == [pytest.approx(2.8), -5.0]
    assert np.isnan(shaped.reward[2])
    assert shaped.outcome.tolist() == mixed.outcome.tolist()
    # the fault's floor is a reward that counts: .1 * (2 - 5)/2 + .9
    assert ConfidenceShaping(mean=1.0).updated(mixed, samples).mean == pytest.approx(0.75)
    nothing = batch(np.nan, outcome=[Outcome.ABSTAINED])
    assert ConfidenceShaping(mean=1.0).updated(nothing, samples[:1]).mean == 1.0


def test_errors():
    with pytest.raises(ShapeError, match="1 rewards and 2 confidences"):
        confidence_reward([1.0], [0.1, 0.2], 0.0)
    with pytest.raises(InputError, match="mode is 'diff'"):
        confidence_reward([1.0], [0.1], 0.0, mode="diff")
    with pytest.raises(InputError, match=r"1\.5 is no confidence; it must lie in \[0, 1\]"):
        confidence_reward([1.0], [1.5], 0.0)
    with pytest.raises(ShapeError, match="1 rewards for 0 samples"):
        ConfidenceShaping()(batch(1.0), [])
    with pytest.raises(InputError, match="mode is 'diff'"):
        ConfidenceShaping("diff")
    with pytest.raises(InputError, match="weight is -1; give a finite number of at least 0"):
        ConfidenceShaping(weight=-1)
    with pytest.raises(InputError, match="rate is 2"):
        ConfidenceShaping(rate=2)
    with pytest.raises(InputError, match="clamp is 0"):
        ConfidenceShaping(clamp=0)


class TestConfidence(RewardContract):
    def make_reward(self):
        return Shaped(Unstated(LengthReward()), ConfidenceShaping(mean=1.0))

    def make_samples(self):
        return [replace(s, completion=f"{s.text} Confidence: {i}") for i, s in enumerate(example_samples())]


def test_by_reference_the_reward_sees_no_statement():
    assert load("shape/confidence?of=rule/length&mode=threshold").by.weight == 0.5
    assert load("shape/confidence?of=rule/length").by.weight == 2.0
    plain = load("shape/confidence?of=rule/length&mode=threshold&weight=0.5")
    assert plain.by == ConfidenceShaping("threshold", weight=0.5)
    assert plain.name == "confidence(unstated(length))"
    # three words without the statement, five with it; threshold: 3 + .5 * 3 * (.9 - .5) above the mean of 0
    assert plain([Sample("q", "a b c\n**Confidence: 9/10**")]).reward[0] == pytest.approx(3.6)
    # clamped to 2 before all else: 2 + 2 (2 - 0) (.2 - .5)
    assert load("shape/confidence?of=rule/length&clamp=2")([Sample("q", "a b c Confidence: 2")]).reward[0] == (
        pytest.approx(0.8)
    )
    assert Unstated(LengthReward()).fingerprint != LengthReward().fingerprint
    with pytest.raises(InputError, match="shape/confidence: unknown option 'mean'"):
        load("shape/confidence?of=rule/length&mean=1")  # a state is loaded, not given


def test_every_message_of_the_assistant_and_every_part_loses_its_statements():
    parts = (Part("image", {"url": "x"}), Part("text", {"text": "seen. Confidence: 8"}))
    turns = (Message("assistant", "a Confidence: 3"), Message("user", "Confidence: 1"), Message("assistant", parts))
    left = without_confidence(Sample("q", turns)).completion
    assert [m.text for m in left] == ["a", "Confidence: 1", "seen."]
    assert left[2].content[0] == parts[0]


@pytest.mark.parametrize("text", [" " * 200_000, "*" * 200_000, "Confidence: " + " " * 200_000 + "x", "_*" * 100_000])
def test_a_policy_cannot_keep_the_reader_busy(text):
    started = time.process_time()
    assert read_confidence(text) == (text, None)
    assert time.process_time() - started < 5.0  # each space of a run tried by itself took minutes


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(FLOATS, st.sampled_from(["", *(f"Confidence: {n}" for n in range(11))])), min_size=1, max_size=6
    ),
    st.sampled_from(["difference", "threshold"]),
    FLOATS,
    st.floats(0, 5),
    st.tuples(st.floats(-12, 0), st.floats(0, 12)),
)
def test_limits_hold_and_are_reached(rows, mode, mean, weight, bounds):
    by = ConfidenceShaping(mode, weight=weight, mean=mean)
    low, high = by.limits(bounds)
    r = np.clip([reward for reward, _ in rows], *bounds)
    found = by(RewardBatch(r), [Sample("q", text) for _, text in rows]).reward
    assert (found >= low - 1e-9).all()
    assert (found <= high + 1e-9).all()
    for i in range(len(r)):  # each sample stands alone
        assert by(RewardBatch(r[i : i + 1]), [Sample("q", rows[i][1])]).reward[0] == found[i]
    corners = [Sample("q", text) for text in ("Confidence: 0", "Confidence: 10") for _ in bounds]
    reached = by(RewardBatch(np.array([*bounds, *bounds])), corners).reward
    if mode == "difference":
        assert (reached.min(), reached.max()) == (pytest.approx(low), pytest.approx(high))


def learnt(reward_of, steps=400, rate=0.5):
    """Confidences of softmax policies over 0 ... 10, by exact gradients, on texts worth 1 and -1; shaped per step."""
    logits, levels = np.zeros((2, 11)), np.arange(11) / 10
    shaping = ConfidenceShaping()
    for _ in range(steps):
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        reward = np.stack([reward_of(r, levels, shaping) for r in (1.0, -1.0)])
        advantage = reward - (p * reward).sum(axis=1, keepdims=True)
        logits = logits + rate * p * advantage
        shaping = shaping.updated(batch(1.0, -1.0), [])
    return p @ levels


def test_a_bandit_stays_sure_of_everything_without_it_and_learns_the_difference_with_it():
    """The catalogue's small check: answers worth 1 are right in 80% of cases, those worth -1 in 20%."""
    right = np.array([0.8, 0.2])
    paid = learnt(lambda r, s, _: r + s)  # a reward that pays for confidence
    shaped = learnt(lambda r, s, state: confidence_reward(np.full(11, r), s, state.mean, weight=state.weight))
    assert paid.min() > 0.9
    assert shaped[0] > 0.9
    assert shaped[1] < 0.1
    assert np.abs(shaped - right).mean() < np.abs(paid - right).mean()
