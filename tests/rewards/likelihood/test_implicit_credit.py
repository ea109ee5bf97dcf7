"""Implicit values against exhaustive enumeration, and by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plaudit.errors import InputError
from plaudit.rewards.likelihood import density_ratio, implicit_values, response_score, step_rewards


def tables(seed, vocabulary=3, length=4):
    """Next-token distributions of two autoregressive policies after every prefix."""
    rng = np.random.default_rng(seed)
    prefixes = [p for n in range(length) for p in itertools.product(range(vocabulary), repeat=n)]
    return [{p: rng.dirichlet(np.ones(vocabulary)) for p in prefixes} for _ in range(2)]


def logps(table, sequence):
    return np.array([np.log(table[sequence[:t]][sequence[t]]) for t in range(len(sequence))])


@pytest.mark.parametrize("beta", [0.05, 1.0, 3.0])
def test_values_are_the_reference_s_soft_expectations(beta):
    """q_t = beta log E_{ref(y | y <= t)} [exp(r / beta)], over all 3^4 completions."""
    policy, reference = tables(0)
    everything = list(itertools.product(range(3), repeat=4))
    for sequence in everything[::7]:
        q = implicit_values(logps(policy, sequence) - logps(reference, sequence), np.arange(1, 5), beta=beta)
        for t in range(1, 5):
            total = 0.0
            for other in (o for o in everything if o[:t] == sequence[:t]):
                r = beta * (logps(policy, other) - logps(reference, other)).sum()
                total += np.exp(logps(reference, other)[t:].sum() + r / beta)
            assert q[t - 1] == pytest.approx(beta * np.log(total), abs=1e-12)


def test_values_and_steps_by_hand():
    # sums of (1, -2, 4) are 1, -1, 3; half of them after two and three tokens: -0.5 and 1.5
    q = implicit_values(np.array([1.0, -2.0, 4.0]), np.array([2, 3]), beta=0.5)
    assert q.tolist() == [-0.5, 1.5]
    assert step_rewards(q).tolist() == [-0.5, 2.0]
    assert step_rewards(q, credit="accumulative").tolist() == [-0.5, 1.5]
    assert response_score(1.5, q) == 1.5
    assert response_score(1.5, q, over="min") == -0.5
    assert response_score(1.5, q, over="sum") == 1.0
    assert response_score(1.5, np.zeros(0), over="min") == 1.5
    assert implicit_values(np.array([1.0]), np.zeros(0, dtype=int)).size == 0


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(-5, 5)), st.data())
def test_single_steps_sum_to_the_response(ratio, data):
    ends = np.array(sorted([*data.draw(st.lists(st.integers(0, ratio.size), max_size=4)), ratio.size]))
    steps = step_rewards(implicit_values(ratio, ends, beta=0.3))
    assert steps.sum() == pytest.approx(0.3 * ratio.sum(), abs=1e-12)


def test_density_ratio_by_hand():
    strong, weak = np.array([-1.0, -2.0]), np.array([-3.0, -1.0, -2.0])
    assert density_ratio(strong, weak) == 3.0  # -3 - (-6)
    assert density_ratio(strong, weak, average="token") == 0.5  # -1.5 - (-2)
    assert density_ratio(strong, strong) == 0.0
    # additive over tokens
    assert density_ratio(strong, weak[:2]) == sum(density_ratio(strong[i : i + 1], weak[i : i + 1]) for i in range(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: implicit_values(np.zeros(2), np.array([3])), "ends [3] for 2 tokens; give rising counts"),
        (lambda: implicit_values(np.zeros(2), np.array([2, 1])), "ends [2, 1] for 2 tokens"),
        (lambda: implicit_values(np.zeros(2), np.array([1]), beta=0), "beta is 0; it must be positive"),
        (lambda: step_rewards(np.zeros(1), credit="both"), "credit is 'both'; give 'single' or 'accumulative'"),
        (lambda: response_score(0.0, np.zeros(1), over="max"), "over is 'max'; give 'total', 'min' or 'sum'"),
        (lambda: density_ratio(np.zeros(1), np.zeros(1), average="mean"), "average is 'mean'; give 'sum' or 'token'"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)
