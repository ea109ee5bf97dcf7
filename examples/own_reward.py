"""A reward of your own, with honest outcomes, and the contract suite that every reward has to pass.

The reward judges whether an answer is JSON with the keys that its sample asks for. It tells three things
apart: an answer that is no JSON is the candidate's own fault and gets the floor; a sample that asks for
nothing cannot be judged, and the reward abstains; the rest is scored.

    python examples/own_reward.py
    plaudit score samples.jsonl --reward examples/own_reward.py:JsonKeys --out scored.jsonl
    pytest examples/own_reward.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plaudit import Outcome, RewardBatch, Sample
from plaudit.records.sample import content_hash
from plaudit.testing import RewardContract, check_reward


@dataclass(frozen=True)
class JsonKeys:
    """Share of the keys in `reference` that the completion, a JSON object, has."""

    name: str = "json-keys"
    scope: str = "sample"
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def fingerprint(self) -> str:
        """Change the number when the code changes: logs and caches are keyed by it."""
        return content_hash([self.name, 1])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """One reward and one outcome a sample."""
        judged = [self._judge(s) for s in samples]
        return RewardBatch(
            [reward for reward, _, _ in judged],
            [outcome for _, outcome, _ in judged],
            detail=tuple(detail for _, _, detail in judged),
        )

    def _judge(self, sample: Sample) -> tuple[float, Outcome, dict[str, Any]]:
        wanted = sample.reference
        if not isinstance(wanted, list) or not wanted:
            return math.nan, Outcome.ABSTAINED, {"why": "the sample names no keys"}
        try:
            found = json.loads(sample.text)
        except (ValueError, RecursionError) as error:  # whatever a candidate can write must not raise
            return self.bounds[0], Outcome.POLICY_FAULT, {"error": f"no JSON: {type(error).__name__}"}
        if not isinstance(found, dict):
            return self.bounds[0], Outcome.POLICY_FAULT, {"error": "not a JSON object"}
        missing = [key for key in wanted if key not in found]
        return 1 - len(missing) / len(wanted), Outcome.SCORED, {"missing": missing}


def example_samples() -> list[Sample]:
    """Samples that the reward can judge, and one that it cannot."""
    prompt = "Give name and year as JSON."
    answers = ['{"name": "Ada", "year": 1843}', '{"name": "Ada"}', "Ada, 1843", "[1843]"]
    samples = [Sample(prompt, answer, reference=["name", "year"]) for answer in answers]
    return [*samples, Sample("Say hello.", "Hello!")]


class TestJsonKeys(RewardContract):
    """`pytest examples/own_reward.py` runs the suite: shapes, bounds, order, threads, hostile texts."""

    def make_reward(self) -> JsonKeys:
        """The reward under test."""
        return JsonKeys()

    def make_samples(self) -> Sequence[Sample]:
        """Samples with references of the kind that the reward reads."""
        return example_samples()


def main() -> None:
    """Scores, then checks the reward itself."""
    reward, samples = JsonKeys(), example_samples()
    batch = reward(samples)
    for sample, value, outcome, detail in zip(samples, batch.reward, batch.outcome, batch.detail, strict=True):
        print(f"{Outcome(int(outcome)).name:13} {value:4.2f}  {sample.text:30} {detail}")
    print(f"mean over what counts: {batch.reward[batch.valid].mean():.3f} of {int(batch.valid.sum())} samples")
    check_reward(reward, samples)
    print("the contract holds")


if __name__ == "__main__":
    main()
