"""What a completion without an end is worth: [189] and [190] give it -10."""

import math

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.policy.online import OnlineConfig
from plaudit.policy.online.methods import online
from plaudit.policy.online.state import State, unfinished_worth
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import read_scored
from plaudit.shaping.transforms import Affine, Shaped
from small_policies import Sevens, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


def samples(*finishes):
    return [Sample(conversation("q"), "a", meta={} if f is None else {"finish": f}) for f in finishes]


def test_what_was_cut_off_is_worth_the_given_number_and_what_was_not_judged_nothing():
    batch = RewardBatch(
        np.array([1.0, 1.0, math.nan, 0.5, 0.0]),
        np.array([0, 0, Outcome.TIMED_OUT, 0, Outcome.POLICY_FAULT], dtype=np.int8),
    )  # fmt: skip
    found = unfinished_worth(batch, samples("eos", "length", "length", None, "length"), -10.0)
    np.testing.assert_array_equal(found.reward, [1.0, -10.0, math.nan, 0.5, -10.0])
    assert found.outcome.tolist() == batch.outcome.tolist()


def test_it_stands_in_place_of_the_shaped_reward_and_is_kept_from_nothing_else():
    tree = Shaped(Sevens(), Affine(scale=10.0))
    batch = RewardBatch(np.array([0.5, 0.5]))
    state = State(online("grpo")[1], tree, Sevens())
    assert state.shaped(batch, samples("eos", "length")).reward.tolist() == [5.0, 5.0]
    held = State(online("grpo")[1], tree, Sevens(), unfinished=-1.0)
    assert held.shaped(batch, samples("eos", "length")).reward.tolist() == [5.0, -1.0]


def test_a_run_learns_from_it_and_shows_the_reward_itself_beside_it(tmp_path):
    found = run(tmp_path, rows=4, unfinished_reward=-10.0, max_tokens=6)
    scored = read_scored(tmp_path / "samples.jsonl")
    cut = np.array([s.meta["finish"] == "length" for s in scored.samples])
    assert 0 < cut.sum() < len(cut) == 12
    (row,) = found.history
    assert row["reward"] == pytest.approx(scored.batch.reward.mean())
    assert row["shaped"] == pytest.approx((scored.batch.reward[~cut].sum() - 10 * cut.sum()) / 12)
    assert scored.batch.reward.min() >= 0
    plain = run(tmp_path / "plain", rows=4, max_tokens=6)
    assert plain.history[0]["shaped"] == pytest.approx(row["reward"])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pref-grpo", -10.0, "unfinished_reward has no effect on pref-grpo, which compares completions"),
        ("online-dno", -10.0, "unfinished_reward has no effect on online-dno, which compares completions"),
        ("grpo-lambda", -10.0, "has no effect on grpo-lambda, whose advantages do not read the reward"),
        ("crpg", -10.0, "unfinished_reward is -10, and to crpg what is not allowed is worth 0; give 0 to 1"),
    ],
)  # fmt: skip
def test_where_it_would_do_nothing_or_harm_it_is_refused(name, value, words):
    with pytest.raises(InputError, match=words):
        OnlineConfig(algorithm=name, unfinished_reward=value).check(online(name)[1])
    OnlineConfig(algorithm="grpo", unfinished_reward=value).check(online("grpo")[1])


@pytest.mark.parametrize("warmup", [1.0, 5.0, math.nan])
def test_a_warm_up_is_a_share_of_the_updates(warmup):
    with pytest.raises(InputError, match="warmup is"):
        OnlineConfig(warmup=warmup)
    assert OnlineConfig(warmup=0.99).warmup == 0.99
