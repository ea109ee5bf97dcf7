"""Committees from rankings: values by hand, greedy against enumeration, quotas, and what bias costs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.search.committees import committee_curve, committee_score, proportional_quotas, select_committee

RULES = ("borda", "sntv", "chamberlin-courant")
# two voters rank a, b, c; one ranks c, b, a
RANKS = np.array([[0, 1, 2], [0, 1, 2], [2, 1, 0]])


def test_scores_by_hand():
    # Borda points (2, 1, 0) / 2: a has (1 + 1 + 0) / 3, b has 1/2, c has 1/3
    assert committee_score(RANKS, [0]) == pytest.approx(2 / 3)
    assert committee_score(RANKS, [0, 1]) == pytest.approx(2 / 3 + 1 / 2)
    # first choices: two for a, one for c
    assert committee_score(RANKS, [0, 1], rule="sntv") == pytest.approx(2 / 3)
    assert committee_score(RANKS, [0, 2], rule="sntv") == 1
    # the best of b and c for each voter: 1/2, 1/2, 1
    assert committee_score(RANKS, [1, 2], rule="chamberlin-courant") == pytest.approx(2 / 3)
    assert committee_score(RANKS, []) == 0


def test_selection_by_hand():
    assert select_committee(RANKS, 2) == (0, 1)
    assert select_committee(RANKS, 2, rule="sntv") == (0, 2)
    # CC: a first (2/3); then c adds 1 for the third voter, b only 1/2
    assert select_committee(RANKS, 2, rule="chamberlin-courant") == (0, 2)
    # a place for group y, which has b and c: b is the better of them by Borda
    assert select_committee(RANKS, 1, groups=["x", "y", "y"], quotas={"y": 1}) == (1,)


def test_those_who_tie_for_the_first_place_share_the_vote():
    assert committee_score([[0, 0, 2]], [0], rule="sntv") == 0.5


def permutations(seed, m, n):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(n) for _ in range(m)])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(2, 7), st.data())
def test_greedy_against_all_subsets(seed, m, n, data):
    """The best of all subsets that meet the quotas: reached for sums, at least half of it for maxima."""
    ranks, k = permutations(seed, m, n), data.draw(st.integers(1, n))
    groups = [str(g) for g in np.random.default_rng(seed + 1).integers(0, 2, n)]
    quotas = proportional_quotas(groups, k)
    allowed = [
        s for s in combinations(range(n), k) if all(sum(groups[i] == g for i in s) >= q for g, q in quotas.items())
    ]
    for rule in RULES:
        found = select_committee(ranks, k, rule=rule, groups=groups, quotas=quotas)
        assert tuple(sorted(found)) in allowed
        best = max(committee_score(ranks, s, rule=rule) for s in allowed)
        reached = committee_score(ranks, found, rule=rule)
        assert reached >= (best / 2 if rule == "chamberlin-courant" else best) - 1e-9


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(RULES))
def test_quotas_of_nobody_are_plain_greedy_and_sums_are_the_top(seed, rule):
    ranks = permutations(seed, 4, 8)
    plain = select_committee(ranks, 3, rule=rule)
    assert select_committee(ranks, 3, rule=rule, groups=["a", "b"] * 4, quotas={"a": 0}) == plain
    if rule != "chamberlin-courant":
        single = [committee_score(ranks, [i], rule=rule) for i in range(8)]
        assert sum(single[i] for i in plain) == pytest.approx(sum(sorted(single)[-3:]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_more_in_the_set_is_never_worth_less_and_adds_less(seed):
    """Chamberlin-Courant is monotone and submodular, which is what the greedy guarantee rests on."""
    ranks = permutations(seed, 3, 6)

    def score(*s):
        return committee_score(ranks, list(s), rule="chamberlin-courant")

    assert score(0, 1) >= score(0) - 1e-12
    assert score(0, 2) - score(0) >= score(0, 1, 2) - score(0, 1) - 1e-12


def test_quotas_are_whole_and_may_not_fit():
    groups = ["a"] * 7 + ["b"] * 3
    assert proportional_quotas(groups, 3) == {"a": 2, "b": 0}  # 2.1 and 0.9, down
    assert proportional_quotas(groups, 10, rounding="up") == {"a": 7, "b": 3}
    with pytest.raises(InputError, match="'a': 3, 'b': 1} add up to 4 of 3 places; round down"):
        proportional_quotas(groups, 3, rounding="up")


def test_biased_rankings_need_quotas_and_fair_ones_lose_little():
    rng = np.random.default_rng(0)
    utility, groups = rng.random((40, 30)), ["a"] * 15 + ["b"] * 15
    shrunk = utility * np.where(np.arange(30) < 15, 1.0, 0.4)

    def ranks(u):
        return (-u).argsort(axis=1).argsort(axis=1)

    biased, latent = ranks(shrunk), ranks(utility)
    quotas = proportional_quotas(groups, 10)
    few, many = committee_curve(biased, latent, groups, 10, [1, 40], quotas=quotas, draws=20)
    assert many.m == 40
    assert many.gain.low > 0
    assert many.with_quotas.value > many.without.value
    assert few.with_quotas.value <= many.with_quotas.value
    fair = committee_curve(latent, latent, groups, 10, [40], quotas=quotas, draws=2)[0]
    assert fair.without.value == pytest.approx(1)
    assert 0.9 < fair.with_quotas.value <= 1


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: select_committee(RANKS, 4), InputError, "k is 4 of 3 candidates"),
        (lambda: select_committee(RANKS - 1, 1), InputError, "ranks lie between -1.0 and 1.0; give 0 (best) to 2"),
        (lambda: select_committee(np.zeros(3), 1), ShapeError, "give (voters, candidates)"),
        (lambda: select_committee(RANKS, 1, groups=["a"], quotas={"a": 1}), ShapeError, "1 groups for 3 candidates"),
        (
            lambda: select_committee(RANKS, 2, groups=["a", "b", "b"], quotas={"a": 2}),
            InputError, "'a' has 1 candidates for 2 places",
        ),
        (
            lambda: select_committee(RANKS, 1, groups=["a", "b", "b"], quotas={"a": 1, "b": 1}),
            InputError, "ask for 2 of 1 places",
        ),
        (lambda: committee_score(RANKS, [0, 0]), InputError, "name each once"),
        (
            lambda: committee_curve(RANKS, RANKS[:, :2], ["a"] * 3, 1, [1], quotas={}),
            ShapeError, "give (M, n) and (L, n)",
        ),
        (lambda: committee_curve(RANKS, RANKS, ["a"] * 3, 1, [4], quotas={}), InputError, "give 1 to 3"),
    ],
)  # fmt: skip
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
