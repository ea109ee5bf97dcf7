"""Batches of completions for estimators."""

import numpy as np
import pytest

from plaudit.policy import AdvantageInputs


@pytest.fixture(scope="session")
def make_inputs():
    """A random batch: groups of the given sizes, some rewards missing, with most of what an estimator may ask for."""

    def made(sizes=(4, 4, 4), *, seed=0, missing=0.2, tokens=True, **more):
        rng = np.random.default_rng(seed)
        n = sum(sizes)
        lengths = rng.integers(1, 7, n)
        t = int(lengths.sum())
        reward = np.where(rng.random(n) < missing, np.nan, rng.normal(size=n))
        given = {
            "correct": np.where(np.isnan(reward), np.nan, (reward > 0).astype(float)),
            "tasks": tuple(f"task{i % 2}" for i, size in enumerate(sizes) for _ in range(size)),
        }
        if tokens:
            given |= {
                "tokens": rng.integers(0, 3, t), "token_rewards": rng.normal(size=t), "values": rng.normal(size=t),
                "logp": -rng.exponential(size=t), "ref_logp": -rng.exponential(size=t),
            }  # fmt: skip
        groups = np.repeat(np.arange(len(sizes)), sizes)
        return AdvantageInputs(reward, groups, lengths, **{**given, **more})

    return made
