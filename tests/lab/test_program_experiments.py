"""The world of programs, and the smoke run of Q functions that are fitted in it: the machinery, not the claims."""

import math

import numpy as np
import pytest
import torch

from plaudit.lab.experiments.policy import programs as world_of
from plaudit.lab.experiments.policy.program_values import experiment as valued


def written(*texts):
    return torch.tensor([[world_of.TOKENS.index(c) for c in text] for text in texts])


def test_programs_are_run_from_left_to_right():
    # x + 2 * x on 0, 1, 2, 3, 5: (x + 2) x = 0, 3, 8, 15, 35
    found = world_of.run(written("+2*x", "/x+1", "-1/2", "2+x*"))
    assert found[0].tolist() == [0, 3, 8, 15, 35]
    # x / x is 1 but for 0, where it is an error
    assert math.isnan(found[1, 0])
    assert found[1, 1:].tolist() == [2, 2, 2, 2]
    assert found[2].tolist() == [-0.5, 0, 0.5, 1, 2]
    assert np.isnan(found[3]).all()
    assert world_of.compiles(written("+2*x", "2+x*", "++xx")).tolist() == [True, False, False]


@pytest.fixture(scope="module")
def world():
    return world_of.programs(3, tasks=6, test=4, operations=2, skill=6, errors=2)


def test_what_programs_earn(world):
    asked = world.every[world.asked[:1]]
    other = written("/x+1", "2+x*")
    tasks = torch.zeros(3, dtype=torch.int64)
    assert world.rewards(tasks, torch.cat([asked, other])).tolist() == [1.0, -0.6, -1.0]
    wrong = world.every[~world.passes(tasks[:1])[0] & ~np.isnan(world.does).any(axis=1)]
    assert (world.rewards(torch.zeros(len(wrong), dtype=torch.int64), wrong) == -0.3).all()


def test_what_is_asked_for_runs_and_passes(world):
    assert not np.isnan(world.does[world.asked.numpy()]).any()
    passes = world.passes(torch.arange(10))
    assert passes[np.arange(10), world.asked.numpy()].all()
    assert passes.sum() > 10  # other programs do the same


def test_pass_rates_are_those_of_samples(world):
    policy = world.policy(world.start, world.test)
    drawn = policy.sample(torch.arange(4), 5000, torch.Generator().manual_seed(0))
    assert np.isclose(
        (world.rewards(drawn.prompt + 6, drawn.tokens) == 1).mean(), world.passed(world.start), atol=0.015
    )
    assert world.passed(world.best) > world.passed(world.start)


def test_q_functions_of_programs(smoke):
    found = smoke("policy/program_values", unknown=("nothing", "nothing@0", "right@hot", "start@0"))
    assert found["likeliest"]["passed"] == found["conservative"]["passed"]  # one policy, ranked otherwise
    assert found["conservative"]["passed"] != found["max"]["passed"]
    assert found["conservative"]["passed"] != found["shuffled"]["passed"]
    assert found["right"]["highest"] == found["start"]["highest"] == 0
    assert found["oracle"]["passed"] > found["start"]["passed"]


def test_q_is_the_policy_and_its_target_the_priors_choice(world):
    budget = {
        "value_steps": 40, "value_rate": 0.05, "steps": 2, "rate": 0.01, "alpha": 0.5, "gamma": 0.9, "beta_adv": 0.1,
        "beta_ce": 0.1,
    }  # fmt: skip
    rows = valued._rows(world, 4, torch.Generator().manual_seed(0))
    assert rows.shown.sum() == 6
    assert (rows.reward[rows.shown > 0] == 1).all()
    fitted = valued._Fitted(world, rows, budget, greedy=False, plain=False)
    q = fitted.q().detach()
    shown = fitted.policy.next_logits(rows.task, rows.tokens).detach()
    torch.testing.assert_close((q / 0.5).softmax(-1)[q.amax(-1) < 1], shown.softmax(-1)[q.amax(-1) < 1])
    # the value of all beginnings alike has moved towards what is earned, from 0
    assert abs(float(q[:, -1].amax(-1).mean())) > 0.01
