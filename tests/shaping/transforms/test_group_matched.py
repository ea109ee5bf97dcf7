"""Matching groups within prompts: values by hand, order kept, equal distributions, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit import load
from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.records import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.shaping.transforms import GroupMatched, Shaped

MATCHES = ("mean", "affine", "quantile")


def drawn(seed=0, prompts=60, each=6):
    """Rewards of two groups within prompts of many levels: `y` is one lower, and half as spread."""
    rng = np.random.default_rng(seed)
    samples, reward = [], []
    for i in range(prompts):
        level, prompt = 10 * rng.normal(), conversation(f"p{i}")
        for _ in range(each):
            who = "xy"[int(rng.random() < 0.4)]
            samples.append(Sample(prompt, "c", meta={"who": who}))
            reward.append(level + rng.normal() * (1.0 if who == "x" else 0.5) - (who == "y"))
    return samples, np.array(reward)


def test_a_difference_within_prompts_by_hand():
    # every prompt: x has 3, y has 1; the offsets are +1 and -1, since both groups are as large
    samples = [Sample(conversation(f"p{i // 2}"), "c", meta={"who": "xy"[i % 2]}) for i in range(40)]
    level = np.repeat(np.arange(20.0), 2) * 100
    by = GroupMatched("who").fitted(RewardBatch(level + np.tile([3.0, 1.0], 20)), samples)
    assert by.offset == pytest.approx((1.0, -1.0))
    assert by(RewardBatch(np.array([7.0, 7.0])), samples[:2]).reward.tolist() == pytest.approx([6.0, 8.0])


def test_affine_by_hand():
    # offsets 0, scales 2 and 1/2: about the prompt's mean of 2, 1 becomes 0 and 3 becomes 2.5
    by = GroupMatched("who", "affine", ("x", "y"), (0.0, 0.0), (2.0, 0.5), ((0.0,), (0.0,), (0.0,)))
    samples = [Sample("a", "c", meta={"who": w}) for w in "xy"]
    assert by(RewardBatch(np.array([1.0, 3.0])), samples).reward.tolist() == pytest.approx([0.0, 2.5])
    # alone in its prompt, a reward is its own mean
    assert by(RewardBatch(np.array([1.0])), samples[:1]).reward.tolist() == pytest.approx([1.0])


def test_quantiles_by_hand():
    # residuals of y at 0 to 1 go where all have 0 to 4: beyond the last knot the slope is 1
    by = GroupMatched("who", "quantile", ("x", "y"), (0.0, 0.0), (1.0, 1.0), ((0.0, 4.0), (0.0, 1.0), (0.0, 4.0)))
    samples = [Sample("a", "c", meta={"who": "y"}) for _ in range(2)]
    # centre 2; residuals -1.5 and 1.5: 0 + (-1.5 - 0), and 4 + (1.5 - 1)
    assert by(RewardBatch(np.array([0.5, 3.5])), samples).reward.tolist() == pytest.approx([0.5, 6.5])


@pytest.mark.parametrize("match", MATCHES)
def test_groups_are_alike_afterwards_on_fresh_samples(match):
    samples, reward = drawn()
    by = GroupMatched("who", match).fitted(RewardBatch(reward), samples)
    fresh, value = drawn(seed=1)
    shaped = by(RewardBatch(value), fresh).reward
    prompt = np.array([s.prompt[0].text for s in fresh])
    who = np.array([s.meta["who"] for s in fresh])

    def won(r):
        """How often x beats y of the same prompt."""
        rows = [
            np.mean(r[(prompt == p) & (who == "x")][:, None] > r[(prompt == p) & (who == "y")][None])
            for p in np.unique(prompt)
            if len({*who[prompt == p]}) == 2
        ]
        return np.mean(rows)

    assert won(value) > 0.75
    assert won(shaped) == pytest.approx(0.5, abs=0.08)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(MATCHES))
def test_the_order_within_a_group_and_prompt_stays(seed, match):
    by = GroupMatched("who", match).fitted(RewardBatch(drawn()[1]), drawn()[0])
    samples, reward = drawn(seed, prompts=5)
    shaped = by(RewardBatch(reward), samples).reward
    for i, a in enumerate(samples):
        for j, b in enumerate(samples):
            if a.prompt == b.prompt and a.meta == b.meta and reward[i] < reward[j]:
                assert shaped[i] < shaped[j]


@pytest.mark.parametrize("match", MATCHES)
def test_levels_of_prompts_do_not_count(match):
    samples, reward = drawn()
    by = GroupMatched("who", match).fitted(RewardBatch(reward), samples)
    moved = np.array([float(len(s.prompt[0].text)) * 7 for s in samples])  # another level a prompt
    other = GroupMatched("who", match).fitted(RewardBatch(reward + moved), samples)
    np.testing.assert_allclose(other.offset, by.offset, atol=1e-9)
    np.testing.assert_allclose(
        other(RewardBatch(reward + moved), samples).reward - moved, by(RewardBatch(reward), samples).reward, atol=1e-9
    )


def test_groups_that_are_alike_are_left_alone():
    samples, _ = drawn(prompts=400)
    reward = np.random.default_rng(3).normal(size=len(samples))
    by = GroupMatched("who", "affine").fitted(RewardBatch(reward), samples)
    assert max(map(abs, by.offset)) < 0.05
    assert by.scale == pytest.approx((1.0, 1.0), abs=0.05)


@pytest.mark.parametrize("match", MATCHES)
def test_bounds_hold(match):
    samples, reward = drawn()
    by = GroupMatched("who", match).fitted(RewardBatch(reward), samples)
    low, high = by.limits((-40.0, 40.0))
    value = np.random.default_rng(0).choice([-40.0, 40.0, 0.0], len(samples))
    shaped = by(RewardBatch(value), samples).reward
    assert low - 1e-9 <= shaped.min() < shaped.max() <= high + 1e-9


def test_outcomes():
    samples, reward = drawn()
    outcome = np.zeros(len(samples), dtype=np.int8)
    outcome[:5], outcome[5] = Outcome.ABSTAINED, Outcome.POLICY_FAULT
    spoiled = reward.copy()
    spoiled[:5], spoiled[5] = np.nan, -1e6
    by = GroupMatched("who").fitted(RewardBatch(spoiled, outcome), samples)
    assert by == GroupMatched("who").fitted(RewardBatch(reward[6:]), samples[6:])  # neither told anything
    shaped = by(RewardBatch(spoiled, outcome), samples)
    assert np.isnan(shaped.reward).tolist() == [True] * 5 + [False] * (len(samples) - 5)


class Fixed:
    """A reward that says what the samples' own column says."""

    name, scope, bounds, fingerprint = "fixed", "sample", (-100.0, 100.0), "fixed"

    def __call__(self, samples):
        return RewardBatch(np.array([s.meta["r"] for s in samples]))


