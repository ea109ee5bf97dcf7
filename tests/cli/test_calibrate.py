"""`plaudit calibrate` from a file of pairs to a calibration in the model's folder, and what reads it."""

import json
import shutil

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.records import read
from plaudit.rewards.calibrators import VennAbers, read_calibration
from plaudit.rewards.registry import load, open_model, resolve
from small_data import pair_rows, write_rows


@pytest.fixture
def model(model_folder, tmp_path):
    """A copy that may be written to."""
    return shutil.copytree(model_folder, tmp_path / "run" / "model")


@pytest.fixture
def held_out(tmp_path):
    """Pairs of other prompts, every fifth labelled the wrong way round: the model is surer than it is right."""
    rows = pair_rows(60, start=100)
    for i, row in enumerate(rows):
        if i % 5 == 0:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    return write_rows(tmp_path / "held-out.jsonl", rows)


def calibrate(held_out, model, *words):
    return main(["calibrate", str(held_out), "--reward", str(model), *words])


def test_a_temperature_is_fitted_shown_stored_and_used(held_out, model, tmp_path, capsys):
    out = tmp_path / "c.json"
    stated = load(model).log_odds_per_unit
    assert calibrate(held_out, model, "--json", str(out)) == 0
    printed = capsys.readouterr()
    kept = read_calibration(model)
    assert printed.out.startswith("run: temperature, cross-fitted on 60 pairs of 60 prompts\n")
    told = f"temperature {1 / kept.calibrator.slope:.3f} (a stated log-odds counts {kept.calibrator.slope:.3f})"
    assert printed.out.endswith(f"{told}; stored in {model / 'calibration.json'}\n")
    assert printed.err == ""
    table = json.loads(out.read_text())
    names = ("log_loss", "brier", "calibration_error", "calibration_floor", "balance", "auroc")
    for name in names:
        assert {f"before/{name}", f"after/{name}"} <= set(table)
        assert f"after/{name}" in printed.out
    assert table["change/log_loss"]["value"] == pytest.approx(
        table["after/log_loss"]["value"] - table["before/log_loss"]["value"]
    )
    # a slope of its own for each fold keeps the order within it
    assert table["after/auroc"]["value"] == pytest.approx(table["before/auroc"]["value"])
    assert table["data"]["pairs"] == read(held_out).data_hash == kept.data_hash
    assert (kept.pairs, kept.prompts) == (60, 60)
    assert load(model).log_odds_per_unit == pytest.approx(stated * kept.calibrator.slope)
    assert calibrate(held_out, model.parent) == 0  # the run is named, its model meant; what is there is no input
    again = capsys.readouterr().out
    assert again == printed.out.rstrip("\n") + ", in place of an earlier calibration\n"
    assert main(["inspect", str(held_out), "--reward", str(model)]) == 0
    told = "calibration  probabilities are calibrated: temperature on 60 pairs of 60 prompts"
    assert told in capsys.readouterr().out.splitlines()


def test_evaluate_shows_calibrated_probabilities_without_options(held_out, model, tmp_path, capsys):
    out = tmp_path / "e.json"
    command = ["evaluate", str(held_out), "--reward", str(model), "--json", str(out)]
    assert main(command) == 0
    assert "are calibrated" not in capsys.readouterr().out
    plain = json.loads(out.read_text())
    for method in ("venn-abers", "temperature"):
        assert calibrate(held_out, model, "--method", method) == 0
        assert main(command) == 0
        assert f"probabilities are calibrated: {method} on 60 pairs of 60 prompts" in capsys.readouterr().out
        after = json.loads(out.read_text())
        assert after["accuracy"] == plain["accuracy"]
        assert after["log_loss"] != plain["log_loss"]
        reward = load(model)
        pairs = read(held_out).rows
        batch = reward([s for p in pairs for s in p.samples()])
        margin = (batch.reward[::2] - batch.reward[1::2]) * reward.manifest.scale
        p = reward.calibration.calibrator.probability(margin)
        assert after["log_loss"]["value"] == pytest.approx(-np.log(p).mean(), abs=1e-6)


def test_a_calibration_of_other_weights_is_replaced_and_refused_until_then(held_out, model, tmp_path, capsys):
    assert calibrate(held_out, model) == 0
    other = shutil.copytree(model, tmp_path / "other")
    row = json.loads((other / "calibration.json").read_text())
    (other / "calibration.json").write_text(json.dumps(row | {"weights": "0" * 32}))
    capsys.readouterr()
    assert main(["evaluate", str(held_out), "--reward", str(other)]) == 2
    error = capsys.readouterr().err
    assert "was fitted to other weights" in error
    assert error.count("\n") == 1
    assert calibrate(held_out, other, "--method", "venn-abers") == 0
    assert isinstance(read_calibration(other).calibrator, VennAbers)
    assert resolve(f"compare/margin?of={other}").name == "other-venn-abers"


def test_conformal_sets_have_coverage_and_size(held_out, model, tmp_path, capsys):
    out = tmp_path / "c.json"
    words = ["--method", "conformal", "--level", "0.7", "--json", str(out)]
    assert calibrate(held_out, model, *words) == 0
    assert "conformal sets of 70%" in capsys.readouterr().out
    table = json.loads(out.read_text())
    assert 0.55 <= table["coverage"]["value"] <= 1.0
    assert table["set_size"]["value"] == pytest.approx(1 + table["abstained"]["value"])
    assert read_calibration(model).calibrator.level == 0.7


