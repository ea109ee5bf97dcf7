import asyncio
import inspect
import logging
import pickle

import pytest

from plaudit.errors import InputError, ShapeError, UnsupportedError
from plaudit.integrations.trl import as_async_reward_func, as_reward_func
from plaudit.rewards import LengthReward
from small_verifiers import Same

PROMPTS = ["2 + 2", "2 + 2", "2 + 2", "3 + 3"]
TEXTS = ["4", "5", "", "6"]
GOLD = ["4", "4", "4", "?"]


def test_plain_rows_with_the_outcomes_that_trl_understands():
    logged = {}
    function = as_reward_func(Same())
    assert function.__name__ == "same"
    rewards = function(
        prompts=PROMPTS, completions=TEXTS, completion_ids=[[1]] * 4, reference=GOLD,
        trainer_state=None, log_extra=None, log_metric=logged.__setitem__,
    )  # fmt: skip
    assert rewards == [1.0, 0.0, 0.0, None]  # right, wrong, no answer (the floor), no gold answer
    assert logged["same/policy_fault"] == 0.25
    assert logged["same/abstained"] == 0.25
    assert logged["same/instrument_fault"] == 0.0


def test_conversations_and_a_column_of_another_name():
    prompts = [[{"role": "user", "content": p}] for p in PROMPTS]
    completions = [[{"role": "assistant", "content": t}] for t in TEXTS]
    function = as_reward_func(Same(), reference="answer", name="sums")
    assert function.__name__ == "sums"
    assert function(prompts=prompts, completions=completions, answer=GOLD) == [1.0, 0.0, 0.0, None]


def test_the_coroutine_is_recognised_as_one_and_gives_the_same():
    function = as_async_reward_func(Same())
    assert inspect.iscoroutinefunction(function.__call__)
    assert asyncio.run(function(prompts=PROMPTS, completions=TEXTS, reference=GOLD)) == [1.0, 0.0, 0.0, None]


def test_it_pickles_and_takes_references():
    function = pickle.loads(pickle.dumps(as_reward_func("rule/length")))
    assert function(prompts=["q"], completions=["three words here"]) == [3.0]


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"no column 'reference' .* did you mean 'references'"):
        as_reward_func(Same())(prompts=["q"], completions=["4"], references=["4"])
    with pytest.raises(ShapeError, match="reference has 2 entries for 1 prompts"):
        as_reward_func(Same())(prompts=["q"], completions=["4"], reference=["4", "4"])


def test_a_reward_of_groups_is_refused_where_groups_are_divided(monkeypatch):
    class Grouped(LengthReward):
        scope = "group"

    reward = Grouped()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UnsupportedError, match="TRL divides groups among 2 processes"):
        as_reward_func(reward)(prompts=["q"], completions=["a"])
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert as_reward_func(reward)(prompts=["q"], completions=["a"]) == [1.0]


def test_many_missing_rewards_are_alarmed_on(caplog):
    with caplog.at_level(logging.WARNING):
        as_reward_func(Same())(prompts=PROMPTS, completions=TEXTS, reference=GOLD)
    assert "25% of 4 completions have no reward" in caplog.text


def test_eight_threads_get_the_same():
    from host_rewards import eight_threads

    function = as_reward_func(Same())
    call = lambda text: function(prompts=["2 + 2"], completions=[text], reference=["4"])  # noqa: E731
    assert eight_threads(call, [("4",), ("5",), ("",)] * 16) == [[1.0], [0.0], [0.0]] * 16
