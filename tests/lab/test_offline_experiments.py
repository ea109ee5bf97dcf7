"""Smoke runs of the experiments on direct alignment: the machinery, not the claims."""

import pytest


def test_direct_overoptimisation(smoke):
    found = smoke("direct_overoptimisation")
    assert found["stopped"]["fall"] == found["dpo"]["fall"] == found["early"]["fall"]  # one training
    assert found["stopped"]["worth"] == pytest.approx(found["dpo"]["worth"] + found["dpo"]["fall"])
    assert found["dpo"]["at"] == 1.0


def test_length_growth(smoke):
    found = smoke("length_growth")
    assert found["dpo"]["growth"] != found["ld-dpo"]["growth"]


def test_reward_differences(smoke):
    found = smoke("reward_differences")
    assert found["rebel"]["worth"] != found["rebel@sign"]["worth"]
    assert found["dpo"]["worth"] != found["dpo@clean"]["worth"]


def test_reward_augmented(smoke):
    found = smoke("reward_augmented")
    assert found["dpo"]["low"] == found["dpo"]["worth"]  # it is not told what to reach
    assert found["augmented"]["low"] != found["augmented"]["worth"]
