"""A claim that is complete, and an experiment that takes no time."""

import hashlib
from pathlib import Path

import numpy as np
import yaml

from plaudit.lab import read_claim

STATED = {
    "name": "area/method", "title": "T", "claim": "better", "source": "X 2020", "grade": "A", "world": "none",
    "metric": "u", "unit": "sd", "contrast": ["new", "old"], "direction": "greater", "delta": 0.05,
    "arms": ["new", "old", "top"], "oracle": "top", "budget": {"full": {"n": 2}, "smoke": {"n": 1}},
    "blind": hashlib.sha256(b"salt").hexdigest(),
}  # fmt: skip


def claim_of(folder: Path, **changes):
    path = folder / "claim.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (STATED | changes).items() if v is not ...}))
    return read_claim(path)


def run_instance(seed, arm, *, budget, fit):
    noise = np.random.default_rng(seed).normal(0, 0.05)
    return {"u": {"new": 1.0, "old": 0.5, "top": 2.0}[arm] + (noise if arm == "new" else 0), "n": budget["n"]}


def no_fit(pairs, *, seed, size):
    raise AssertionError("not asked for")
