"""The fits of the benchmark of objectives on real pairs, on features whose answer is known."""

import sys
from pathlib import Path

import numpy as np
import pytest

from plaudit.training.methods import chosen

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def real(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = pytest.importorskip("objectives_real")
    for name, value in (("LEARNING_RATE", 3e-2), ("MOST_STEPS", 60), ("FOLDS", 3)):
        monkeypatch.setattr(module, name, value)
    yield module
    sys.modules.pop("objectives_real", None)


@pytest.fixture
def asked_for():
    """Prompts (80, 4) whose first number says whether a high or a low first number is wanted; completions (160, 4)."""
    rng = np.random.default_rng(0)
    prompts = np.where(rng.random((80, 1)) < 0.5, 1.0, -1.0) * [1, 0, 0, 0] + 0.1 * rng.normal(size=(80, 4))
    both = rng.normal(size=(80, 2, 4))
    both[:, 1, 0] = both[:, 0, 0] - np.sign(prompts[:, 0])
    return prompts, both.reshape(160, 4)


def test_heads_that_see_all_pairs_are_one_head(real):
    """A mean over k equal heads is one head only if each has one head's penalty."""
    features = np.random.default_rng(1).normal(size=(60, 2, 5))
    features[:, 0, 0] += 1
    held, identity = features[:10] + 0.5, np.arange(60.0)
    several, one = (
        real.fitted_head(chosen(name), {}, features, l2=0.1, weight=None, identity=identity)(held)
        for name in ("bradley-terry-heads?heads=3&bootstrap=1.0", "bradley-terry")
    )
    # as near as L-BFGS comes; three times the penalty is 0.1 or more off
    assert several == pytest.approx(one, abs=1e-3)


@pytest.mark.parametrize(("objective", "depth"), [("bradley-terry", 1), ("bradley-terry", 2), ("mixture", 1)])
def test_what_all_prompts_want_is_learned_by_steps(real, objective, depth):
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 2, 4))
    features[:, 0, 0] = features[:, 1, 0] + 1 + rng.random(60)
    prompts = [f"q{i}" for i in range(60)]
    margin, taken = real.out_of_fold_by_steps(
        chosen(objective), depth, features.reshape(120, 4), rng.normal(size=(60, 4)), prompts
    )
    assert (margin > 0).mean() > 0.95
    assert all(0 < n <= real.MOST_STEPS and n % real.EVERY == 0 for n in taken)


@pytest.mark.parametrize(("objective", "learns"), [("community", True), ("bradley-terry", False)])
def test_only_heads_that_read_the_prompt_learn_what_each_prompt_wants(real, asked_for, objective, learns):
    prompts, features = asked_for
    margin, _ = real.out_of_fold_by_steps(
        chosen(objective), 1, features, prompts, [f"q{i}" for i in range(len(prompts))]
    )
    assert ((margin > 0).mean() > 0.8) == learns


def test_few_steps_where_there_is_nothing_to_learn(real):
    """Noise is fitted the worse on the held-out folds, the longer it is fitted."""
    rng = np.random.default_rng(3)
    features, prompts = rng.normal(size=(120, 20)), [f"q{i}" for i in range(60)]
    _, taken = real.out_of_fold_by_steps(chosen("bradley-terry"), 1, features, rng.normal(size=(60, 20)), prompts)
    assert max(taken) < real.MOST_STEPS / 2
