"""Rewards as scorers of inspect_ai.

    Task(dataset=..., scorer=as_scorer("verify/math"))

Its vocabulary of reasons tells the model's fault from the instrument's, as outcomes do:

- `SCORED`: the reward.
- `POLICY_FAULT`: the floor, and it counts; `no_response` where the completion is empty, else `invalid_response_format`.
- `ABSTAINED`: unscored, `grader_failed`: the grader ran and gave no verdict. Not `refusal`, which there means that the
  model under test has refused.
- `TIMED_OUT`, `INSTRUMENT_FAULT`: unscored, `scoring_failed`: the scorer could not run.

What is unscored leaves the metrics. An exception (a reference that cannot be used) goes through: it is the host that
decides by `fail_on_error` whether an evaluation goes on without a sample.
"""

from __future__ import annotations

import json
from typing import Any

from plaudit.errors import InputError, MissingError, nearest
from plaudit.integrations.hosting import Source, of_samples, outcome_of
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, Reward, RewardBatch

_UNSCORED = {
    Outcome.ABSTAINED: "grader_failed",
    Outcome.TIMED_OUT: "scoring_failed",
    Outcome.INSTRUMENT_FAULT: "scoring_failed",
}


class RewardScorer:
    """A reward in the calling convention of a scorer; made by `as_scorer`. It pickles where its reward does."""

    def __init__(self, reward: Reward, reference: str, name: str) -> None:
        self.reward, self.reference, self.name = reward, reference, name

    async def __call__(self, state: Any, target: Any) -> Any:
        """The score of a state's output.

        Args:
            state: inspect_ai's `TaskState`.
            target: its `Target`; the reference, unless that stands in the sample's metadata.

        Returns:
            A `Score`.
        """
        from anyio.to_thread import run_sync  # whatever event loop inspect_ai runs on

        batch = await run_sync(self.reward, [self.sample(state, target)])
        return _score(batch, state.output.completion)

    def sample(self, state: Any, target: Any) -> Sample:
        """A state's output as a sample.

        Raises:
            InputError: if the reference is to be in the sample's metadata and is not.
        """
        metadata = dict(state.metadata or {})
        if self.reference and self.reference not in metadata:
            raise InputError(
                f"{self.name}: sample {state.sample_id}'s metadata has no {self.reference!r} with the gold answer; "
                f"{nearest(self.reference, metadata)}"
            )
        golds = list(target)
        gold = metadata.pop(self.reference) if self.reference else golds[0] if len(golds) == 1 else golds or None
        given = (
            state.input if isinstance(state.input, str) else [{"role": m.role, "content": m.text} for m in state.input]
        )
        return Sample(conversation(given), state.output.completion, gold, str(state.sample_id), meta=metadata)

    def __reduce__(self) -> Any:
        return as_scorer, (self.reward, self.reference, self.name)


def as_scorer(reward: Source, reference: str = "", name: str = "") -> Any:
    """A reward as a scorer, with mean and standard error.

    Args:
        reward: a reward, or a reference to one.
        reference: key of the sample's metadata with the gold answer (tests, say); the sample's target by default.
        name: the scorer's name in the log; `plaudit_` and the reward's own by default.

    Raises:
        MissingError: if inspect_ai is not installed.
        UnsupportedError: if the reward compares completions: a scorer sees one.
    """
    try:
        from inspect_ai.scorer import mean, scorer, stderr  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingError(f"inspect: cannot be imported ({error}); pip install inspect-ai") from error
    made = of_samples("inspect_ai", reward)
    known = name or f"plaudit_{made.name}"  # `math` and `exact` are scorers of inspect_ai's own

    @scorer(metrics=[mean(), stderr()], name=known)  # type: ignore[untyped-decorator,unused-ignore]
    def plaudit_reward() -> Any:
        return RewardScorer(made, reference, known)

    return plaudit_reward()


def _score(batch: RewardBatch, completion: str) -> Any:
    from inspect_ai.scorer import Score  # type: ignore[import-not-found,unused-ignore]

    outcome, detail = outcome_of(batch, 0), batch.detail[0]
    extracted = detail.get("extracted")
    if not isinstance(extracted, str | None):
        extracted = json.dumps(extracted, default=str)
    common = {
        "answer": extracted,
        "explanation": detail.get("reason"),
        "metadata": {"outcome": outcome.name.lower()},
    }  # fmt: skip
    if not outcome.counts:
        return Score.unscored(reason=_UNSCORED[outcome], **common)
    fault = None
    if outcome is Outcome.POLICY_FAULT:
        fault = "invalid_response_format" if completion.strip() else "no_response"
    return Score(value=float(batch.reward[0]), reason=fault, **common)
