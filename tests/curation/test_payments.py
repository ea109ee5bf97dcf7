"""Payments: scores by hand, properness, the threshold of effort, the linear programme against enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.curation.payments import affine_payment, best_response, cheapest_payments, peer_joint, proper_scores
from plaudit.errors import InputError, ShapeError

RULES = ("brier", "log", "spherical")


def signals(accuracy, prior=0.5):
    """P(state, signal) of a signal that is right with this chance, in two states."""
    return np.array(
        [[prior * accuracy, prior * (1 - accuracy)], [(1 - prior) * (1 - accuracy), (1 - prior) * accuracy]]
    )


LOOK, LAZY = signals(0.8), signals(0.6)


def test_scores_by_hand():
    q = [[0.8, 0.2]]
    # 1 - ((.2)^2 + (.2)^2) / 2 and 1 - ((.8)^2 + (.8)^2) / 2
    assert proper_scores(q).tolist() == [pytest.approx([0.96, 0.36])]
    # .8 / sqrt(.68)
    assert proper_scores(q, rule="spherical")[0, 0] == pytest.approx(0.8 / math.sqrt(0.68))
    assert proper_scores([[1.0, 0.0]], rule="log").tolist() == [pytest.approx([1.0, 0.0])]
    assert proper_scores([[0.1, 0.9]], rule="log", floor=0.01)[0, 0] == pytest.approx(0.5)  # 1 + log .1 / log 100


@settings(deadline=None)
@given(st.lists(st.floats(0.02, 1), min_size=2, max_size=4), st.lists(st.floats(0.02, 1), min_size=4, max_size=4),
       st.sampled_from(RULES))  # fmt: skip
def test_a_proper_score_is_best_at_the_belief(belief, other, rule):
    p = np.array(belief) / sum(belief)
    q = np.array(other[: len(p)]) / sum(other[: len(p)])
    own, elsewhere = (float(proper_scores(r[None], rule=rule)[0] @ p) for r in (p, q))
    assert own >= elsewhere - 1e-12
    table = proper_scores(np.stack([p, q]), rule=rule)
    assert 0 <= table.min() <= table.max() <= 1 + 1e-12


def test_the_threshold_by_hand():
    # Brier: posteriors (.8, .2) score .96 or .36: .84 by looking. A lazy signal of .6: .6 * .96 + .4 * .36 = .72
    found = affine_payment(LOOK, LAZY, 0.3)
    assert found.gap == pytest.approx(0.12)
    assert found.scale == pytest.approx(2.5)
    assert found.table.min() == pytest.approx(0)
    assert found.base == pytest.approx(-0.9)  # 2.5 * .36
    assert found.expected == pytest.approx(2.5 * 0.84 - 0.9)
    assert found.feasible


@pytest.mark.parametrize("rule", RULES)
def test_effort_switches_at_the_threshold(rule):
    found = affine_payment(LOOK, LAZY, 0.3, rule=rule)
    for factor, looks in ((0.999, False), (1.0, True), (1.001, True)):
        response = best_response(factor * (found.table - found.base) + found.base, LOOK, LAZY, 0.3)
        assert response.looks is looks
        assert response.honest
        assert response.report == (0, 1)
    assert best_response(found.table, LOOK, LAZY, 0.3).gain == pytest.approx(0, abs=1e-12)


def brute(table, joint, idle, cost):
    """Every way to report, with and without looking."""
    s = joint.shape[1]

    def worth(p, report):
        return sum(p[k, z] * table[report[z], k] for k in range(p.shape[0]) for z in range(p.shape[1]))

    look = max(worth(joint, r) for r in itertools.product(range(s), repeat=s)) - cost
    stay = max(worth(idle, r) for r in itertools.product(range(s), repeat=idle.shape[1]))
    return look, stay, worth(joint, range(s)) - cost


def random_joint(rng, k, s, prior):
    p = rng.dirichlet(np.ones(s), k) * prior[:, None]
    return p / p.sum()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2000), st.sampled_from(RULES))
def test_looking_and_honesty_is_a_best_response_and_the_programme_is_cheaper(seed, rule):
    rng = np.random.default_rng(seed)
    k, s = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    prior = rng.dirichlet(np.ones(k) * 3)
    joint, idle = random_joint(rng, k, s, prior), np.outer(prior, np.ones(1))
    affine = affine_payment(joint, idle, 0.2, rule=rule)
    if not affine.feasible:
        return
    look, stay, honest = brute(affine.table, joint, idle, 0.2)
    tolerance = 1e-7 * affine.scale
    assert honest >= max(look, stay) - tolerance
    assert affine.table.min() >= -tolerance
    cheap = cheapest_payments(joint, idle, 0.2)
    assert cheap.feasible
    look, stay, honest = brute(cheap.table, joint, idle, 0.2)
    assert honest >= max(look, stay) - 1e-6
    assert cheap.expected <= affine.expected + 1e-6
    assert cheap.expected == pytest.approx(float((joint.T * cheap.table).sum()))


def test_the_programme_by_hand():
    # Symmetric states: pay t where the report is right. .8 t - .3 >= .6 t, so t = 1.5 and it costs 1.2; paying one
    # report alone is no cheaper: without looking it would be reported always.
    found = cheapest_payments(LOOK, LAZY, 0.3)
    assert found.expected == pytest.approx(1.2)
    assert best_response(found.table, LOOK, LAZY, 0.3).looks


def test_a_signal_that_says_nothing_is_infeasible():
    nothing = signals(0.5)
    affine, cheap = affine_payment(nothing, LAZY, 0.1), cheapest_payments(nothing, LAZY, 0.1, high=10.0)
    for found in (affine, cheap, affine_payment(nothing, nothing, 0.1), cheapest_payments(nothing, nothing, 0.1)):
        assert not found.feasible
        assert found.why
        assert np.isnan(found.table).all()
    assert affine.gap <= 0


def test_bounds_of_payments():
    found = affine_payment(LOOK, LAZY, 0.3, low=1.0)
    assert found.table.min() == pytest.approx(1.0)
    capped = affine_payment(LOOK, LAZY, 0.3, high=1.0)  # .6 * 2.5 = 1.5 is what the best report earns
    assert not capped.feasible
    assert capped.why == "a report would earn 1.5, above the largest payment 1"
    assert not cheapest_payments(LOOK, LAZY, 0.3, high=1.4).feasible
    assert cheapest_payments(LOOK, LAZY, 0.3, high=1.5).feasible


def test_slack_is_what_looking_gains():
    for found in (affine_payment(LOOK, LAZY, 0.3, slack=0.1), cheapest_payments(LOOK, LAZY, 0.3, slack=0.1)):
        assert best_response(found.table, LOOK, LAZY, 0.3).gain == pytest.approx(0.1)


def test_a_peer_in_the_states_place_by_hand():
    # both right with .8, states even: they agree with .8^2 + .2^2 = .68
    table = peer_joint(LOOK, LOOK)
    assert np.trace(table) == pytest.approx(0.68)
    assert table.sum() == pytest.approx(1)
    paid = affine_payment(table, peer_joint(LAZY, LOOK), 0.3)
    assert paid.feasible
    assert best_response(paid.table, table, peer_joint(LAZY, LOOK), 0.3).looks
    # a peer who guesses tells nothing
    assert not affine_payment(peer_joint(LOOK, signals(0.5)), peer_joint(LAZY, signals(0.5)), 0.3).feasible


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: proper_scores([[0.5, 0.6]]), InputError, "at least 0, each with sum 1"),
        (lambda: proper_scores([[0.5, 0.5]], rule="brie"), InputError, "did you mean 'brier'"),
        (lambda: proper_scores([[0.5, 0.5]], rule="log", floor=0.0), InputError, "floor is 0.0"),
        (lambda: affine_payment([[0.5, 0.6]], LAZY, 0.1), InputError, "joint is a table P(state, signal)"),
        (lambda: affine_payment(LOOK, np.full((3, 1), 1 / 3), 0.1), ShapeError, "joint has 2 states and idle 3"),
        (lambda: affine_payment(LOOK, signals(0.6, 0.3), 0.1), InputError, "disagree about how often"),
        (lambda: affine_payment(LOOK, LAZY, -1.0), InputError, "cost -1.0"),
        (lambda: best_response(np.zeros((3, 2)), LOOK, LAZY, 0.1), ShapeError, "payments (3, 2)"),
        (lambda: peer_joint(LOOK, signals(0.6, 0.3)), InputError, "give equal ones"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
