"""The experiments on objectives: their machinery, their data, and claims about another experiment's runs."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.lab import find_experiment, instances
from plaudit.lab.catalog import in_area, list_experiments
from plaudit.lab.claim import read_claim
from plaudit.lab.experiments.training.cyclic_annotators.experiment import as_lists
from plaudit.lab.experiments.training.objectives import experiment as objectives
from plaudit.lab.experiments.training.objectives.experiment import SETTINGS, fitted_slope, soft_pairs
from plaudit.lab.experiments.training.objectives_on_features import experiment as on_features
from plaudit.lab.experiments.training.other_objectives.experiment import SETTINGS as OTHERS
from plaudit.lab.experiments.training.other_objectives.rows import (
    as_demonstrations,
    by_annotator,
    groups_in,
    judged_pairs,
    outcomes,
    partly_labelled,
    preferred_by_aspect,
    rated_again,
    rated_twice,
    with_aspects,
)
from plaudit.lab.experiments.training.published_embeddings import experiment as published
from plaudit.lab.fitting import trained_in_world
from plaudit.lab.running import log_path, read_results
from plaudit.lab.worlds.assistant import ASPECTS, PolicyConfig, prepare
from plaudit.records.message import Message
from plaudit.records.rows import Pair, Ranked
from plaudit.training import FitConfig
from plaudit.training.methods import METHODS, chosen

SEED = 20_260
ASKED = (Message("user", "q"),)


def test_some_objectives_and_the_controls(smoke):
    experiment = find_experiment("training/objectives")
    arms = ["bradley-terry@20", "soft@20", "general-preference@0", "regression@40", "placebo@0", "longer", "oracle"]
    found = smoke("training/objectives", arms)
    assert found["oracle"]["accuracy"] == 1.0
    assert found["oracle"]["correlation"] == pytest.approx(1.0)
    assert found["oracle"]["best_of_4"] >= max(numbers["best_of_4"] for numbers in found.values())
    assert all(0 <= numbers["accuracy_shifted"] <= 1 for numbers in found.values())
    assert {f"{name}@{dose}" for name in SETTINGS for dose in (0, 20, 40)} <= set(experiment.claim.arms)


def test_objectives_that_read_other_rows(smoke, monkeypatch):
    fits = []

    def recorded(rows, **options):
        found = trained_in_world(rows, **options)
        fits.append((groups_in(rows), found.facts["groups"], options["batch_size"]))
        return found

    monkeypatch.setattr(objectives, "trained_in_world", recorded)
    claim = find_experiment("training/other_objectives").claim
    found = smoke("training/other_objectives", [*(f"{name}@20" for name in OTHERS), "placebo@20", "oracle"])
    assert found["oracle"]["accuracy"] == 1.0
    assert {f"{name}@{dose}" for name in OTHERS for dose in (0, 20, 40)} <= set(claim.arms)
    everything = {chosen(s.get("objective", "bradley-terry")).name for s in SETTINGS.values()}
    everything |= {objective for objective, _ in OTHERS.values()}
    assert len(fits) == len(OTHERS) + 1
    assert all(counted == made for counted, made, _ in fits)  # as the trainer makes them
    assert all(
        made / size == pytest.approx(0.5, rel=0.05) for _, made, size in fits
    )  # 16 lists, 32 to a step: all alike
    # the claim says why these are not here; the first is in an experiment of its own
    assert set(METHODS) - everything == {"cross-encoder", "variational", "yes-token", "principle-token"}


def test_both_completions_at_once(smoke, monkeypatch):
    fits = []

    def recorded(rows, **options):
        found = trained_in_world(rows, **options)
        fits.append((options["objective"], [r.scores for r in rows], found.facts["groups"] / options["batch_size"]))
        return found

    monkeypatch.setattr(objectives, "trained_in_world", recorded)
    arms = ["cross-encoder@20", "bradley-terry@20", "placebo@20", "longer", "oracle"]
    found = smoke("training/cross_encoded_pairs", arms)
    assert found["oracle"]["accuracy"] == 1.0
    assert set(found["cross-encoder@20"]) == set(found["bradley-terry@20"])
    (one, told, steps), (two, same, as_many), (three, dealt, _) = fits
    assert (one, two, three) == ("cross-encoder", "bradley-terry", "cross-encoder")
    assert told == same != dealt
    assert [sorted(levels) for levels in told] == [sorted(levels) for levels in dealt]
    assert steps == pytest.approx(as_many, rel=0.05) == pytest.approx(0.5, rel=0.05)


def test_preference_embeddings_as_published(smoke):
    arms = ["published@0", "unit@0", "regressed@0", "bradley-terry@0", "placebo@0", "longer", "oracle"]
    found = smoke("training/published_embeddings", arms)
    assert found["oracle"]["accuracy"] == 1.0
    assert all(set(found["published@0"]) == set(numbers) for numbers in found.values())
    # three objectives, and labels of another order: no two alike
    assert len({found[arm]["correlation"] for arm in arms[:5]}) == 5
    method = METHODS[published.SETTINGS["published"]]
    assert (method.options["temperature"], method.options["init"]) == (0.1, "small")


def test_experiments_of_one_table_have_its_columns():
    names = ("objectives", "other_objectives", "cross_encoded_pairs", "published_embeddings")
    claims = [find_experiment(f"training/{name}").claim for name in names]
    assert len({claim.summary for claim in claims}) == 1
    assert all(claim.notes for claim in claims)


def test_objectives_on_features(smoke):
    claim = find_experiment("training/objectives_on_features").claim
    found = smoke("training/objectives_on_features", [*(f"{n}@20" for n in SETTINGS), "placebo@0", "oracle"])
    assert found["oracle"]["accuracy"] == found["oracle"]["correlation"] == 1
    assert found["oracle"]["best_of_16"] >= max(numbers["best_of_16"] for numbers in found.values())
    # no objective is another one
    assert len({numbers["correlation"] for numbers in found.values()}) == len(found)
    theirs = find_experiment("training/objectives").claim
    assert set(theirs.arms) - set(claim.arms) == {"longer"}  # there are no words
    assert claim.metric == theirs.metric


def test_lists_of_features():
    world = on_features.World(7)
    x = world.items(3000, each=8, stream=9)
    worth = world.worth(x)
    assert (worth - worth.mean(axis=1, keepdims=True)).std() == pytest.approx(1, abs=0.02)
    assert np.ptp(x[:, :, :4], axis=1).max() == 0  # shared by the completions of a prompt
    features, rows = world.lists(50, each=4, flips=0.0)
    assert features.shape == (200, 12)
    assert [row.completions for row in rows[:2]] == [("0", "1", "2", "3"), ("4", "5", "6", "7")]
    assert all(len(set(row.scores)) > 1 for row in rows)
    u = world.worth(features).reshape(50, 4)
    levels = np.array([row.scores for row in rows])
    assert np.corrcoef(u.ravel(), levels.ravel())[0, 1] > 0.7  # noise and the ends of the scale take the rest
    turned = np.array([row.scores for row in world.lists(50, each=4, flips=0.4)[1]])
    upside_down = (turned == 6 - levels).all(axis=1) & (turned != levels).any(axis=1)
    assert ((turned == levels).all(axis=1) | upside_down)[:20].all()
    assert 0.2 < upside_down.mean() < 0.6


def test_a_fit_on_features_learns_what_is_better():
    world = on_features.World(7)
    features, rows = world.lists(200, each=4, flips=0.0)
    network, head = on_features.fitted(
        rows, features, FitConfig(objective="huber"), width=32, steps=120, batch=32, seed=0
    )
    x = world.items(400, each=2, stream=9)
    scores = head.read(network(torch.from_numpy(x)).detach().reshape(-1, 1)).score.reshape(-1, 2)
    truth = world.worth(x)
    assert np.mean((scores[:, 0] > scores[:, 1]) == (truth[:, 0] > truth[:, 1])) > 0.75


def test_other_rows_by_hand(small_worlds):
    world = prepare(SEED, PolicyConfig(demonstrations=200, epochs=1.0))
    bench = SimpleNamespace(world=world)
    rows = world.lists(4, each=3, seed=1)
    lists = [replace(row, scores=(2.0, 5.0, 2.0)) for row in rows]
    texts = [row.completions for row in lists]
    best = as_demonstrations(bench, lists, 0, 0.0)
    assert [(p.chosen, p.rejected) for p in best[:2]] == [(texts[0][1], texts[0][0]), (texts[0][1], texts[0][2])]
    told = partly_labelled(bench, lists, 0, 0.0)
    assert [p.meta["labelled"] for p in told] == [True, True, False, False] * 2
    assert all({p.chosen, p.rejected} <= set(texts[i // 2]) for i, p in enumerate(told))
    for pair in judged_pairs(bench, lists, 0, 0.0):
        assert pair.meta["judgements"][0] == 3.0
        assert len(pair.meta["judgements"]) == 3
    twice = rated_twice(bench, lists, 0, 0.0)
    assert [row.score for row in twice] == [2.0, 5.0, 2.0] * 4
    assert all(row.meta["second"] in range(1, 6) for row in twice)
    assert [row.label for row in outcomes(bench, lists, 0, 0.0)] == [False, True, False] * 4
    assert [p.annotator for p in by_annotator(bench, lists, 0, 0.0)] == ["a", "a", "b", "b"] * 2
    turned = [replace(row, meta={**row.meta, "flipped": True}) for row in lists]
    plain, upside_down = with_aspects(bench, lists, 0, 0.0), with_aspects(bench, turned, 0, 0.0)
    for name in ASPECTS:
        one, other = ([a[name] for row in told for a in row.meta["aspects"]] for told in (plain, upside_down))
        np.testing.assert_allclose(np.mean(one) - one, other - np.mean(other), atol=1e-12)
        assert np.mean(other) == pytest.approx(np.mean(one))  # the scale stays where it is
    for pair, other in zip(*(preferred_by_aspect(bench, r, 0, 0.0) for r in (lists, turned)), strict=True):
        assert set(pair.meta["aspect_preferences"].values()) <= {0.0, 0.5, 1.0}
        assert all(v + other.meta["aspect_preferences"][k] == 1 for k, v in pair.meta["aspect_preferences"].items())


def test_another_rater_agrees_without_noise_and_turns_lists_by_chance():
    row = Ranked(ASKED, ("a", "b", "c"), (1.0, 3.0, 5.0), {"u": [-2.0, 0.0, 2.0]})
    calm = SimpleNamespace(gumbel=lambda size: np.full(size, np.euler_gamma), random=lambda: 0.3)
    assert rated_again(row, 0.2, calm).tolist() == [1.0, 3.0, 5.0]
    assert rated_again(row, 0.4, calm).tolist() == [5.0, 3.0, 1.0]


def test_cyclic_annotators(smoke):
    arms = ["general-preference", "plackett-luce", "oracle"]
    found = smoke("training/cyclic_annotators", arms, unknown=("nothing",))
    assert found["oracle"]["log_loss_plain"] < min(np.log(2), found["plackett-luce"]["log_loss_plain"])
    assert found["oracle"]["cycles"] == found["general-preference"]["cycles"]  # of the annotators, whatever is fitted


def test_circles_have_no_order():
    def pair(a, b):
        return Pair(ASKED, a, b)

    circle, order = [pair("r", "s"), pair("s", "p"), pair("p", "r")], [pair("a", "b"), pair("a", "c"), pair("b", "c")]
    assert as_lists([circle]) == []
    (row,) = as_lists([order])
    assert dict(zip(row.completions, row.scores, strict=True)) == {"a": 2.0, "b": 1.0, "c": 0.0}


def test_soft_labels_and_slope_by_hand():
    first, second, third = soft_pairs([Ranked(ASKED, ("a", "b", "c"), (3.0, 2.0, 2.0))])
    assert first.meta["preference"] == second.meta["preference"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert third.meta["preference"] == 0.5
    # three wins in four at a margin of 2 have the log-odds log 3, so log(3) / 2 a unit
    assert fitted_slope(np.full(4, 2.0), np.array([1.0, 1, 1, 0])) == pytest.approx(np.log(3) / 2, rel=1e-3)


def test_rated_lists_are_nested_and_flips_turn_whole_lists(small_worlds):
    world = prepare(SEED, PolicyConfig(demonstrations=200, epochs=1.0))
    clean, noisy = (world.lists(30, each=3, seed=1, flips=f) for f in (0.0, 0.4))
    assert world.lists(10, each=3, seed=1) == clean[:10]
    for a, b in zip(clean, noisy, strict=True):
        assert a.completions == b.completions
        turned = tuple(6 - s for s in a.scores)  # a scale of 1 to 5 upside down
        assert b.scores == (turned if b.meta["flipped"] else a.scores)
    assert 0 < sum(b.meta["flipped"] for b in noisy) < 30
    assert not any(a.meta["flipped"] for a in clean)
    kinds = {r.meta["kind"] for r in clean}
    left = world.lists(10, each=3, seed=1, without=(sorted(kinds)[0],))
    assert sorted(kinds)[0] not in {r.meta["kind"] for r in left}
    with pytest.raises(InputError, match=r"flips 0\.5"):
        world.lists(1, each=3, seed=1, flips=0.5)


def test_a_claim_about_other_runs_reads_them(tmp_path):
    claims = list_experiments()
    base, about = claims["training/objectives"], claims["training/two_layer_head"]
    assert (about.runs, about.arms, about.budget, about.blind) == (base.name, base.arms, base.budget, base.blind)
    assert about.hash != base.hash
    assert log_path(tmp_path, about, smoke=False) == log_path(tmp_path, base, smoke=False)
    for role in ("development", "confirmatory"):
        assert instances(about, role) == instances(base, role)
    assert find_experiment("two_layer_head").run_instance is find_experiment("training/objectives").run_instance
    assert read_results(tmp_path, about) == {}


def test_every_contrast_is_among_the_settings():
    for claim in list_experiments().values():
        if claim.runs == "training/objectives":
            assert all(arm.partition("@")[0] in SETTINGS for arm in claim.contrast), claim.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ["a"]}, "arms is that of training/objectives, whose runs this claim is about; leave it out"),
        ({"runs": "training/one"}, "runs names the claim itself"),
        ({"runs": "training/two_layer_head"}, "takes its own runs from training/objectives; name that one"),
    ],
)
def test_refused_claims(change, message, tmp_path):
    source = Path(__file__).parents[2] / "src/plaudit/lab/experiments/training"
    for name in ("objectives", "two_layer_head"):
        (tmp_path / "training" / name).mkdir(parents=True)
        text = (source / name / "claim.yaml").read_text()
        (tmp_path / "training" / name / "claim.yaml").write_text(text)
    row = yaml.safe_load((source / "two_layer_head" / "claim.yaml").read_text()) | {"name": "training/one"} | change
    (tmp_path / "training" / "one").mkdir()
    (tmp_path / "training" / "one" / "claim.yaml").write_text(yaml.safe_dump(row))
    with pytest.raises(InputError, match=message):
        read_claim(tmp_path / "training" / "one" / "claim.yaml")


def test_areas(tmp_path, capsys):
    claims = list_experiments()
    models = in_area(claims, "reward-models")
    assert {"training/objectives", "rewards/ensembles_under_noise", "curation/tree_data"} <= set(models)
    assert "curation/reputation" not in models
    assert "rewards/verifier_outcomes" not in models
    assert set(in_area(claims, "verifiers")) == {"rewards/verifier_outcomes"}
    assert set(in_area(claims, "search")) == {n for n in claims if n.startswith("search/")}
    assert main(["lab", "evidence", "--area", "rewardmodels", "--folder", str(tmp_path)]) == 2
    assert "area 'rewardmodels' is not known; did you mean 'reward-models'" in capsys.readouterr().err
    assert main(["lab", "evidence", "--area", "search", "--folder", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert "search/best_of_n_overoptimisation" in page
    assert "training/" not in page
