"""Reputations: a round by hand, properties, and annotators who turn labels round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.curation.reputation import annotator_reputations, reputation_rows, updated_reputations
from plaudit.errors import InputError, ShapeError
from plaudit.records import Message, Pair


def test_a_round_by_hand():
    # unit gradients (1, 0) and (0, 1) with reputations 3/4 and 1/4: u = (.75, .25), |u| = sqrt(.625)
    r, cosine, u = updated_reputations([[2.0, 0.0], [0.0, 5.0]], [3.0, 1.0], memory=0.5)
    size = np.sqrt(0.625)
    assert u.tolist() == [0.75, 0.25]
    assert cosine.tolist() == pytest.approx([0.75 / size, 0.25 / size])
    raw = np.array([0.375 + 0.375 / size, 0.125 + 0.125 / size])  # half the old, half the cosine
    assert r.tolist() == pytest.approx((raw / raw.sum()).tolist())


def test_identical_gradients_share():
    r, cosine, _ = updated_reputations(np.ones((4, 3)), np.ones(4))
    assert r.tolist() == pytest.approx([0.25] * 4)
    assert cosine.tolist() == pytest.approx([1.0] * 4)


def test_who_pulls_the_other_way_decays():
    gradient = np.array([[1.0, 0.2], [1.0, -0.2], [1.0, 0.0], [-1.0, 0.0]])
    first, cosine, _ = updated_reputations(gradient, np.ones(4))
    second, _, _ = updated_reputations(gradient, first)
    assert cosine[3] < 0
    assert 0.25 > first[3] > second[3]


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0, 1))
def test_they_add_up_and_follow_their_annotators(seed, n, memory):
    rng = np.random.default_rng(seed)
    gradient, r, order = rng.normal(size=(n, 3)), rng.random(n) + 0.01, rng.permutation(n)
    found, cosine, _ = updated_reputations(gradient, r, memory=memory)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert (np.abs(cosine) <= 1 + 1e-12).all()
    moved, _, _ = updated_reputations(gradient[order], r[order], memory=memory)
    np.testing.assert_allclose(moved, found[order], atol=1e-12)
    scaled, _, _ = updated_reputations(gradient * rng.uniform(0.1, 9, (n, 1)), r, memory=memory)
    np.testing.assert_allclose(scaled, found, atol=1e-12)  # only directions count


def test_an_aggregate_of_nothing_changes_nothing():
    r, cosine, _ = updated_reputations([[1.0], [-1.0]], [1.0, 1.0])
    assert r.tolist() == [0.5, 0.5]
    assert cosine.tolist() == [0.0, 0.0]


def labelled(seed=0, each=60):
    """Seven honest annotators, two who turn labels round, one who guesses."""
    rng = np.random.default_rng(seed)
    w, who, rows = rng.normal(size=5), [], []
    for i in range(10):
        x = rng.normal(size=(each, 5))
        right = rng.random(each) < 1 / (1 + np.exp(-2 * x @ w))
        sign = np.where(right, 1, -1) * (-1 if i in (7, 8) else 1)
        rows.append(x * (rng.choice([-1, 1], each) if i == 9 else sign)[:, None])
        who += [f"a{i}"] * each
    return np.concatenate(rows), who, w


def test_those_who_turn_labels_round_are_dropped():
    x, who, w = labelled()
    found = annotator_reputations(x, who)
    assert {"a7", "a8"} <= set(found.dropped)
    assert all(f"a{i}" not in found.dropped for i in range(7))
    assert all(found.agreement[a] < 0 for a in ("a7", "a8"))
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.pairs["a0"] == 60
    size = np.sqrt((x**2).mean(axis=0))
    assert np.corrcoef(found.coefficients / size, w)[0, 1] > 0.9
    kept = annotator_reputations(x, who, threshold=0.0)
    assert set(kept.weights) == set(found.weights)


def test_the_majority_is_who_is_believed():
    """What the page warns of: with more who turn labels round than not, the honest are dropped."""
    x, who, _ = labelled()
    few = np.isin(who, ["a0", "a7", "a8"])
    found = annotator_reputations(x[few], np.array(who)[few].tolist())
    assert set(found.dropped) == {"a0"}


def test_rows_weigh_n_times_the_reputation():
    x, who, _ = labelled()
    found = annotator_reputations(x, who)
    pairs = [Pair((Message("user", "q"),), "a", "b", annotator=a, meta={"k": 1}) for a in ("a0", "a7")]
    rows = reputation_rows(pairs, found)
    assert rows[0].meta == {"k": 1, "weight": 10 * found.weights["a0"]}
    assert rows[1].meta["weight"] == 0
    with pytest.raises(InputError, match="row 1 is of annotator 'zz', who has no reputation"):
        reputation_rows([Pair((Message("user", "q"),), "a", "b", annotator="zz")], found)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: updated_reputations([[1.0]], [1.0, 1.0]), ShapeError, "give (n, d) and (n,)"),
        (lambda: updated_reputations([[np.nan]], [1.0]), InputError, "gradients must be finite"),
        (lambda: updated_reputations([[1.0]], [0.0]), InputError, "one of them above it"),
        (lambda: updated_reputations([[1.0]], [1.0], memory=2), InputError, "memory is 2"),
        (lambda: annotator_reputations([[1.0]], ["a"]), InputError, "1 annotators"),
        (lambda: annotator_reputations([[1.0]], ["a", "b"]), ShapeError, "give (m, d) and (m,)"),
        (lambda: annotator_reputations([[1.0], [1.0]], ["a", "b"], rounds=0), InputError, "rounds 0"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
