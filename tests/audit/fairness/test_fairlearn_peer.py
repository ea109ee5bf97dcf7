"""Parity with fairlearn: accuracy by group and by crossed cell, demographic parity, equal odds, selection rates."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.audit.fairness.cells import cell_gaps
from plaudit.audit.fairness.disparity import disparity_estimates
from plaudit.audit.fairness.parity import conditional_parity
from plaudit.audit.fairness.selection import selection_gaps
from plaudit.records import Message, Pair

pytestmark = pytest.mark.peer
SEEDS = range(5)
CLOSE = dict(abs=1e-9, rel=1e-9)


@pytest.fixture(scope="module")
def fair():
    return pytest.importorskip("fairlearn.metrics")


def judged(seed, n=400):
    """What was said and what is right, 0 or 1, for groups of unequal size, truth and accuracy."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["north", "south", "west"], n, p=[0.6, 0.3, 0.1])
    truth = (rng.random(n) < np.where(group == "north", 0.6, 0.4)).astype(int)
    said = np.where(rng.random(n) < np.where(group == "west", 0.6, 0.85), truth, 1 - truth)
    return group, truth, said


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracies_of_groups_and_what_is_made_of_them(fair, seed):
    from sklearn.metrics import accuracy_score

    group, truth, said = judged(seed)
    peer = fair.MetricFrame(metrics=accuracy_score, y_true=truth, y_pred=said, sensitive_features=group)
    found = disparity_estimates((said == truth).astype(float), group.tolist(), min_group=1, resamples=5)
    assert found.overall.value == pytest.approx(peer.overall, **CLOSE)
    assert {g: e.value for g, e in found.groups.items()} == pytest.approx(peer.by_group.to_dict(), **CLOSE)
    assert found.psd_max.value == pytest.approx(peer.difference("between_groups") / peer.overall, **CLOSE)
    # the farthest group from the overall metric is one of those that the equity-scaled one sums over
    assert peer.overall / found.equity_scaled.value - 1 >= peer.difference("to_overall") - 1e-9
    away = np.abs(peer.by_group.to_numpy() - peer.overall).sum()
    assert found.equity_scaled.value == pytest.approx(peer.overall / (1 + away), **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_selection_rates_of_groups(fair, seed):
    group, truth, said = judged(seed)
    peer = fair.MetricFrame(metrics=fair.selection_rate, y_true=truth, y_pred=said, sensitive_features=group)
    found = disparity_estimates(said.astype(float), group.tolist(), min_group=1, resamples=5)
    assert {g: e.value for g, e in found.groups.items()} == pytest.approx(peer.by_group.to_dict(), **CLOSE)
    assert found.overall.value == pytest.approx(peer.overall, **CLOSE)
    parity = fair.demographic_parity_difference(truth, said, sensitive_features=group)
    assert found.psd_max.value * found.overall.value == pytest.approx(parity, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_demographic_parity_and_equal_odds_are_parity_without_strata_and_at_equal_truth(fair, seed):
    group, truth, said = judged(seed)
    protected = group == "south"
    found = conditional_parity(said, protected, truth, resamples=5)
    side = np.where(protected, "protected", "others")
    peer = fair.MetricFrame(
        metrics={"rate": fair.selection_rate, "tpr": fair.true_positive_rate, "fpr": fair.false_positive_rate},
        y_true=truth, y_pred=said, sensitive_features=side,
    ).by_group  # fmt: skip
    signed = peer.loc["protected"] - peer.loc["others"]
    assert found.marginal.value == pytest.approx(signed["rate"], **CLOSE)
    assert abs(found.marginal.value) == pytest.approx(
        fair.demographic_parity_difference(truth, said, sensitive_features=side), **CLOSE
    )
    assert found.gaps["1"].value == pytest.approx(signed["tpr"], **CLOSE)
    assert found.gaps["0"].value == pytest.approx(signed["fpr"], **CLOSE)
    odds = fair.equalized_odds_difference(truth, said, sensitive_features=side)
    assert max(abs(e.value) for e in found.gaps.values()) == pytest.approx(odds, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_gaps_of_strata_are_those_of_a_control_feature(fair, seed):
    rng = np.random.default_rng([seed, 1])
    group, truth, said = judged(seed)
    protected, stratum = group != "north", rng.choice(["low", "middle", "high"], len(group))
    found = conditional_parity(said, protected, stratum, eps=0.02, resamples=5)
    peer = fair.MetricFrame(
        metrics=fair.selection_rate, y_true=truth, y_pred=said, sensitive_features=protected.astype(int),
        control_features=stratum,
    ).by_group  # fmt: skip
    gaps = {s: peer.loc[(s, 1)] - peer.loc[(s, 0)] for s in ("low", "middle", "high")}
    assert {s: e.value for s, e in found.gaps.items()} == pytest.approx(gaps, **CLOSE)
    # their gaps, weighted by the protected rows of each stratum, what is tolerated taken off
    share = {s: float((protected & (stratum == s)).sum() / protected.sum()) for s in gaps}
    short = sum(share[s] * max(0.0, -gap - 0.02) for s, gap in gaps.items())
    assert found.violation.value == pytest.approx(short, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_cells_of_crossed_attributes(fair, seed):
    from sklearn.metrics import accuracy_score

    rng = np.random.default_rng([seed, 2])
    n = 300
    age, tongue = rng.choice(["old", "young"], n, p=[0.3, 0.7]), rng.choice(["de", "en", "fr"], n)
    wrong = rng.random(n) < np.where((age == "old") & (tongue == "de"), 0.5, 0.1)
    pairs = [
        Pair((Message("user", f"q {i}"),), "a", "b", meta={"age": a, "tongue": t})
        for i, (a, t) in enumerate(zip(age.tolist(), tongue.tolist(), strict=True))
    ]
    found = cell_gaps(pairs, np.where(wrong, -1.0, 1.0), ["age", "tongue"], min_group=1, resamples=5)
    options = dict(metrics=accuracy_score, y_true=np.ones(n), y_pred=1 - wrong.astype(int))
    crossed = fair.MetricFrame(**options, sensitive_features={"age": age, "tongue": tongue}).by_group
    expected = {f"age={a}, tongue={t}": v for (a, t), v in crossed.to_dict().items()}
    for column, values in (("age", age), ("tongue", tongue)):
        one = fair.MetricFrame(**options, sensitive_features=values).by_group
        expected |= {f"{column}={v}": x for v, x in one.to_dict().items()}
    assert {c.cell: c.accuracy for c in found.gaps} == pytest.approx(expected, **CLOSE)
    values = {"age": age, "tongue": tongue}
    for cell in found.gaps:
        inside = np.all([values[k] == v for k, v in (part.split("=") for part in cell.cell.split(", "))], axis=0)
        two = fair.MetricFrame(**options, sensitive_features=inside.astype(int)).by_group
        assert cell.gap.value == pytest.approx(two[1] - two[0], **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_best_of_all_candidates_selects_as_their_selection_rate_says(fair, seed):
    # best of all m candidates of a prompt is its top one: fairlearn's share of the selected that are of the group
    rng = np.random.default_rng([seed, 3])
    prompts, m = 30, 5
    reward = rng.permutation(prompts * m).astype(float).reshape(prompts, m)
    group = np.array([rng.permutation(["north", "south", *rng.choice(["north", "south"], m - 2)])
                      for _ in range(prompts)])  # fmt: skip
    (north, south) = selection_gaps(
        reward.ravel(), group.ravel().tolist(), np.repeat(np.arange(prompts), m), n=m, min_prompts=1, resamples=5
    )
    top = (reward == reward.max(axis=1, keepdims=True)).astype(int).ravel()
    rate = fair.MetricFrame(metrics={"rate": fair.selection_rate, "n": fair.count}, y_true=top, y_pred=top,
                            sensitive_features=group.ravel()).by_group  # fmt: skip
    chosen = rate["rate"] * rate["n"] / prompts  # share of the prompts whose selected completion is of the group
    size = rate["n"] / (prompts * m)
    assert north.lift.value == pytest.approx(chosen["north"] - size["north"], **CLOSE)
    assert south.lift.value == pytest.approx(chosen["south"] - size["south"], **CLOSE)
