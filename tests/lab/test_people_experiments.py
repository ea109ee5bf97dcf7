"""Smoke runs of the experiments on people and on how data is made: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.catalog import find_experiment
from plaudit.lab.experiments.training.rotated_minority import experiment
from plaudit.lab.experiments.training.rotated_minority.people import accuracies, dealt, exchanged, people
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation


def test_rotated_minority(smoke, development):
    found = smoke("rotated_minority")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    # without rotation both groups value the same, so a reward for all serves both alike
    assert found["single@0"]["accuracy_majority"] == found["single@0"]["accuracy_minority"]
    of = find_experiment("rotated_minority")
    seed, budget = development(of).seed, of.claim.budget["smoke"]
    turned, plain = people(seed, 90.0, budget), people(seed, 0.0, budget)
    assert [r.prompt for r in turned.train] == [r.prompt for r in plain.train]
    assert all(r.meta["annotator_group"] == "minority" for rows in turned.contexts["minority"] for r in rows)
    assert {len(rows) for rows in turned.contexts["majority"]} == {budget["context"]}
    assert np.allclose(plain.values["minority"].weights, plain.values["majority"].weights)
    assert not np.allclose(turned.values["minority"].weights, turned.values["majority"].weights)


def test_controls_of_the_mixture_and_of_directions(small_worlds, development, monkeypatch):
    of = find_experiment("rotated_minority")
    seed, budget, fitted, objectives = development(of).seed, of.claim.budget["smoke"], experiment._fitted, []
    for cached in (experiment._of_all, experiment._of_aspects):
        cached.cache_clear()

    def counted(found, rows, seed, budget, objective):
        objectives.append(f"{objective}@{found.rotation:.0f}")
        return fitted(found, rows, seed, budget, objective)

    monkeypatch.setattr(experiment, "_fitted", counted)
    controls = ("mixture", "mixture_exchanged", "mixture_loose", "directions", "directions_exchanged",
                "mixture@0", "unadapted@0", "directions@0")  # fmt: skip
    found = {arm: of.run_instance(seed, arm, budget=budget, fit=None) for arm in controls}
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    # an exchange is of users, not of models, and rotation has others
    assert objectives == [
        "mixture@90", "mixture?entropy_coef=0.05@90", "aspects@90", "mixture@0", "aspects@0"
    ]  # fmt: skip
    assert found["directions_exchanged"] != found["directions"]  # three pairs of another person's are another direction
    assert found["unadapted@0"]["accuracy_majority"] == found["unadapted@0"]["accuracy_minority"]


def test_exchanged_users_are_known_by_pairs_of_the_other_group(small_worlds, development):
    """A scorer that ranks as the group values whose pairs it is shown: all right, then right where the groups agree."""
    of = find_experiment("rotated_minority")
    found = people(development(of).seed, 90.0, of.claim.budget["smoke"])

    def whose(context):
        (group,) = {r.meta["annotator_group"] for r in context}
        return lambda samples: found.values[group](found.world.world.parse(samples))

    known = dict.fromkeys(found.contexts, whose)
    assert accuracies(found, known) == {"accuracy_majority": 1.0, "accuracy_minority": 1.0}
    parsed = [found.world.world.parse([r.samples()[k] for r in found.test]) for k in (0, 1)]
    margins = {g: value(parsed[0]) - value(parsed[1]) for g, value in found.values.items()}
    told = {
        f"accuracy_{mine}": np.mean((np.sign(margins[mine] * margins[other])[np.abs(margins[mine]) > 1e-9] + 1) / 2)
        for mine, other in (("majority", "minority"), ("minority", "majority"))
    }
    assert accuracies(exchanged(found), known) == pytest.approx(told)
    assert max(told.values()) < 1  # turned weights disagree about some of them


@pytest.mark.parametrize("name", ["mixture_minority", "direction_minority"])
def test_claims_about_its_runs(name):
    claim = find_experiment(name).claim
    assert claim.runs == "training/rotated_minority"
    assert set(claim.contrast) <= set(find_experiment("rotated_minority").claim.arms)


def test_users_get_equally_many_rows_of_their_group():
    groups = ["majority", "minority", "majority", "majority", "minority"]
    rows = [Pair(conversation("q"), "a", "b", meta={"annotator_group": g}) for g in groups]
    found = dealt(rows, 2)
    assert {k: len(v) for k, v in found.items()} == {"majority-0": 2, "minority-0": 2, "majority-1": 1}
    assert all(row.annotator == name for name, own in found.items() for row in own)


def test_tree_data(smoke):
    found = smoke("tree_data")
    assert found["oracle"]["cosine"] == pytest.approx(1)
    assert all(numbers["best_of_16"] <= found["oracle"]["best_of_16"] + 1e-12 for numbers in found.values())


def test_hierarchical_factors(smoke):
    found = smoke("hierarchical_factors")
    assert all(numbers["best_of_16"] <= found["oracle"]["best_of_16"] + 1e-12 for numbers in found.values())
    # the unit changes nothing for a ranking, and nothing before it changed for the weights
    assert found["hierarchy"] == pytest.approx(found["hierarchy@1"])
    assert found["weights@1"] == found["oracle"]


def test_balanced_sources(smoke):
    found = smoke("training/balanced_sources")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert len({tuple(numbers.values()) for numbers in found.values()}) >= 6  # the arms are not one another


def test_domain_features(smoke):
    found = smoke("domain_features")
    assert found["oracle"]["accuracy"] == 1.0
    assert all(0 <= numbers["accuracy"] <= 1 for numbers in found.values())
    assert found["features_300"] != found["features_300@noise"]


def test_minority_controls(smoke):
    found = smoke("minority_controls")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert found["unadapted@0"]["accuracy_majority"] == found["unadapted@0"]["accuracy_minority"]
