import importlib.util
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from host_rewards import Rank, Unbounded
from plaudit.errors import InputError, UnsupportedError
from plaudit.integrations import verl
from plaudit.integrations.verl import compute_score

KEYS = ["score", "counted", "outcome", "extracted", "reason"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from small_verifiers import Same\n")
    return "mine.py:Same"


def test_every_sample_has_the_same_keys_and_a_finite_score(mine):
    rows = [("4", "4"), ("5", "4"), ("", "4"), ("4", "?")]
    found = [compute_score("sums", text, gold, {"index": 0}, reward=mine) for text, gold in rows]
    assert all(list(row) == KEYS and math.isfinite(row["score"]) for row in found)
    assert [row["score"] for row in found] == [1.0, 0.0, 0.0, 0.0]
    assert [row["counted"] for row in found] == [1.0, 1.0, 1.0, 0.0]
    assert [row["outcome"] for row in found] == ["scored", "scored", "policy_fault", "abstained"]
    assert found[0]["extracted"] == "4"
    assert compute_score("sums", "4", "?", None, reward=mine, unscored=0.5)["score"] == 0.5


def test_rewards_by_data_source(mine):
    table = {"sums": mine, "default": {"rule/length": {"target": 2}}}
    assert compute_score("sums", "4", "4", {}, reward=table)["score"] == 1.0
    assert compute_score("others", "two words", None, {}, reward=table)["score"] == 0.0
    with pytest.raises(InputError, match="no reward for the data source 'summs'; did you mean 'sums'"):
        compute_score("summs", "4", "4", {}, reward={"sums": mine})


def test_arrays_of_a_data_frame_are_lists_again(monkeypatch):
    seen = []

    def spy(samples):
        seen.extend(s.reference for s in samples)
        return [0.0 for _ in samples]

    from plaudit.rewards import FunctionReward

    monkeypatch.setattr(verl, "_reward", lambda reference: FunctionReward(spy))
    compute_score("x", "a", np.array(["4", "four"]), {}, reward="any", unscored=0.0)
    assert seen == [["4", "four"]]


def test_verl_loads_the_file_by_its_path_and_calls_from_threads(mine):
    spec = importlib.util.spec_from_file_location("custom_module", verl.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda t: module.compute_score("s", t, "4", {}, reward=mine)["score"], ["4", "5"] * 20))
    assert found == [1.0, 0.0] * 20


def test_it_pickles_by_its_name():
    assert pickle.loads(pickle.dumps(compute_score)) is compute_score


def test_a_reward_without_a_floor_needs_a_worth_for_what_has_no_reward(monkeypatch):
    monkeypatch.setattr(verl, "_reward", lambda reference: Unbounded())
    with pytest.raises(InputError, match=r"verl: .* would be worth -inf by unbounded, .* with unscored=\.\.\."):
        compute_score("sums", "4", "4", {}, reward="any")
    assert compute_score("sums", "4", "4", {}, reward="any", unscored=-1)["score"] == 0.5
    with pytest.raises(InputError, match="worth nan"):
        compute_score("sums", "4", "4", {}, reward="any", unscored=math.nan)


def test_a_reward_that_compares_is_refused(monkeypatch):
    monkeypatch.setattr(verl, "_reward", lambda reference: Rank())
    with pytest.raises(UnsupportedError, match="verl: rank compares the completions of a group"):
        compute_score("sums", "4", "4", {}, reward="any")


def test_a_data_set_with_an_owner_is_no_reward(mine):
    for only in (mine, {"rule/length": {"target": 2}}):
        with pytest.raises(
            InputError, match="no reward for the data source 'openai/gsm8'; did you mean 'openai/gsm8k'"
        ):
            compute_score("openai/gsm8", "4", "4", {}, reward={"openai/gsm8k": only})
    # a reward's name over its options serves every source: four words for a target of four
    assert compute_score("any", "one two three four", "", {}, reward={"rule/length": {"target": 4}})["score"] == 0.0
