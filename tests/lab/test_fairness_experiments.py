"""Smoke runs of the experiments on fairness: the machinery, not the claims."""

import pytest


def test_group_scaling(smoke):
    found = smoke("training/group_scaling")
    assert found["oracle"]["worst_accuracy"] == 1
    assert all(n["worst_accuracy"] == min(n["minority"], n["majority"]) for n in found.values())
    assert all(n["overall"] == pytest.approx(0.85 * n["majority"] + 0.15 * n["minority"]) for n in found.values())


def test_identity_scaling_is_about_the_same_runs(smoke):
    found = smoke("training/identity_scaling")
    for n in found.values():
        assert n["psd_max"] == pytest.approx(abs(n["minority"] - n["majority"]) / n["overall"])


def test_crossed_attributes(smoke):
    found = smoke("training/crossed_attributes", unknown=("nothing", "crossed@1"))
    assert all(n["disparity"] >= 0 and 0 <= n["accuracy"] <= 1 for n in found.values())
    assert len({n["spread"] for n in found.values()}) == len(found)  # the arms are not one another


def test_crossed_cells_is_about_the_same_runs(smoke):
    found = smoke("training/crossed_cells", arms=("crossed@cell", "marginal@cell"), unknown=("nothing",))
    assert found["crossed@cell"] != found["marginal@cell"]


def test_streaming_parity(smoke):
    found = smoke("training/streaming_parity")
    assert all(0 <= v <= 1 for n in found.values() for v in n.values())
    assert found["running"] != found["plain"]
    assert found["plain@0"]["accuracy"] == found["plain@0"]["labels"]  # without a bias both kinds of label are one


def test_fair_committees(smoke):
    found = smoke("search/fair_committees", unknown=("nothing", "plain-bord"))
    assert found["oracle"]["quality"] == 1
    assert all(n["second"] == 0.5 for arm, n in found.items() if arm.startswith("quotas"))  # two of four places
    assert all(0 < n["quality"] <= 1.0001 for arm, n in found.items() if "-" not in arm)  # sums: nobody beats the top


def test_reputation(smoke):
    found = smoke("curation/reputation")
    assert found["uniform"]["liars"] == pytest.approx(0.3)
    assert found["oracle"]["liars"] == 0
    assert found["uniform"]["honest"] == 6
    assert found["uniform@0"]["accuracy"] >= 0


def test_effort_payments(smoke):
    found = smoke("curation/effort_payments")
    assert found["oracle"]["looks"] == 1
    assert all(0 <= n["accuracy"] <= 1 for n in found.values())
    assert found["scored"] != found["half"]
