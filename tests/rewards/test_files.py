import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.records import Sample, write
from plaudit.rewards.base import Outcome, PreferenceBatch, RewardBatch
from plaudit.rewards.files import compared_rows, read_compared, read_scored, scored_rows, write_scored
from plaudit.testing.strategies import reward_batches, samples

TWO = (Sample("q", "a", meta={"lang": "en"}), Sample("q", "b"))


def same(a, b):
    return (a is None) == (b is None) and (a is None or np.array_equal(a, b, equal_nan=True))


def test_a_row_is_as_the_format_says():
    batch = RewardBatch(
        [1.5, np.nan], [Outcome.SCORED, Outcome.TIMED_OUT], std=[0.5, 0.25], aspects={"kind": [1.0, 2.0]},
        tokens=(np.array([[0, 1, 0.5]]), np.zeros((0, 3))), detail=({"why": "x"}, {}),
    )  # fmt: skip
    assert list(scored_rows(TWO, batch)) == [
        {"prompt": "q", "completion": "a", "lang": "en", "reward": 1.5, "outcome": "scored", "std": 0.5,
         "aspects": {"kind": 1.0}, "token_rewards": [[0, 1, 0.5]], "detail": {"why": "x"}},
        {"prompt": "q", "completion": "b", "reward": None, "outcome": "timed_out", "std": 0.25,
         "aspects": {"kind": 2.0}, "token_rewards": []},
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.data(), reward_batches().filter(len))
def test_what_is_written_is_read_back(tmp_path_factory, data, batch):
    chosen = data.draw(st.lists(samples(), min_size=len(batch), max_size=len(batch)))
    path = tmp_path_factory.mktemp("scored") / "scored.jsonl"
    assert write_scored(path, chosen, batch) == len(batch)
    found = read_scored(path)
    assert found.samples == tuple(chosen)
    assert same(found.batch.reward, batch.reward)
    assert same(found.batch.outcome, batch.outcome)
    for name in ("std", "noise", "members"):
        assert same(getattr(found.batch, name), getattr(batch, name))
    assert set(found.batch.aspects) == set(batch.aspects)
    assert all(same(found.batch.aspects[k], v) for k, v in batch.aspects.items())
    assert (found.batch.steps is None) == (batch.steps is None)
    assert batch.steps is None or all(same(a, b) for a, b in zip(found.batch.steps, batch.steps, strict=True))
    assert found.batch.detail == batch.detail


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (
            {"reward": 1.0, "outcome": "scord"},
            "row 1: outcome = 'scord': is no outcome; did you mean 'scored'",
        ),
        ({"reward": 1.0}, "row 1: outcome: is no outcome; one of scored"),
        ({"reward": 1.0, "outcome": "timed_out"}, "must be null where the outcome is timed_out"),
        ({"reward": None, "outcome": "scored"}, "must be a number where the outcome is scored"),
        ({"reward": "NaN", "outcome": "scored"}, "reward = nan: it is not finite"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(tmp_path, cells, text):
    (tmp_path / "s.jsonl").write_text(json.dumps({"prompt": "q", "completion": "a", **cells}) + "\n")
    with pytest.raises(InputError) as error:
        read_scored(tmp_path / "s.jsonl")
    assert text in str(error.value)


def test_lengths_and_taken_names_are_checked():
    with pytest.raises(ShapeError, match="2 samples and 1 rewards"):
        list(scored_rows(TWO, RewardBatch([1.0])))
    with pytest.raises(InputError, match="sample 0 has 'reward' in its meta already"):
        list(scored_rows([Sample("q", "a", meta={"reward": 1})], RewardBatch([1.0])))


def test_comparisons_come_back(tmp_path):
    batch = PreferenceBatch(
        np.array([0.75, np.nan]),
        np.array([0, 2], dtype=np.int8),
        std=np.array([0.1, 0.2]),
        detail=({"judge": "x"}, {}),
    )
    first, second = [Sample("q", "a"), Sample("r", "c")], [Sample("q", "b"), Sample("r", "d")]
    write(tmp_path / "c.jsonl", compared_rows(first, second, batch))
    found = read_compared(tmp_path / "c.jsonl")
    assert (found.first, found.second) == (tuple(first), tuple(second))
    assert same(found.batch.probability, batch.probability)
    assert same(found.batch.outcome, batch.outcome)
    assert same(found.batch.std, batch.std)
    assert found.batch.tie is None
    assert found.batch.detail == batch.detail
    with pytest.raises(InputError, match="pair 0 has two prompts"):
        list(compared_rows(first, second[::-1], batch))
