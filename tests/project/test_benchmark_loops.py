"""The loops that the benchmarks time still run: an interface that moved must not be found by `make bench`."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def trainers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield pytest.importorskip("trainers")
    for name in ("trainers", "common"):
        sys.modules.pop(name, None)


def test_a_step_of_the_timed_loop_learns(trainers, tmp_path):
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(2):
        prompt = rng.integers(5, 100, 6)
        groups.append([np.concatenate([prompt, rng.integers(5, 100, 4)]).astype(np.int32) for _ in range(3)])
    steps = trainers.Steps()
    trainers.ours(groups, batch=2, out=str(tmp_path), steps=steps).train()
    assert len(steps.ends) == 1
    # three completions make three pairs a group, whose untrained scores are near each other
    assert steps.losses[0] == pytest.approx(np.log(2), abs=0.3)
