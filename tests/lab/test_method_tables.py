"""The tables of methods: their world by hand, and smoke runs."""

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.experiments.policy.online_methods import experiment as table
from plaudit.lab.tabular import TabularPolicy
from plaudit.policy.online.methods import ONLINE

BUDGET = {"prompts": 3, "batch": 2, "each": 4, "updates": 4, "rate": 0.03, "level": 1.0, "share": 0.25, "error": 0.7}


def test_all_methods_are_in_the_table(smoke):
    found = smoke("policy/online_methods")
    assert set(found) == {"coin", "oracle", *ONLINE} - {"ppo"}
    for numbers in found.values():
        assert numbers["kl"] >= 0
        assert -1 <= numbers["truth_at_kl"] <= 1


def test_right_answers_have_the_share_that_is_asked_for():
    world = table.World.made(7, BUDGET)
    # up to five tokens of four, then the end or five without one: 1 + 4 + 16 + 64 + 256 that end, and 4^5 that do not
    assert len(world.every) == 1365
    chance = world.start.chances(world.every).detach()
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-12)
    for said in (world.right, world.passed):
        share = (chance * said).sum(1)
        assert (share <= 0.25).all()
        assert (share > 0.2).all()  # the next one would have gone beyond
    assert 0.05 < float((world.right != world.passed).double().mean())
    alike = table.World.made(7, {**BUDGET, "error": 0.0})
    assert torch.equal(alike.right, alike.passed)


def test_the_best_are_kept_up_to_the_share():
    # in falling worth the chances are 0.1, 0.2, 0.3, 0.4: 0.1 and 0.3 are within 0.35, 0.6 is not
    kept = table._best(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), torch.tensor([[0.4, 0.1, 0.2, 0.3]]), 0.35)
    assert kept.tolist() == [[False, True, True, False]]


def test_what_methods_are_told_follows_from_the_verdicts():
    world = table.World.made(7, BUDGET)
    drawn = world.start.sample(torch.tensor([1, 2]), 3, torch.Generator().manual_seed(0))
    told = world.judged(drawn, world.passed)
    rows = [world.every.tolist().index(row) for row in drawn.tokens.tolist()]
    verdicts = [float(world.passed[p, k]) for p, k in zip([1, 1, 1, 2, 2, 2], rows, strict=True)]
    assert list(told.reward) == list(told.correct) == list(told.columns["allowed"]) == verdicts
    assert told.tasks == ("task 1",) * 3 + ("task 0",) * 3
    first, second = told.compared.pairs.T
    lead = np.array(verdicts)[first] - np.array(verdicts)[second]
    np.testing.assert_array_equal(told.compared.probability, np.where(lead == 0, 0.5, lead > 0))


def test_truth_and_distance_are_those_of_the_policy():
    world = table.World.made(3, BUDGET)
    assert world.measured(world.start)["kl"] == 0
    sure = TabularPolicy(
        torch.zeros_like(world.start.logits), world.start.moves, length=table.LENGTH, end=table.END
    )  # fmt: skip
    with torch.no_grad():
        sure.logits[..., table.END] = 50.0  # says nothing: the completion that ends at once
    silent = world.every.tolist().index([0] * table.LENGTH)
    found = world.measured(sure)
    assert found["truth"] == pytest.approx(float(world.right[:, silent].double().mean()), abs=1e-9)
    # log 1 less the start's log-chance of ending at once
    ends = torch.log_softmax(world.start.logits.detach(), -1)[:, 0, table.END]
    assert found["kl"] == pytest.approx(float(-ends.mean()), abs=1e-9)


def test_an_unknown_arm_is_refused():
    with pytest.raises(InputError, match="arm 'ppo' is not known"):
        table.run_instance(1, "ppo", budget=BUDGET, fit=None)
