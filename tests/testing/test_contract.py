import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given

from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.testing import (
    ContractError,
    RewardContract,
    check_bounds,
    check_determinism,
    check_empty,
    check_hostile,
    check_independence,
    check_order,
    check_properties,
    check_reward,
    check_shapes,
    check_threads,
    example_samples,
    reward_batches,
)

SAMPLES = example_samples()


@dataclasses.dataclass
class Shortness:
    """An honest reward: minus the words, at least -100; without any word it is the policy's fault."""

    name: str = "shortness"
    scope: str = "sample"
    bounds: tuple = (-100.0, 0.0)
    fingerprint: str = "v1"

    def __call__(self, samples):
        words = np.array([len(s.text.split()) for s in samples], dtype=float)
        fault = words == 0
        outcome = np.where(fault, Outcome.POLICY_FAULT, Outcome.SCORED)
        return RewardBatch(np.where(fault, -100.0, -np.minimum(words, 100.0)), outcome)


class TestAnHonestReward(RewardContract):
    def make_reward(self):
        return Shortness()


class TestAnHonestGroupReward(RewardContract):
    def make_reward(self):
        return GroupMean(scope="group")


class GroupMean(Shortness):
    """Minus the words, relative to the group's mean: right for scope group, wrong for scope sample."""

    bounds = (-300.0, 300.0)

    def __init__(self, scope):
        super().__init__(scope=scope, bounds=(-200.0, 200.0))

    def __call__(self, samples):
        words = np.array([min(len(s.text.split()), 100) for s in samples], dtype=float)
        groups = np.array([str(s.group) for s in samples])
        return RewardBatch(np.array([-(w - words[groups == g].mean()) for w, g in zip(words, groups, strict=True)]))


def wrong(**changes):
    """A reward whose result is changed by `call(batch, samples)`, or whose properties are replaced."""
    call = changes.pop("call", None)

    class Wrong(Shortness):
        def __call__(self, samples):
            batch = super().__call__(samples)
            return batch if call is None else call(batch, samples)

    return Wrong(**changes)


def test_the_honest_rewards_pass_at_once():
    check_reward(Shortness(), SAMPLES)
    check_reward(GroupMean(scope="group"), SAMPLES)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "name is ''"),
        ({"scope": "token"}, "scope is 'token'"),
        ({"bounds": (-np.inf, np.inf)}, "the lower one is the floor"),
        ({"bounds": (1.0, 0.0)}, "below the upper one"),
        ({"bounds": [0, 1]}, "must be (lowest, highest)"),
        ({"fingerprint": None}, "fingerprint is None"),
    ],
)
def test_unfit_properties_are_caught(changes, text):
    with pytest.raises(ContractError) as error:
        check_properties(wrong(**changes))
    assert text in str(error.value)


def test_a_fingerprint_that_changes_is_caught():
    class Wrong(Shortness):
        pass

    reward, count = Wrong(), itertools.count()
    Wrong.fingerprint = property(lambda self: f"v{next(count)}", lambda self, value: None)
    with pytest.raises(ContractError, match="changes from one look to the next"):
        check_properties(reward)


def test_a_reward_for_nothing_is_caught():
    with pytest.raises(ContractError, match="no samples gave 1 rewards"):
        check_empty(wrong(call=lambda batch, samples: batch if samples else RewardBatch([0.0])))


def test_a_missing_entry_is_caught():
    with pytest.raises(ContractError, match="12 samples gave 11 rewards"):
        check_shapes(
            wrong(call=lambda batch, samples: batch.take(range(1, len(batch))) if len(batch) else batch),
            SAMPLES,
        )


def test_another_type_is_caught():
    with pytest.raises(ContractError, match=r"it returned list; it must return a RewardBatch"):
        check_shapes(wrong(call=lambda batch, samples: list(batch.reward)), SAMPLES)


