"""Two rewards weighed while decoding: what a second objective is, and what a weight does."""

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.experiments.rewards.autoregressive_reward.experiment import seen
from plaudit.lab.experiments.rewards.autoregressive_reward.walks import TOKENS, Walks
from plaudit.lab.experiments.search.guided_decoding.experiment import decoded
from plaudit.lab.experiments.search.two_objectives.experiment import (
    WEIGHTS,
    by_token,
    reader_of,
    run_instance,
    soup,
    weighted,
)
from plaudit.rewards.likelihood.autoregressive import guided_logits

BUDGET = {"pairs": 20, "width": 3, "steps": 2, "beta": 0.5, "test": 30}


@pytest.fixture(scope="module")
def both():
    first = Walks(4)
    return first, Walks(5, beside=first)


@pytest.fixture(scope="module")
def readers(both):
    return [reader_of(both, world.expected, 10, BUDGET, part=i) for i, world in enumerate(both)]


def test_smoke(smoke):
    arms = smoke("two_objectives")
    assert arms["oracle"]["worth"] > 0.2
    assert arms["oracle"]["monotone"] == 1
    for name, numbers in arms.items():
        by_hand = [w * numbers[f"first_{w}"] + (1 - w) * numbers[f"second_{w}"] for w in WEIGHTS]
        assert numbers["worth"] == pytest.approx(np.mean(by_hand)), name
    assert arms["mean"]["moved"] == 0  # one reward, whatever the weight
    same = arms["two@same"]
    assert all(same[f"first_{w}"] == same[f"second_{w}"] for w in WEIGHTS)


def test_a_second_objective_judges_the_same_texts(both):
    first, second = both
    assert np.array_equal(second.policy, first.policy)
    assert np.array_equal(first.draw(5, 3), Walks(4).draw(5, 3))
    opposed = Walks(5, beside=first, correlation=-0.6)
    assert opposed.worth == pytest.approx(-0.6 * first.worth + 0.8 * second.worth)
    # expected truth is that under the shared policy: a text's mean over next tokens is its own
    begun = first.draw(50, 3)[:, :6]
    after = np.stack([opposed.expected(np.column_stack([begun, np.full(50, t)])) for t in range(TOKENS)], axis=1)
    assert (first.policy[begun[:, -1]] * after).sum(axis=1) == pytest.approx(opposed.expected(begun))


def test_a_weight_is_a_sum_of_log_probabilities(both, readers):
    begun = both[0].draw(7, 3)[:, :4]
    logp = [r.network(seen(begun)[:, -1]).log_softmax(-1) for r in readers]
    base = torch.from_numpy(np.log(both[0].policy[begun[:, -1]]))
    mine = guided_logits(base, by_token(readers, [0.25, 0.75])(begun)[None], alphas=[2.0])
    assert torch.allclose(mine.softmax(-1), guided_logits(base, torch.stack(logp), alphas=[0.5, 1.5]).softmax(-1))


def test_the_ends_of_a_soup_are_its_ingredients(both, readers):
    begun = both[0].draw(7, 3)[:, :4]
    for i, weights in enumerate(([1.0, 0.0], [0.0, 1.0])):
        assert torch.equal(by_token([soup(readers, weights)], [1.0])(begun), by_token([readers[i]], [1.0])(begun))
    middle, end = (soup(readers, w).network.state_dict() for w in ([0.5, 0.5], [1.0, 0.0]))
    assert any(not torch.equal(middle[k], end[k]) for k in end)


def test_what_a_weight_is_worth(both):
    texts, _ = decoded(both[0], lambda begun: torch.zeros(len(begun), TOKENS), 1.0, n=5, part=3)
    assert weighted(both, 0.25)(texts) == pytest.approx(0.25 * both[0].expected(texts) + 0.75 * both[1].expected(texts))


def test_an_arm_that_is_not_known():
    with pytest.raises(InputError, match="arm 'three' is not known"):
        run_instance(1, "three", budget=BUDGET, fit=None)
