"""Cases at the edges of an online run: batches that teach nothing, columns that collide, several processes."""

import hashlib

import numpy as np
import pytest

from plaudit.errors import InputError, IntegrityError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.advantages.relative import GroupRelative, LeaveOneOut
from plaudit.policy.losses.surrogates import clipped
from plaudit.policy.online import Method, OnlineConfig, OnlineRun, improve
from plaudit.policy.online.entry import AlignedOnline, align_online, prompt_of
from plaudit.policy.online.methods import online
from plaudit.policy.online.running import _key, _made_of
from plaudit.policy.online.trainer import OnlineTrainer
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import read_scored
from plaudit.rewards.likelihood.saved import write_causal
from small_policies import SMALL, Sevens, policy, prompts, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Abstaining(Sevens):
    """No reward for anything."""

    def __call__(self, samples):
        nothing = np.full(len(samples), np.nan)
        return RewardBatch(nothing, np.full(len(samples), Outcome.ABSTAINED))


class Nothing(Sevens):
    """The lowest reward for everything."""

    fingerprint = "nothing"

    def one(self, text):
        return 0.0


class Different(Sevens):
    """Another reward for every text."""

    fingerprint = "different"

    def one(self, text):
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def test_a_batch_that_teaches_nothing_is_taken_up_once(tmp_path, monkeypatch):
    """Its updates are many, and each would count it again in statistics, in the KL's coefficient and in the alarm."""
    seen, states, collected, moved = [], [], OnlineTrainer._collected, OnlineTrainer._moved_on

    def collect(self, asked, **rest):
        seen.append([one.key for one in asked])
        return collected(self, asked, **rest)

    def move(self, *parts):
        states.append(moved(self, *parts))
        return states[-1]

    monkeypatch.setattr(OnlineTrainer, "_collected", collect)
    monkeypatch.setattr(OnlineTrainer, "_moved_on", move)
    found = run(tmp_path, reward=Abstaining(), rows=8, passes=3, kl_coef=0.1, kl_target=1.0)
    assert len(found.history) == 6
    assert len(seen) == len(states) == 2
    # the policy does not move, so both batches have one error and multiply the coefficient by one factor
    first, second = (state.kl.value for state in states)
    assert first < 0.1
    assert second / first == pytest.approx(first / 0.1)


def test_the_coefficient_of_the_kl_is_that_of_all_processes(tmp_path, monkeypatch):
    """Each process sees its own completions; coefficients of their own would drift apart."""
    alone, together, moved = [], [], OnlineTrainer._moved_on

    def move(self, *parts):
        alone.append(moved(self, *parts))
        with monkeypatch.context() as patched:
            # another process whose KL is large: 12 completions of 100 nats
            patched.setattr(OnlineTrainer, "everywhere", lambda _, mine: ([*mine, (1200.0, 12)], 0))
            together.append(moved(self, *parts))
        return alone[-1]

    monkeypatch.setattr(OnlineTrainer, "_moved_on", move)
    run(tmp_path, rows=4, kl_coef=0.1, kl_target=1.0)
    assert alone[0].kl.value < 0.1 < together[0].kl.value


def test_columns_that_the_completions_file_needs_are_refused_before_anything_is_sampled(tmp_path):
    rows = [PromptOnly(row.prompt, row.reference, {"std": 1.0} if i == 2 else {}) for i, row in enumerate(prompts(4))]
    reward = Sevens()
    with pytest.raises(InputError, match=r"row 3 has a column 'std', which samples\.jsonl keeps of a completion"):
        improve(
            rows, model=policy(), tokenizer=build_tokenizer(), reward=reward, config=OnlineConfig(**SMALL),
            method=Method(GroupRelative(), clipped), out=tmp_path,
        )  # fmt: skip
    assert not reward.seen


def test_of_a_scored_file_the_prompts_are_taken_and_nothing_of_its_completions():
    meta = {"reward": 0.5, "outcome": "scored", "tokens": 3, "finish": "eos", "task": "sums"}
    row = prompt_of(Sample(prompts(1)[0].prompt, "7", "7", meta=meta), 0)
    assert dict(row.meta) == {"task": "sums"}


