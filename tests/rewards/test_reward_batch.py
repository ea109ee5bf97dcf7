import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.testing.strategies import reward_batches

NAN = np.nan


def same(a, b):
    """Whether two columns are equal, NaN for NaN; ragged ones entry by entry."""
    if a is None or b is None:
        return a is b
    if isinstance(a, tuple):
        return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b, equal_nan=True)


def assert_same(a, b):
    for name in ("reward", "outcome", "std", "noise", "members", "steps", "tokens"):
        assert same(getattr(a, name), getattr(b, name)), name
    assert set(a.aspects) == set(b.aspects)
    assert all(same(a.aspects[k], b.aspects[k]) for k in a.aspects)
    assert a.detail == b.detail


def test_defaults():
    batch = RewardBatch([1, 2])
    assert batch.reward.dtype == np.float64
    assert batch.outcome.dtype == np.int8
    assert batch.outcome.tolist() == [Outcome.SCORED] * 2
    assert batch.detail == ({}, {})
    assert batch.valid.tolist() == [True, True]
    assert len(RewardBatch([])) == 0


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nan_exactly_where_the_outcome_does_not_count(outcome):
    counts = outcome in (Outcome.SCORED, Outcome.POLICY_FAULT)
    assert outcome.counts == counts
    good, bad = (1.0, NAN) if counts else (NAN, 1.0)
    assert RewardBatch([good], [outcome]).valid.tolist() == [counts]
    with pytest.raises(InputError) as error:
        RewardBatch([1.0, bad], [Outcome.SCORED, outcome])
    assert str(error.value) == (
        f"RewardBatch: sample 1 is {outcome.name} with reward {bad}; "
        "a reward is finite where it is SCORED or POLICY_FAULT and NaN elsewhere"
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_rewards_are_refused(value):
    with pytest.raises(InputError, match=f"sample 0 is SCORED with reward {value}"):
        RewardBatch([value])
    with pytest.raises(InputError, match=f"sample 0 is TIMED_OUT with reward {value}"):
        RewardBatch([value], [Outcome.TIMED_OUT])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (dict(reward=[[1.0]]), r"RewardBatch: reward has shape \(1, 1\); it must be \(n,\)"),
        (dict(reward=1.0), r"RewardBatch: reward has shape \(\); it must be \(n,\)"),
        (dict(reward=[1.0, 2.0], outcome=[0]), "RewardBatch: outcome has 1 entries for 2 rewards"),
        (dict(reward=[1.0], std=[1.0, 2.0]), "RewardBatch: std has 2 entries for 1 rewards"),
        (dict(reward=[1.0], noise=[[1.0]]), r"RewardBatch: noise has shape \(1, 1\); it must be \(n,\)"),
        (dict(reward=[1.0], members=[1.0]), r"RewardBatch: members has shape \(1,\); it must be \(n, k\)"),
        (
            dict(reward=[1.0], aspects={"tone": [1.0, 2.0]}),
            "RewardBatch: aspect 'tone' has 2 entries for 1 rewards",
        ),
        (
            dict(reward=[1.0], aspects={"std": [1.0, 2.0]}),
            "RewardBatch: aspect 'std' has 2 entries for 1 rewards",
        ),
        (dict(reward=[1.0], steps=()), "RewardBatch: steps has 0 entries for 1 rewards"),
        (dict(reward=[1.0], detail=({}, {})), "RewardBatch: detail has 2 entries for 1 rewards"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(ShapeError, match=message):
        RewardBatch(**columns)


def test_an_unknown_outcome_is_named():
    with pytest.raises(InputError) as error:
        RewardBatch([1.0, 1.0, NAN], [0, 7, 2])
    assert str(error.value) == "RewardBatch: outcome 7 of sample 1 is not one of [0, 1, 2, 3, 4]"


def test_take_by_hand():
    batch = RewardBatch(
        [1.0, NAN, 3.0], [0, 2, 1], std=[0.1, 0.2, 0.3], members=[[1, 2], [3, 4], [5, 6]],
        aspects={"a": [7, 8, 9]}, steps=([1.0], [], [2.0, 3.0]), detail=({"i": 0}, {"i": 1}, {"i": 2}),
    )  # fmt: skip
    taken = batch.take([2, 0, 2])
    assert taken.reward.tolist() == [3, 1, 3]
    assert taken.outcome.tolist() == [1, 0, 1]
    assert taken.std.tolist() == [0.3, 0.1, 0.3]
    assert taken.members.tolist() == [[5, 6], [1, 2], [5, 6]]
    assert taken.aspects["a"].tolist() == [9, 7, 9]
    assert taken.steps == ([2.0, 3.0], [1.0], [2.0, 3.0])
    assert [d["i"] for d in taken.detail] == [2, 0, 2]
    assert_same(batch.take(batch.valid), batch.take([0, 2]))
    assert len(batch.take(np.zeros(0, dtype=int))) == 0


@settings(max_examples=60, deadline=None)
@given(reward_batches().filter(len), st.data())
def test_parts_join_to_the_whole(batch, data):
    cut = data.draw(st.integers(0, len(batch)))
    first, second = batch.take(np.arange(cut)), batch.take(np.arange(cut, len(batch)))
    assert_same(RewardBatch.concat([first, second]), batch)
    order = data.draw(st.permutations(range(len(batch))))
    assert_same(batch.take(order).take(np.argsort(order)), batch)


def test_concat_fills_what_a_part_lacks():
    tokens = (np.array([[0.0, 2.0, 0.5]]),)
    full = RewardBatch([1.0], std=[0.5], members=[[1.0, 2.0]], aspects={"a": [3.0]}, steps=([1.0],), tokens=tokens)
    joined = RewardBatch.concat([RewardBatch([NAN], [Outcome.TIMED_OUT]), full])
    assert np.isnan(joined.std[0])
    assert joined.std[1] == 0.5
    assert np.isnan(joined.members[0]).all()
    assert joined.aspects["a"][1] == 3.0
    assert [len(s) for s in joined.steps] == [0, 1]
    assert [t.shape for t in joined.tokens] == [(0, 3), (1, 3)]
    assert joined.outcome.tolist() == [3, 0]
    assert len(RewardBatch.concat([])) == 0


def test_ensembles_of_different_sizes_do_not_join():
    with pytest.raises(ShapeError, match=r"RewardBatch\.concat: members number \[1, 2\]; join batches of one ensemble"):
        RewardBatch.concat([RewardBatch([1.0], members=[[1.0]]), RewardBatch([1.0], members=[[1.0, 2.0]])])
