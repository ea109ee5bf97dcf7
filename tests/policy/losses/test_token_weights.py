import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import token_weights

LENGTHS = np.array([2, 4, 6, 0])
ALL = np.array([True, True, False, True])


@pytest.mark.parametrize(
    ("how", "more", "expected"),
    [
        # 2 + 4 + 0 tokens are included
        ("token", {}, [1 / 6, 1 / 6, 0, 0]),
        # three completions are included, the empty one among them
        ("sequence", {}, [1 / 6, 1 / 12, 0, 0]),
        ("constant", {"max_tokens": 10}, [1 / 30, 1 / 30, 0, 0]),
        ("sequence-sum", {}, [1 / 3, 1 / 3, 0, 0]),
        # micro-batches {0, 1} of 6 tokens and {2, 3} of 0 included ones: two batches
        ("batch-token", {"batches": [5, 5, 7, 7]}, [1 / 12, 1 / 12, 0, 0]),
        # {0} and {1}: each 1 / (2 L); {2} has nothing that is included and is no batch; {3} is one, without tokens
        ("batch-token", {"batches": [0, 1, 2, 1]}, [1 / 4, 1 / 8, 0, 0]),
    ],
)
def test_by_hand(how, more, expected):
    assert token_weights(LENGTHS, ALL, how=how, **more) == pytest.approx(np.array(expected))


CASES = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12)
HOWS = st.sampled_from(["token", "sequence", "constant", "sequence-sum"])


@given(CASES, HOWS)
def test_what_is_not_included_changes_nothing_for_the_others(rows, how):
    lengths, included = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = token_weights(lengths, included, how=how, max_tokens=9)
    alone = token_weights(lengths[included], included[included], how=how, max_tokens=9)
    assert np.allclose(found[included], alone)
    assert not found[~included].any()


@given(CASES, HOWS)
def test_a_count_of_two_is_the_same_as_being_there_twice(rows, how):
    lengths, included = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    count = np.array([r[2] for r in rows])
    found = token_weights(lengths, included, how=how, max_tokens=9, count=count)
    again = np.repeat(np.arange(len(rows)), count)
    spelled = token_weights(lengths[again], included[again], how=how, max_tokens=9)
    assert np.allclose(found, np.bincount(again, weights=spelled, minlength=len(rows)))
    # only ratios of counts matter
    assert np.allclose(found, token_weights(lengths, included, how=how, max_tokens=9, count=7.5 * count))


@given(CASES)
def test_token_and_sequence_are_means(rows):
    lengths, included = np.array([r[0] + 1 for r in rows]), np.array([r[1] for r in rows])
    for how in ("token", "sequence"):
        assert (token_weights(lengths, included, how=how) * lengths).sum() == pytest.approx(float(included.any()))


def test_equal_lengths_make_them_all_one():
    lengths, included = np.full(6, 4), np.ones(6, bool)
    token = token_weights(lengths, included)
    assert np.allclose(token, token_weights(lengths, included, how="sequence"))
    assert np.allclose(token, token_weights(lengths, included, how="constant", max_tokens=4))
    assert np.allclose(token, token_weights(lengths, included, how="batch-token", batches=[0, 0, 1, 1, 2, 2]))
    assert np.allclose(4 * token, token_weights(lengths, included, how="sequence-sum"))


def test_nothing_included_is_no_division_by_zero():
    for how in ("token", "sequence", "sequence-sum"):
        assert not token_weights(LENGTHS, np.zeros(4, bool), how=how).any()


def test_errors_say_what_is_wrong():
    with pytest.raises(InputError, match="how 'tokens' is not known; did you mean 'token'"):
        token_weights(LENGTHS, ALL, how="tokens")
    with pytest.raises(InputError, match="max_tokens is None; `constant` divides by it"):
        token_weights(LENGTHS, ALL, how="constant")
    with pytest.raises(InputError, match="`batch-token` needs batches"):
        token_weights(LENGTHS, ALL, how="batch-token")
    with pytest.raises(InputError, match="a count is -1"):
        token_weights(LENGTHS, ALL, count=[1, -1, 1, 1])
    with pytest.raises(ShapeError, match=r"lengths \(4,\), marks \(3,\)"):
        token_weights(LENGTHS, ALL[:3])
    with pytest.raises(ShapeError, match=r"batches \(2,\) for lengths \(4,\)"):
        token_weights(LENGTHS, ALL, how="batch-token", batches=[0, 1])