def test_an_explanation_of_numpys_numbers_costs_nothing(tmp_path):
    class Explained(Sevens):
        def __call__(self, samples):
            told = {"right": np.bool_(True), "share": np.float32(0.5), "at": np.arange(2), "kind": {1}}
            return RewardBatch(np.array([self.one(s.text) for s in samples]), detail=(told,) * len(samples))

    run(tmp_path, reward=Explained(), rows=4)
    kept = read_scored(tmp_path / "samples.jsonl").batch.detail[0]
    assert kept == {"right": True, "share": 0.5, "at": [0, 1], "kind": "{1}"}


def test_another_method_does_not_take_over_what_lies_there(tmp_path):
    """It is given beside the configuration, so the configuration alone does not tell."""
    run(tmp_path, rows=4)
    with pytest.raises(IntegrityError, match="fingerprint"):
        run(tmp_path, rows=4, method=Method(LeaveOneOut(), clipped, "token"))
    with pytest.raises(IntegrityError, match="fingerprint"):
        run(tmp_path, rows=4, method=Method(GroupRelative(), clipped, "sequence"))


def test_options_of_a_loss_belong_to_the_method_and_addresses_do_not():
    wide, narrow = (_made_of(online(f"grpo?clip_high={high}")[1]) for high in (0.28, 0.2))
    assert wide != narrow
    assert wide == _made_of(online("grpo?clip_high=0.28")[1])
    assert _made_of(Method(object(), clipped)) == _made_of(Method(object(), clipped))


def test_watched_rewards_of_one_name_are_all_shown(tmp_path):
    """Two folders of reward models may have one name."""

    class Ones(Sevens):
        fingerprint = "ones"

        def one(self, text):
            return 1.0

    write_causal(policy(), tmp_path / "policy")
    build_tokenizer().save_pretrained(tmp_path / "policy")
    found = align_online(
        prompts(4), model=tmp_path / "policy", reward=Sevens(), watched=[Sevens(), Ones()],
        config=OnlineConfig(**{**SMALL, "batch_size": 2, "accumulation": 2}), out=tmp_path / "run",
    )  # fmt: skip
    first = found.run.history[0]
    assert first["watched/sevens"] == first["reward"]
    assert first["watched/sevens-2"] == 1
    # two prompts at a time, twice
    assert "1 updates, 1 batches of 4 prompts with 3 completions each" in found.lines()[0]


def test_batches_without_any_reward_count_among_what_was_lost():
    history = (
        {"length": 4.0, "outcome/timed_out": 1.0},
        {"length": 4.0, "outcome/timed_out": 0.0, "reward": 0.5, "reward_std": 0.1},
    )
    run_ = OnlineRun(None, history, 8, (), {}, 0, "prefix trees")
    lines = AlignedOnline(run_, OnlineConfig(), 1, "sevens", 16).lines()
    assert "2 updates, 2 batches" in lines[0]
    assert "timed out: 50.00% of completions" in lines
    assert "reward nan -> 0.500" in lines


def test_what_a_filter_leaves_out_does_not_take_part(tmp_path):
    """No completion is right, so DAPO learns from none of the groups; best-worst keeps two of four."""
    found = run(tmp_path / "a", rows=4, reward=Nothing(), method=online("dapo")[1])
    assert found.history[0]["included"] == 0
    found = run(tmp_path / "b", rows=4, completions=4, reward=Different(), method=online("pf-ppo")[1])
    assert found.history[0]["distinct"] == 1
    assert found.history[0]["included"] == 0.5


def test_a_reward_without_bounds_cannot_say_what_is_right(tmp_path):
    class Unbounded(Sevens):
        bounds = (-np.inf, np.inf)

    reward = Unbounded()
    with pytest.raises(InputError, match=r"dapo asks which completions are right.*sevens has bounds"):
        run(tmp_path, reward=reward, rows=4, algorithm="dapo", method=online("dapo")[1])
    assert not reward.seen


def test_a_run_goes_on_in_as_many_processes_as_it_began_in():
    """They divide the schedule and each has a log of its own."""
    config, method = OnlineConfig(**SMALL), Method(GroupRelative(), clipped)
    one, again, two = (_key(prompts(2), config, method, Sevens(), (), {}, "start", processes=n) for n in (1, 1, 2))
    assert one == again != two
