"""Rewards that hosts are tested with: one a call of each outcome, one that raises, and one that compares."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from plaudit.rewards.base import RewardBatch
from plaudit.rewards.verdicts import Verdict
from small_verifiers import Same

RIGHT, WRONG, EMPTY = "4", "5", ""

OUTCOMES = {
    "4": "scored", "5": "scored", "": "policy_fault", "unsure": "abstained", "slow": "timed_out",
    "broken": "instrument_fault",
}  # fmt: skip


@dataclass(frozen=True)
class Every(Same):
    """`Same`, and three completions that have no reward."""

    kind: ClassVar[str] = "verify/every"

    def verdict(self, sample):
        if sample.text.strip() == "unsure":
            return Verdict.abstained("cannot say")
        if sample.text.strip() == "slow":
            return Verdict.timed_out("the machine was too slow")
        if sample.text.strip() == "broken":
            return Verdict.broken("the judge is down")
        if sample.text.strip() == "boom":
            raise RuntimeError("a defect of the reward's")
        return super().verdict(sample)


class Rank:
    """Within a group, the rank of the length: it needs all completions of a prompt."""

    name, scope, bounds, fingerprint = "rank", "group", (0.0, 1.0), "rank"

    def __call__(self, samples):
        sizes = np.array([len(s.text) for s in samples], dtype=float)
        return RewardBatch(np.array([(sizes < one).mean() for one in sizes]))


class Unbounded:
    """A reward without a floor."""

    name, scope, bounds, fingerprint = "unbounded", "sample", (-np.inf, np.inf), "unbounded"

    def __call__(self, samples):
        return RewardBatch(np.full(len(samples), 0.5))


def eight_threads(function, arguments):
    """The results of calls from eight threads at once, in order."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda one: function(*one), arguments))