def test_fitted_by_the_command_and_loaded_by_reference(tmp_path, capsys):
    samples, _ = drawn(prompts=30)
    lines = [
        {"prompt": s.prompt[0].text, "completion": "word " * (3 + 2 * (s.meta["who"] == "y")), **s.meta}
        for s in samples
    ]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    command = ["shape", "fit", "group-matched?column=who", str(tmp_path / "held.jsonl"), "--reward", "rule/length"]
    assert main([*command, "--out", str(tmp_path / "state.json")]) == 0
    assert "holds shape/group-matched" in capsys.readouterr().out
    reward = load(f"shape/group-matched?of=rule/length&column=who&state={tmp_path / 'state.json'}")
    x, y = (Sample("q", "one two three", meta={"who": w}) for w in "xy")
    gap = float(np.subtract(*reward([x, y]).reward))
    assert gap == pytest.approx(2.0)  # y is two words longer everywhere, which is taken from it


def test_a_shaped_reward_needs_a_floor():
    # what stretches, as a state of one's own may, has no floor where there is no ceiling
    by = GroupMatched("who", "affine", ("x", "y"), (0.0, 0.0), (2.0, 0.5), ((0.0,), (0.0,), (0.0,)))
    unbounded = Fixed()
    unbounded.bounds = (-10.0, float("inf"))
    with pytest.raises(InputError, match="clip it first"):
        Shaped(unbounded, by)
    fitted = GroupMatched("who", "affine").fitted(RewardBatch(drawn()[1]), drawn()[0])
    assert max(fitted.scale) == 1
    assert Shaped(unbounded, fitted).bounds[0] == pytest.approx(-10 - max(fitted.offset))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s, r: GroupMatched(), "column is missing; name the column"),
        (lambda s, r: GroupMatched("who", "man"), "match 'man' is not known; did you mean 'mean'"),
        (lambda s, r: GroupMatched("who")(RewardBatch(r), s), "nothing was fitted yet"),
        (lambda s, r: GroupMatched("whom").fitted(RewardBatch(r), s), "sample 1 has no value in the column 'whom'"),
        (
            lambda s, r: GroupMatched("who").fitted(
                RewardBatch(r), [Sample(x.prompt, "c", meta={"who": 1}) for x in s]
            ),
            "column 'who' has 1 value in 360 scored samples",
        ),
        (
            lambda s, r: GroupMatched("who").fitted(
                RewardBatch(r), [Sample(x.prompt, "c", meta={"who": x.prompt[0].text[-1] > "4"}) for x in s]
            ),
            "has 0 rewards in prompts that it shares with other groups, and needs 20",
        ),
        (
            lambda s, r: GroupMatched("who").fitted(RewardBatch(r), s)(
                RewardBatch(np.ones(1)), [Sample("a", "c", meta={"who": "z"})]
            ),
            "sample 1 is of 'z', and nothing was fitted for it; fitted: x, y",
        ),
        (lambda s, r: GroupMatched("who").restored({"groups": []}), "the state has ['groups']; give"),
        (
            lambda s, r: GroupMatched("who").restored({"groups": ["a"], "offset": [], "scale": [], "knots": []}),
            "1 groups and numbers of others",
        ),
        (
            lambda s, r: GroupMatched("who").restored({"groups": ["a"], "offset": ["b"], "scale": [1], "knots": []}),
            "something else than numbers",
        ),
    ],
)
def test_errors(act, message):
    samples, reward = drawn()
    with pytest.raises(InputError) as error:
        act(samples, reward)
    assert message in str(error.value)
