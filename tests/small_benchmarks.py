"""What the tests of benchmarks share: rows on disk, judges that say what the test wants."""

import json
import math

import numpy as np

from plaudit.evaluation.benchmarks import benchmark, evaluate_benchmark, judge_items, read_items
from plaudit.rewards.base import Outcome, PreferenceBatch, RewardBatch


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Scores:
    """A reward out of a function of a sample; None abstains."""

    scope, fingerprint = "sample", "f"

    def __init__(self, function, *, bounds=(-math.inf, math.inf), name="scores", steps=None, detail=None, scale=None):
        self.function, self.bounds, self.name, self.steps, self.detail = function, bounds, name, steps, detail
        if scale is not None:
            self.log_odds_per_unit = scale

    def __call__(self, samples):
        values = [self.function(s) for s in samples]
        outcome = np.array([Outcome.ABSTAINED if v is None else Outcome.SCORED for v in values], np.int8)
        return RewardBatch(
            np.array([math.nan if v is None else v for v in values], np.float64),
            outcome,
            steps=None if self.steps is None else tuple(np.asarray(self.steps(s), np.float64) for s in samples),
            detail=() if self.detail is None else tuple(self.detail(s) for s in samples),
        )


class Prefers:
    """A comparison out of a function of two samples to a probability; None abstains."""

    fingerprint = "f"

    def __init__(self, function, *, name="prefers", tie=None):
        self.function, self.name, self.tie = function, name, tie

    def __call__(self, first, second):
        values = [self.function(a, b) for a, b in zip(first, second, strict=True)]
        outcome = np.array([Outcome.ABSTAINED if v is None else Outcome.SCORED for v in values], np.int8)
        p = np.array([math.nan if v is None else v for v in values], np.float64)
        tie = None if self.tie is None else np.array([self.tie(a, b) for a, b in zip(first, second, strict=True)])
        return PreferenceBatch(p, outcome, tie=tie)


def on(name, sources, judge, *, threshold=None, resamples=50, baselines=True):
    """The result of a judge on files."""
    chosen = benchmark(name)
    data = read_items(chosen, sources if isinstance(sources, list) else [sources])
    judged = judge_items(judge, data.items, benchmark=chosen, threshold=threshold)
    return evaluate_benchmark(chosen, data.items, judged, resamples=resamples, baselines=baselines)


def values(result):
    """Name to value."""
    return {name: estimate.value for name, estimate in result.metrics.items()}


def by_text(table, default=0.0):
    """A reward that is looked up by the completion's text."""
    return Scores(lambda s: table.get(s.text, default))
