"""Smoke runs of the experiments on strengths, meta steps and further terms: the machinery, not the claims."""

import math

import pytest


def test_preference_strength(smoke):
    found = smoke("curation/preference_strength")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert found["flip"]["wrong_bottom"] == found["leave"]["wrong_bottom"]  # the strengths are those of all arms
    assert found["flip@0"]["wrong_bottom"] == found["flip@0"]["wrong_top"] == 0
    assert len({numbers["accuracy"] for numbers in found.values()}) >= 4  # the arms are not one another


def test_meta_reward(smoke):
    found = smoke("training/meta_reward")
    assert all(0 <= numbers[k] <= 1 for numbers in found.values() for k in ("accuracy", "accuracy_shifted"))
    assert found["meta"] != found["plain"] != found["longer"]
    assert found["start"] != found["meta"]
    assert found["plain@bare"] != found["plain"]
    # without a shift both policies' completions have one distribution, and the scores the same deviation but for chance
    assert found["plain@0"]["accuracy"] == found["plain"]["accuracy"]
    assert found["plain@0"]["spread"] == pytest.approx(1, abs=0.5)


def test_contrastive_term(smoke):
    found = smoke("training/contrastive_term")
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())
    assert found["contrastive@0"] == found["plain"]  # a coefficient of 0 is plain training
    assert len({numbers["log_loss"] for numbers in found.values()}) == len(found) - 1


def test_agreement_falls(smoke):
    found = smoke("rewards/agreement_falls")
    assert all(-1 <= numbers["agreement"] <= 1 for numbers in found.values())
    assert found["best_of_64@same"]["agreement"] == found["all@same"]["agreement"] == pytest.approx(1)
    # at a smoke run's sizes: n of 1, 2 and 4; log n - (n - 1) / n
    assert found["all"]["kl_bound"] == 0
    assert found["best_of_8"]["kl_bound"] == pytest.approx(math.log(2) - 1 / 2)
    assert found["best_of_64"]["kl_bound"] == pytest.approx(math.log(4) - 3 / 4)
    assert len({numbers["agreement"] for numbers in found.values()}) >= 9


def test_fused_reward(smoke):
    found = smoke("rewards/fused_reward")
    assert found["bare@0"]["accuracy"] == found["oracle"]["accuracy"] == 1
    assert found["bare"]["moved"] == found["twice"]["moved"] == 0 < found["fused"]["moved"] <= found["wide"]["moved"]
    assert found["fused"] != found["shuffled"]
