"""Rewards as open-instruct's verifiers, in a module that its training script imports.

    MathReward = as_verifier_class("verify/math", name="plaudit_math")

open-instruct finds the classes by `VerifierFunction.__subclasses__()`, makes each with its configuration, and takes the
one whose lower-cased name is in a row's `dataset` column; `ground_truth` is the reference. It adds up scores and makes
0.0 of what fails, so that a sample cannot be left out: it is worth `lost` here, and `reasoning` says what happened.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from plaudit.errors import MissingError
from plaudit.integrations.hosting import Source, judged, of_samples, told, worth_of_lost
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Reward

_logger = logging.getLogger(__name__)


def as_verifier_class(reward: Source, *, name: str = "", weight: float = 1.0, lost: float | None = None) -> type:
    """A subclass of open-instruct's `VerifierFunction`; keep it in a variable, or it is gone before it is found.

    Args:
        reward: a reward, or a reference to one.
        name: what the `dataset` column says; lower-cased, the reward's own by default.
        weight: factor of the score.
        lost: what a sample without a reward is worth; the reward's floor by default.

    Raises:
        MissingError: if open-instruct is not installed.
        InputError: if the reward has no finite floor and `lost` is not given.
        UnsupportedError: if it compares completions.
    """
    made = of_samples("open-instruct", reward)
    worth = worth_of_lost("open-instruct", made, lost)
    said = (name or made.name).lower()

    class PlauditVerifier(_base()):  # type: ignore[misc]
        """A reward of Plaudit."""

        def __init__(self, verifier_config: Any = None) -> None:
            super().__init__(said, weight=float(weight), verifier_config=verifier_config)

        def __call__(
            self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None,
            rollout_state: dict[str, Any] | None = None,
        ) -> Any:  # fmt: skip
            del tokenized_prediction
            return _result(made, worth, Sample(conversation(query or ""), prediction, label, meta=rollout_state or {}))

        async def async_call(self, *args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(self, *args, **kwargs)

        def __reduce__(self) -> Any:  # the class is made by this function, so that it cannot be found by its name
            return _again, (made, said, weight, worth, self.verifier_config)

    PlauditVerifier.__name__ = PlauditVerifier.__qualname__ = f"PlauditVerifier_{said}"
    return PlauditVerifier


def _again(reward: Reward, name: str, weight: float, lost: float, config: Any) -> Any:
    return as_verifier_class(reward, name=name, weight=weight, lost=lost)(config)


def _result(reward: Reward, worth: float, sample: Sample) -> Any:
    from open_instruct.ground_truth_utils import VerificationResult  # type: ignore[import-not-found,unused-ignore]

    batch = judged("open-instruct", reward, [sample])
    counted, cost = bool(batch.valid[0]), batch.detail[0].get("cost", 0.0)
    if not counted:
        _logger.warning("%s: no reward, counts as %g: %s", reward.name, worth, told(batch, 0))
    score = float(batch.reward[0]) if counted else worth
    return VerificationResult(
        score=score, cost=float(cost) if isinstance(cost, int | float) else 0.0, reasoning=told(batch, 0)
    )


def _base() -> type:
    try:
        from open_instruct.ground_truth_utils import VerifierFunction  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingError(
            f"open-instruct: cannot be imported ({error}); pip install git+https://github.com/allenai/open-instruct"
        ) from error
    found: type = VerifierFunction
    return found
