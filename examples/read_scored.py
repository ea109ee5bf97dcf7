"""Read a scored file: what every outcome means for a mean, and what a careless reader gets wrong.

Scored files come from `plaudit score`, or from any program that writes a sample's row with `reward` and
`outcome`.

    python examples/read_scored.py [scored.jsonl]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from plaudit import Outcome
from plaudit.rewards import read_scored
from plaudit.stats import bootstrap_mean

ROWS = [
    {"prompt": "2 + 2?", "completion": "4", "reward": 1.0, "outcome": "scored"},
    {"prompt": "2 + 2?", "completion": "5", "reward": 0.0, "outcome": "scored"},
    {"prompt": "3 + 4?", "completion": "7", "reward": 1.0, "outcome": "scored"},
    {"prompt": "3 + 4?", "completion": "<endless>", "reward": 0.0, "outcome": "policy_fault"},
    {"prompt": "6 / 3?", "completion": "2", "reward": 1.0, "outcome": "scored"},
    {"prompt": "6 / 3?", "completion": "two", "reward": 1.0, "outcome": "scored"},
    {
        "prompt": "9 - 1?",
        "completion": "8",
        "reward": None,
        "outcome": "timed_out",
        "detail": {"seconds": 30},
    },
    {"prompt": "9 - 1?", "completion": "eight-ish", "reward": None, "outcome": "abstained"},
]


def main(path: Path) -> None:
    """Counts outcomes, and means over what counts."""
    scored = read_scored(path)
    batch = scored.batch
    counts = Counter(Outcome(int(o)).name.lower() for o in batch.outcome)
    print(", ".join(f"{counts[o.name.lower()]} {o.name.lower()}" for o in Outcome if counts[o.name.lower()]))

    # What the candidate brought about counts, at the floor; what the machine did does not count.
    counted = batch.valid
    prompts = [s.prompt[0].text for s, ok in zip(scored.samples, counted, strict=True) if ok]
    mean = bootstrap_mean(batch.reward[counted], prompts, seed=0)
    print(f"mean reward {mean} over {int(counted.sum())} samples ({mean.method})")
    careless = np.nan_to_num(batch.reward, nan=0.0).mean()
    print(f"with nulls read as 0 it would be {careless:.3f}: a time-out is not a wrong answer")
    for sample, outcome, detail in zip(scored.samples, batch.outcome, batch.detail, strict=True):
        if not Outcome(int(outcome)).counts:
            print(f"to score again: {sample.text!r} ({Outcome(int(outcome)).name.lower()}) {dict(detail)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "scored.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
            main(file)
