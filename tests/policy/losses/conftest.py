"""Flat batches of a few completions, in float64."""

import numpy as np
import pytest
import torch

from plaudit.policy.losses import TokenBatch


@pytest.fixture(scope="session")
def make_batch():
    """A batch of completions of given lengths; log-ratios of the given spread, an advantage a completion or a token."""

    def made(lengths, *, seed=0, spread=0.4, advantage=None):
        rng = np.random.default_rng(seed)
        t = sum(lengths)
        old = torch.tensor(-rng.exponential(1.0, t))
        logp = (old + torch.tensor(rng.normal(0, spread, t))).clamp(max=-1e-3).requires_grad_()
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths, dtype=torch.int64))
        given = torch.tensor(rng.normal(size=len(lengths)) if advantage is None else advantage, dtype=torch.float64)
        return TokenBatch(logp, old, given[owner] if len(given) == len(lengths) else given, owner, len(lengths))

    return made
