"""A calibration kept with a model: bound to its weights, read everywhere, and rewards stay as they are."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from scipy.special import expit

import plaudit
from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.evaluation import evaluate_pairs
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.rewards.calibrators import (
    Calibration,
    calibrated_probability,
    fit_calibrator,
    read_calibration,
    stated_margin,
    weights_digest,
)
from plaudit.rewards.calibrators.choosing import METHODS
from plaudit.rewards.comparisons import MarginComparison
from plaudit.rewards.models import ModelReward
from plaudit.rewards.registry import open_model, resolve

MARGINS = np.random.default_rng(0).normal(1.0, 2.0, size=60)


def calibrated(folder, method="temperature"):
    fitted = fit_calibrator(method, MARGINS)
    Calibration(fitted, 60, 50, "hash", {"seed": 0}).write(folder)
    return fitted


@pytest.fixture
def folder(make_reward, tmp_path):
    make_reward(objective="bradley-terry").save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("method", METHODS)
def test_it_comes_back_exactly(method, folder):
    fitted = calibrated(folder, method)
    found = read_calibration(folder)
    assert found.calibrator == fitted
    assert (found.pairs, found.prompts, found.data_hash, dict(found.made)) == (60, 50, "hash", {"seed": 0})
    assert found.weights == weights_digest(folder)
    assert plaudit.load(folder).calibration == found


def test_a_temperature_changes_what_a_difference_means_and_nothing_else(folder, samples):
    plain = plaudit.load(folder)
    fitted = calibrated(folder)
    reward = plaudit.load(folder)
    assert reward.log_odds_per_unit == pytest.approx(plain.log_odds_per_unit * fitted.slope)
    np.testing.assert_array_equal(reward(samples).reward, plain(samples).reward)
    assert reward.fingerprint == plain.fingerprint  # logs of rewards stay valid
    assert open_model(str(folder), calibrated=False).log_odds_per_unit == plain.log_odds_per_unit
    assert plaudit.load(f"model?path={folder}&calibrated=false").calibration is None


def test_other_methods_leave_the_scale_alone_and_give_probabilities(folder):
    plain = plaudit.load(folder).log_odds_per_unit
    fitted = calibrated(folder, "venn-abers")
    reward = plaudit.load(folder)
    assert reward.log_odds_per_unit == plain
    m = np.array([-0.7, 0.2, 1.5])
    np.testing.assert_allclose(calibrated_probability(reward)(m), fitted.probability(plain * m))


def test_margins_of_an_objective_without_log_odds_get_them_by_a_temperature(make_reward, tmp_path):
    make_reward(objective="regression", scale=2.0).save(tmp_path / "model")
    assert not hasattr(plaudit.load(tmp_path / "model"), "log_odds_per_unit")
    fitted = calibrated(tmp_path / "model")
    reward = plaudit.load(tmp_path / "model")
    assert reward.log_odds_per_unit == pytest.approx(2.0 * fitted.slope)
    np.testing.assert_allclose(stated_margin(reward, [3.0], [1.0]), [4.0])
    calibrated(tmp_path / "model", "isotonic")
    assert not hasattr(plaudit.load(tmp_path / "model"), "log_odds_per_unit")


def test_evaluation_takes_the_calibrated_probabilities(folder):
    fitted = calibrated(folder, "platt")
    reward = plaudit.load(folder)
    words = ["Lima", "I cannot help.", "a b c", "hum"]
    pairs = [Pair(conversation(f"q{i}"), words[i % 4], words[(i + 1) % 4]) for i in range(12)]
    batch = reward([s for p in pairs for s in p.samples()])
    first, second = batch.take(range(0, 24, 2)), batch.take(range(1, 24, 2))
    margin = stated_margin(reward, first.reward, second.reward)
    options = {"logit_scale": reward.log_odds_per_unit, "resamples": 10}
    plain = evaluate_pairs(pairs, first, second, **options)
    after = evaluate_pairs(pairs, first, second, probability=calibrated_probability(reward), **options)
    assert plain.log_loss.value == pytest.approx(-np.log(expit(margin)).mean())
    assert after.log_loss.value == pytest.approx(-np.log(fitted.probability(margin)).mean())
    assert after.accuracy == plain.accuracy


def test_the_same_in_a_new_process_and_after_saving_again(folder, samples, tmp_path, elsewhere):
    fitted = calibrated(folder, "venn-abers")
    copy = tmp_path / "copy"
    ModelReward.load(folder).save(copy)
    assert read_calibration(copy).calibrator == fitted  # bound to the copy's own files
    program = (
        "import sys, json; from plaudit.rewards.registry import resolve; from plaudit import Sample\n"
        "c = resolve(f'compare/margin?of={sys.argv[1]}')\n"
        "b = c([Sample('q', 'Lima')], [Sample('q', 'a b c')]); print(json.dumps([b.probability[0], b.std[0]]))"
    )
    printed = elsewhere(program, str(copy))
    here = resolve(f"compare/margin?of={folder}")([plaudit.Sample("q", "Lima")], [plaudit.Sample("q", "a b c")])
    np.testing.assert_allclose(json.loads(printed.splitlines()[-1]), [here.probability[0], here.std[0]], atol=1e-6)
    assert isinstance(resolve(f"compare/margin?of={copy}"), MarginComparison)


def test_other_weights_are_refused_in_one_line(folder):
    calibrated(folder)
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] += 1.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IntegrityError) as error:
        plaudit.load(folder)
    assert str(error.value) == (
        f"{folder / 'calibration.json'}: was fitted to other weights (or another template) than this folder holds; run "
        "plaudit calibrate again, or remove the file"
    )
    assert open_model(str(folder), calibrated=False).calibration is None  # what plaudit calibrate opens


def test_the_template_belongs_to_it_and_files_beside_the_model_do_not(folder):
    calibrated(folder)
    before = weights_digest(folder)
    (folder / "laplace.safetensors").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    assert weights_digest(folder) == before
    manifest = json.loads((folder / "plaudit.json").read_text())
    (folder / "plaudit.json").write_text(json.dumps(manifest | {"training": {"a": 1}}))
    assert weights_digest(folder) == before
    (folder / "plaudit.json").write_text(json.dumps(manifest | {"scale": 3.0}))
    assert weights_digest(folder) != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "is no calibration of format 1"),
        ("{}", "is no calibration of format 1"),
        ("unknown method", "method 'temprature' is not known; did you mean 'temperature'"),
        ("unknown key", "key 'slop' is not known; did you mean 'slope'"),
    ],
)
def test_a_file_that_is_none_says_so(folder, text, said):
    calibrated(folder)
    path = folder / "calibration.json"
    row = json.loads(path.read_text())
    changed = {
        "unknown method": json.dumps(row | {"method": "temprature"}),
        "unknown key": json.dumps(row | {"fit": {"slop": 1.0, "n": 3}}),
    }
    path.write_text(changed.get(text, text))
    with pytest.raises(InputError) as error:
        read_calibration(folder)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert str(error.value).endswith("run plaudit calibrate again, or remove the file")


def test_folders_without_weights(tmp_path):
    assert read_calibration(tmp_path) is None
    with pytest.raises(MissingError, match="holds no weights"):
        weights_digest(tmp_path)
