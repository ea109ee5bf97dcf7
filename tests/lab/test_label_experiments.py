"""Smoke runs of the experiments on labels: the machinery, not the claims."""

import numpy as np
import pytest
import torch

from plaudit.lab.catalog import find_experiment
from plaudit.lab.experiments.rewards.scaled_members import experiment as scaled_members
from plaudit.lab.networks import minimise, small_network


def test_small_networks_come_from_their_seed_and_learn():
    before = torch.random.get_rng_state()
    one, same, other = (small_network(2, 1, width=3, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))
    assert small_network(2, 1, width=0, seed=5)(0 * x).tolist() == [[0.0]]  # a linear map has no level of its own
    minimise(one.parameters(), lambda _: (one(x) - 2.0).square().sum(), steps=200)
    assert float(one(x).detach()) == pytest.approx(2.0, abs=1e-3)
    done = []
    minimise(same.parameters(), lambda i: done.append(i) or same(x).sum(), steps=3)
    assert done == [0, 1, 2]


def test_predicting_pairs(smoke):
    found = smoke("predicting_pairs")
    assert found["oracle"]["error"] == 0.0
    assert found["pairs"] != found["shuffled"] != found["untrained"]
    # by hand: where every chance is 1/2 a model errs by its own spread only; a fit of ten steps stays near 1/2
    assert found["ensemble@0"]["true_hidden"] < 0.05 < found["ensemble"]["true_hidden"]


def test_consistent_labels(smoke):
    found = smoke("consistent_labels")
    assert found["oracle"]["accuracy"] == 1.0
    assert found["oracle"]["cosine"] == pytest.approx(1)
    assert found["prompt"]["consistency_easy"] > found["prompt"]["consistency_hard"]
    assert len({numbers["cosine"] for numbers in found.values()}) >= 8  # the arms are not one another


def test_internal_agreement(smoke):
    found = smoke("internal_agreement")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    # five steps after the warm-up move little: with more of them no two arms end at the same heads
    run = find_experiment("internal_agreement").run_instance
    budget = {"labelled": 20, "unlabelled": 60, "features": 4, "noise": 1.0, "steps": 100, "test": 1000}
    more = {arm: tuple(run(1, arm, budget=budget, fit=None).values()) for arm in found}
    assert len(set(more.values())) == len(found)


def test_judged_weights(smoke):
    found = smoke("judged_weights")
    assert len({numbers["error"] for numbers in found.values()}) == len(found)
    # of equal noise everywhere the true weights are all alike
    experiment = find_experiment("judged_weights")
    oracle = experiment.run_instance(1, "oracle@0", budget=experiment.claim.budget["smoke"], fit=None)
    uniform = experiment.run_instance(1, "uniform@0", budget=experiment.claim.budget["smoke"], fit=None)
    assert oracle["error"] == pytest.approx(uniform["error"])


def test_robust_heads(smoke):
    found = smoke("robust_heads")
    assert all(numbers["true_reward"] <= found["oracle"]["true_reward"] + 1e-9 for numbers in found.values())
    # the worst of the set is below the nominal reward, so what is claimed grows with its share
    assert found["robust_0"]["claimed"] <= found["robust_4"]["claimed"] <= found["nominal"]["claimed"] + 1e-9


def test_balance_score(smoke):
    found = smoke("balance_score")
    assert found["oracle"]["distance"] == 0.0
    # at temperature 1 stated chances are the true ones, whose error of 0 the constant answer meets
    assert found["zero"]["distance_calibrated"] == pytest.approx(0.0, abs=1e-12)
    assert len({numbers["distance"] for numbers in found.values()}) == len(found)


def test_rank_list(smoke):
    found = smoke("training/rank_list")
    assert found["oracle"]["tau"] == pytest.approx(1)
    # a list of two is one pair, whichever of the three objectives reads it
    assert found["rank_list@2"]["tau"] == found["adjacent@2"]["tau"] == found["plackett_luce@2"]["tau"]
    assert found["adjacent"] != found["shuffled"]


def test_soft_levels(smoke):
    found = smoke("soft_levels")
    assert found["oracle"]["srcc"] == pytest.approx(1)
    assert found["soft@0"] == found["one_hot@0"]  # raters of one mind: their mean is a level
    # soft labels have the raters' mean, the nearest level is off by less than half a level
    assert found["soft"]["off"] < 0.11 < found["one_hot"]["off"] < 0.5
    assert found["interpolated"]["off"] == pytest.approx(found["counts"]["off"], abs=1e-9)
    assert found["soft"]["srcc"] != found["same_std"]["srcc"]


def test_hull_pairs(smoke):
    found = smoke("hull_pairs")
    assert found["oracle"]["accuracy"] > 0.8
    assert found["hull@0"] == found["plain@0"] == found["plain"]  # nothing is reworded
    assert 0 < found["hull"]["rows"] < found["every"]["rows"] == 12 * 5  # three or more of six points, rarely all
    assert found["hull"]["c_res"] != found["elsewhere"]["c_res"]


def test_peer_review(smoke):
    found = smoke("peer_review")
    assert found["oracle"]["accuracy"] == 1.0
    assert found["collaborative@0"] == found["independent@0"]  # nothing is left out
    assert len({found[arm]["accuracy"] for arm in ("collaborative", "own", "coin", "one")}) > 1


def test_community_feedback(smoke):
    found = smoke("community_feedback")
    assert found["oracle"]["right"] == 1.0
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())
    assert found["corrected"] != found["raw"]


def test_scaled_members(smoke):
    found = smoke("scaled_members", unknown=("nothing", "ranks@0"))
    # of four, the best by the true reward cannot be beaten
    assert found["oracle"]["gain"] == max(v["gain"] for v in found.values())
    # a unit of one's own is taken out by the scale, but for rounding
    assert found["scaled"]["gain"] == pytest.approx(found["scaled@0"]["gain"])
    assert found["raw"]["spread"] != pytest.approx(found["raw@0"]["spread"])


def test_means_of_members_by_hand():
    # one prompt, two candidates; the members' known scores have mean 0 and deviations 1 and 10
    said = np.array([[[1.0, 0.0]], [[0.0, 5.0]]])
    known = np.array([[[1.0, -1.0]], [[10.0, -10.0]]])
    assert scaled_members._combined("raw", 0, said, known).tolist() == [[0.5, 2.5]]
    assert scaled_members._combined("scaled", 0, said, known).tolist() == [[0.5, 0.25]]
    assert scaled_members._combined("ranks", 0, said, known).tolist() == [[1.5, 1.5]]