def test_a_reward_that_does_not_fit_its_outcome_is_caught():
    def call(batch, samples):
        object.__setattr__(batch, "outcome", np.full(len(samples), Outcome.TIMED_OUT, dtype=np.int8))
        return batch

    with pytest.raises(ContractError, match=r"sample 0 has outcome TIMED_OUT and reward -1"):
        check_shapes(wrong(call=call), SAMPLES)


def test_a_reward_that_writes_on_its_samples_is_caught():
    def call(batch, samples):
        samples[0].meta["seen"] = True
        return batch

    with pytest.raises(ContractError, match="changed the samples"):
        check_shapes(wrong(call=call), example_samples())


def test_a_reward_outside_its_bounds_is_caught():
    with pytest.raises(ContractError, match=r"outside its bounds -2.0 to 0.0"):
        check_bounds(wrong(bounds=(-2.0, 0.0)), SAMPLES)


def test_a_fault_that_is_not_worth_the_floor_is_caught():
    def call(batch, samples):
        return RewardBatch(batch.reward, np.full(len(samples), Outcome.POLICY_FAULT))

    with pytest.raises(ContractError, match=r"is POLICY_FAULT with reward -1.0; it must be the floor -100.0"):
        check_bounds(wrong(call=call), SAMPLES)


def test_chance_is_caught():
    rng = np.random.default_rng(0)
    with pytest.raises(ContractError, match="a second call changes the reward"):
        check_determinism(wrong(call=lambda b, s: RewardBatch(b.reward - rng.random(len(b)))), SAMPLES)


def test_an_outcome_that_comes_and_goes_is_caught():
    count = itertools.count()

    def call(batch, samples):
        return RewardBatch([np.nan] * len(batch), [Outcome.ABSTAINED] * len(batch)) if next(count) % 2 else batch

    with pytest.raises(ContractError, match="changes the outcome of sample 0 from SCORED to ABSTAINED"):
        check_determinism(wrong(call=call), SAMPLES)


def test_a_place_in_the_batch_that_matters_is_caught():
    with pytest.raises(ContractError, match="another order of the samples changes the reward"):
        check_order(wrong(call=lambda b, s: RewardBatch(b.reward - np.arange(len(b)))), SAMPLES)


def test_a_neighbour_that_matters_is_caught():
    with pytest.raises(ContractError, match=r"scoring it apart from the rest \(scope sample\) changes the reward"):
        check_independence(GroupMean(scope="sample"), SAMPLES)


def test_shared_state_between_threads_is_caught():
    class Wrong(Shortness):
        current = None

        def __call__(self, samples):
            Wrong.current = threading.get_ident()
            time.sleep(0.01)
            off = float(Wrong.current != threading.get_ident())
            return RewardBatch(super().__call__(samples).reward - off)

    with pytest.raises(ContractError, match="4 threads at once changes the reward"):
        check_threads(Wrong(), SAMPLES)


@pytest.mark.parametrize("kind", ["empty", "long", "surrogate", "tools"])
def test_an_exception_on_a_hostile_text_is_caught(kind):
    breaks = {
        "empty": lambda s: 1 / len(s.text),
        "long": lambda s: 1 / (len(s.text) < 100_000),
        "surrogate": lambda s: s.text.encode("utf-8"),
        "tools": lambda s: s.completion.strip(),
    }

    def call(batch, samples):
        for sample in samples:
            breaks[kind](sample)
        return batch

    with pytest.raises(ContractError, match=r"raised .*a reward says in the outcome what it could not judge"):
        check_hostile(wrong(call=call))


def test_a_contract_without_a_reward_says_what_to_do():
    with pytest.raises(TypeError, match="override make_reward"):
        RewardContract().make_reward()


@given(reward_batches())
def test_batches_of_the_strategy_are_legal(batch):
    assert np.array_equal(np.isfinite(batch.reward), batch.valid)
    assert len(batch.take(batch.valid)) == batch.valid.sum()
