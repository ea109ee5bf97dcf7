"""A calibration that is stored with a likelihood reward is read with it, and belongs to both of its models."""

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from plaudit.errors import IntegrityError
from plaudit.records.sample import Sample
from plaudit.rewards.calibrators import Calibration, fit_calibrator
from plaudit.rewards.comparisons import MarginComparison
from plaudit.rewards.likelihood import RatioReward
from plaudit.rewards.likelihood.saved import load_likelihood, save_likelihood
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.registry import open_model, resolve


@pytest.fixture
def folder(language, tmp_path):
    save_likelihood(tmp_path / "model", RatioReward(language(0), language(1)), Manifest(objective="implicit-dpo"))
    margins = np.random.default_rng(0).normal(1.0, 2.0, size=60)
    Calibration(fit_calibrator("platt", margins), 60, 50, "hash").write(tmp_path / "model")
    return tmp_path / "model"


def test_it_comes_with_the_reward_and_makes_a_comparison(folder, tmp_path):
    reward = load_likelihood(folder)
    assert reward.calibration.calibrator.method == "platt"
    compare = resolve(f"compare/margin?of={folder}")
    assert isinstance(compare, MarginComparison)
    pair = [Sample("What is the capital of Peru?", "Lima.")], [Sample("What is the capital of Peru?", "Rain.")]
    # both sides in one call, as the comparison scores them: what is multiplied together rounds together
    a, b = reward([*pair[0], *pair[1]]).reward
    assert compare(*pair).probability.tolist() == reward.calibration.calibrator.probability([a - b]).tolist()
    assert open_model(str(folder), calibrated=False).calibration is None
    save_likelihood(tmp_path / "again", reward, Manifest(objective="implicit-dpo"))
    assert load_likelihood(tmp_path / "again").calibration.calibrator == reward.calibration.calibrator


def test_another_reference_makes_it_another_s(folder):
    path = folder / "reference" / "model.safetensors"
    weights = load_file(path)
    save_file({name: value + 0.01 for name, value in weights.items()}, path, metadata={"format": "pt"})
    with pytest.raises(IntegrityError, match="was fitted to other weights"):
        load_likelihood(folder)