def test_pairs_that_the_model_was_trained_on_are_told(held_out, model, capsys):
    (model.parent / "data").mkdir()
    shared = pair_rows(20, start=100) + pair_rows(20, start=0)
    write_rows(model.parent / "data" / "train.jsonl", shared)
    assert calibrate(held_out, model) == 0
    error = capsys.readouterr().err
    assert error.startswith("warning: 20 of 60 pairs have prompts that the model was trained on")


def test_a_trained_run_knows_its_prompts_without_its_data(held_out, model, tmp_path, capsys):
    data = write_rows(tmp_path / "train.jsonl", pair_rows(12, start=100) + pair_rows(12, start=0))
    out = tmp_path / "trained"
    command = ["train", str(data), "--out", str(out), "--width", "16", "--layers", "1", "--heads", "2"]
    assert main([*command, "--vocabulary", "300", "--learning-rate", "1e-3"]) == 0
    data.unlink()
    capsys.readouterr()
    assert calibrate(held_out, out / "model") == 0
    assert capsys.readouterr().err.startswith("warning: 12 of 60 pairs have prompts that the model was trained on")


def test_a_run_folder_means_its_model_and_a_log_scores_nothing_twice(held_out, model, tmp_path, monkeypatch):
    from plaudit.rewards.models import ModelReward

    log = tmp_path / "log.jsonl"
    assert calibrate(held_out, model.parent, "--log", str(log)) == 0
    calls = []
    original = ModelReward.__call__
    monkeypatch.setattr(ModelReward, "__call__", lambda self, s: calls.extend(s) or original(self, s))
    assert calibrate(held_out, model.parent, "--log", str(log), "--method", "isotonic") == 0
    assert calls == []  # the reward's fingerprint is not the calibration's


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "temprature"], "method 'temprature' is not known; did you mean 'temperature'"),
        (["--folds", "1"], "folds: k is 1; with 60 distinct prompts it must be from 2 to 60"),
        (["--method", "conformal", "--level", "1.5"], "conformal: level is 1.5; give a coverage between 0 and 1"),
        (
            ["--method", "conformal", "--level", "0.99"],
            "conformal: 60 pairs cannot promise 99%; give pairs of at least 99",
        ),
        (["--reward", "rule/length"], "rule/length is no folder; a calibration is stored with the model"),
        (["--reward", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(held_out, model, words, said, capsys):
    assert calibrate(held_out, model, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (model / "calibration.json").exists()


def test_a_model_that_is_always_right_on_the_pairs_has_no_temperature(model, tmp_path, capsys):
    right = write_rows(tmp_path / "right.jsonl", pair_rows(30, start=200))
    code = calibrate(right, model)
    error = capsys.readouterr().err
    assert code == 2
    assert "pairs are ranked right, so no slope is steep enough" in error
    assert calibrate(right, model, "--method", "platt") == 0
    # one wrong pair of thirty has one, though the fold that holds it is fitted to right ones
    rows = pair_rows(30, start=200)
    rows[7]["chosen"], rows[7]["rejected"] = rows[7]["rejected"], rows[7]["chosen"]
    capsys.readouterr()
    assert calibrate(write_rows(tmp_path / "nearly.jsonl", rows), model) == 0
    assert "\n1 of the folds are judged by a temperature with smoothed targets" in capsys.readouterr().out
    one = write_rows(tmp_path / "one.jsonl", [dict(row, prompt=rows[0]["prompt"]) for row in rows])
    assert calibrate(one, model) == 2
    error = capsys.readouterr().err
    assert "folds: the 30 rows have 1 distinct prompt, and a prompt is not divided; give rows of at least 2" in error


def test_a_model_that_is_mostly_wrong_is_worth_a_coin(model, tmp_path, capsys):
    rows = pair_rows(30, start=200)
    for row in rows[:20]:
        row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    assert calibrate(write_rows(tmp_path / "wrong.jsonl", rows), model) == 0
    assert "ranks these pairs no better than chance, so every probability is 1/2" in capsys.readouterr().out
    assert load(model).log_odds_per_unit == 0.0


def test_a_comparison_states_calibrated_probabilities_from_then_on(held_out, tmp_path, capsys):
    pairs = write_rows(tmp_path / "pairs.jsonl", pair_rows(48))
    out = tmp_path / "fit"
    words = ["--objective", "general-preference?temperature=1.0", "--epochs", "3", "--max-length", "64"]
    assert main(["train", str(pairs), "--out", str(out), *words]) == 0
    rows = read(held_out).rows
    sides = [[row.samples()[i] for row in rows] for i in (0, 1)]
    stated = resolve(str(out))(*sides)
    assert calibrate(held_out, out, "--method", "platt") == 0
    assert "after/log_loss" in capsys.readouterr().out
    found = resolve(str(out))
    said, back = found(*sides), found(*sides[::-1])
    # by hand: each probability is what the stored map makes of the stated log-odds
    odds = np.log(stated.probability / (1 - stated.probability))
    assert said.probability == pytest.approx(read_calibration(out / "model").calibrator.probability(odds), abs=1e-5)
    assert said.probability + back.probability == pytest.approx(np.ones(60))
    assert found.fingerprint != open_model(str(out), calibrated=False).fingerprint
    assert calibrate(held_out, out, "--method", "venn-abers") == 0
    said = resolve(str(out))(*sides)
    low, high = said.detail[0]["interval"]
    assert said.std[0] == pytest.approx((high - low) / 2)
    assert main(["evaluate", str(held_out), "--reward", str(out)]) == 0
    assert "probabilities are calibrated: venn-abers on 60 pairs of 60 prompts" in capsys.readouterr().out
    assert calibrate(held_out, out, "--log", str(tmp_path / "log.jsonl")) == 2
    assert "compares two samples, and the log is of rewards; leave out --log" in capsys.readouterr().err
