"""Experiments on ensembles and uncertainty: the machinery on a tiny budget, and their numbers by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plaudit.lab.catalog import find_experiment
from plaudit.lab.experiments.rewards.pretraining_seeds.experiment import _accuracy, _dealt, _scores
from plaudit.lab.experiments.rewards.rated_uncertainty.experiment import dealt, levels_of, rated_rows
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.measuring import Said, gain, intervals
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.sources import Told
from plaudit.lab.members import prepared, seeds_of, write_start


def test_ensembles_under_noise(smoke):
    arms = smoke("ensembles_under_noise")
    first = [numbers["true_1"] for numbers in arms.values()]
    assert first == pytest.approx([first[0]] * len(first))  # arms share the pool
    assert arms["oracle"]["drop"] == 0.0
    assert all(numbers["true_largest"] <= arms["oracle"]["true_largest"] for numbers in arms.values())
    assert arms["pretrain_mean"] != arms["finetune_mean"]


def test_pretraining_seeds(smoke):
    arms = smoke("pretraining_seeds")
    first = [numbers["true_1"] for numbers in arms.values()]
    assert first == pytest.approx([first[0]] * len(first))  # arms share the pool
    assert arms["oracle"]["drop"] == 0.0
    assert arms["pretrain_mean"] != arms["finetune_mean"]
    assert arms["placebo"] != arms["pretrain_uwo"]
    assert all(0 <= numbers["accuracy"] <= 1 for name, numbers in arms.items() if name not in ("oracle", "placebo"))


def test_members_share_their_pretraining_or_do_not(small_worlds):
    frozen = tuple(sorted(find_experiment("rewards/pretraining_seeds").claim.budget["smoke"].items()))
    alone, texts = _scores(20_260, 1, 2, 1.0, frozen)
    assert texts.size % 2 == 0
    assert np.array_equal(_scores.__wrapped__(20_260, 1, 2, 1.0, frozen)[0], alone)
    assert not np.allclose(_scores(20_260, 1, 4, 1.0, frozen)[0], alone)  # another head and order
    assert not np.allclose(_scores(20_260, 3, 2, 1.0, frozen)[0], alone)  # another pretraining


def test_accuracy_of_pairs_whose_better_completion_comes_first():
    assert _accuracy(np.array([2.0, 1.0, 0.0, 3.0, 1.0, 1.0, 5.0, 4.0])) == {"accuracy": 0.625}


def test_a_penalty_is_dealt_within_its_prompt():
    rng = np.random.default_rng(0)
    members = rng.normal(size=(12, 3))
    pool = SimpleNamespace(truth=rng.normal(size=(3, 4)))
    taken = members.mean(axis=1) - _dealt(members, pool, 0)
    centred = members.reshape(3, 4, 3) - members.reshape(3, 4, 3).mean(axis=1, keepdims=True)
    penalties = 0.5 * centred.var(axis=2)
    assert np.sort(taken.reshape(3, 4), axis=1) == pytest.approx(np.sort(penalties, axis=1))
    assert not np.allclose(taken, penalties.ravel())


def test_ensembles_shared_bias(smoke):
    arms = smoke("ensembles_shared_bias")
    assert all(numbers["excess"] <= arms["longest"]["excess"] for numbers in arms.values())
    assert arms["mean_biased"] != arms["mean_unbiased"]


def test_uncertainty_ranks_errors(smoke):
    arms = smoke("uncertainty_ranks_errors")
    assert arms["longer"]["gain"] == 0.0  # a constant deviation adds nothing
    assert arms["oracle"]["auroc_std"] == 1.0
    assert arms["oracle"]["gain"] == pytest.approx(1 - arms["oracle"]["auroc_margin"])
    assert arms["random"]["auroc_margin"] == arms["deep_ensemble"]["auroc_margin"]
    assert all(0 <= arms[a]["coverage"] <= 1 for a in ("deep_ensemble", "heads", "laplace", "evidential"))
    assert "coverage" not in arms["patterns"]


def test_rated_uncertainty(smoke):
    arms = smoke("rated_uncertainty")
    assert arms["regression"]["gain"] == 0.0  # a constant deviation adds nothing
    assert arms["oracle"]["gain"] == pytest.approx(1 - arms["oracle"]["auroc_margin"])
    for arm in ("beliefs", "two_ratings"):
        assert arms[arm]["auroc_margin"] == arms[f"{arm}_dealt"]["auroc_margin"]
        assert arms[arm]["auroc_off"] != arms[f"{arm}_dealt"]["auroc_off"]
    assert "coverage" not in arms["regression"]
    assert all(0 <= arms[a]["coverage"] <= 1 for a in ("beliefs", "two_ratings", "evidential", "gaussian_heads"))


def test_levels_are_fifths():
    assert levels_of(np.arange(10.0)[::-1]).tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]


def test_two_raters_see_the_same_completions_and_err_apart(small_worlds):
    world = prepared(20_260, 200, 1.0)
    pairs = world.pairs(40, seed=1)
    exact = rated_rows(pairs, noise=0.0, seed=1)
    assert [r.completion for r in exact] == [side.text for row in pairs for side in row.samples()]
    truth = np.array([[r.meta["u_chosen"], r.meta["u_rejected"]] for r in pairs]).ravel()
    assert all(r.score == r.meta["second"] for r in exact)
    order = np.argsort(truth, kind="stable")
    assert np.diff([exact[i].score for i in order]).min() >= 0
    noisy = rated_rows(pairs, noise=1.0, seed=1)
    assert 0 < np.mean([r.score == r.meta["second"] for r in noisy]) < 1
    assert {r.score for r in noisy} == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_deviations_are_dealt_across_the_distribution_and_within_prompts():
    rng = np.random.default_rng(2)
    inside, outside = (
        Said(rng.normal(size=n), lift + rng.random(n), rng.normal(size=n)) for n, lift in ((40, 0), (30, 9))
    )
    told = Told((inside, outside), np.zeros(12), np.arange(12.0), None, True)
    found = dealt(told, prompts=3, seed=0)
    both = np.concatenate([said.std for said in found.pairs])
    assert np.array_equal(np.sort(both), np.sort(np.concatenate([inside.std, outside.std])))
    assert 0.2 < np.mean(found.pairs[0].std > 5) < 0.65  # 30 of the 70 are large, wherever they are
    assert np.array_equal(found.pairs[1].margin, outside.margin)
    rows = found.pool_std.reshape(3, 4)
    assert np.array_equal(np.sort(rows, axis=1), np.arange(12.0).reshape(3, 4))
    assert not np.array_equal(rows, np.arange(12.0).reshape(3, 4))


def test_seeds_say_what_members_share(tmp_path):
    pretrain, finetune = (seeds_of(3, kind, 3) for kind in ("pretrain", "finetune"))
    assert pretrain[0] == finetune[0]
    assert len({b for b, _ in pretrain}) == 3
    assert len({b for b, _ in finetune}) == 1
    assert [m for _, m in pretrain] == [m for _, m in finetune]
    from transformers import AutoModelForSequenceClassification

    models = []
    for i, (backbone, head) in enumerate(((1, 1), (1, 2), (2, 2))):
        write_start(tmp_path / str(i), backbone=backbone, head=head, size="small")
        models.append(AutoModelForSequenceClassification.from_pretrained(tmp_path / str(i)))
    body = [m.model.layers[0].mlp.gate_proj.weight for m in models]
    score = [m.score.weight for m in models]
    assert torch.equal(body[0], body[1])
    assert not torch.equal(body[1], body[2])
    assert not torch.equal(score[0], score[1])
    assert torch.equal(score[1], score[2])


def test_gain_of_a_deviation_that_knows_and_of_one_that_does_not():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    std = rng.choice([0.2, 3.0], size=4000)
    margin = truth + std * rng.normal(size=4000)
    knows = gain(Said(margin, std, truth), seed=0)
    assert knows["gain"] > 0.05
    blind = gain(Said(margin, rng.permutation(std), truth), seed=0)
    assert abs(blind["gain"]) < 0.02
    constant = gain(Said(margin, np.ones(4000), truth), seed=0)
    assert constant["gain"] == pytest.approx(0, abs=1e-12)
    assert constant["auroc_margin"] == blind["auroc_margin"]
    assert gain(Said(truth, std, truth), seed=0) == {"gain": 0.0, "auroc_margin": 0.5, "auroc_std": 0.5}  # no errors


def test_intervals_of_a_calibrated_deviation_cover_as_they_say():
    rng = np.random.default_rng(1)
    margin, std = rng.normal(size=20_000), rng.uniform(0.5, 1.5, size=20_000)
    # the truth is twice the margin, with an error of twice the deviation: the unit is found by the slope
    truth = 2 * (margin + std * rng.normal(size=20_000))
    half = Said(margin, std / 2, truth)
    found = intervals(Said(margin, std, truth), half)
    assert found["coverage"] == pytest.approx(0.9, abs=0.012)  # 4 standard errors of 10,000
    assert found["coverage_off"] == pytest.approx(0.589, abs=0.015)  # |z| < 0.8224 of a normal distribution
