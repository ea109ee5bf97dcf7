"""The reward of a prover: what a verifier is convinced of, by the role and by whether the solution is right [217]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.policy.online.games.rewards import DESIGNS, MISSED, Design, prover_rewards
from plaudit.policy.online.games.roles import COLUMN, Roles
from plaudit.policy.online.lessons import correct_of
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, Reward, RewardBatch, Scope
from plaudit.shaping.transforms.ranked import groups_of


@final
class Convincing:
    """`prover_rewards` of a verifier's scores and a checker's outcomes; the prompt is scored without the role's words.

    A solution that the checker or the verifier could not judge has no reward and leaves the mean of its group, with
    the gravest of the two reasons. A solution that is the prover's own fault (no answer at all, an endless one) is
    worth the floor in both roles: a sneaky prover is to give a wrong solution, not none.

    Args:
        verifier: scores a solution, the higher the more convincing.
        checker: tells right from wrong, by the middle of its bounds.
        roles: what provers were told.
        design: see `prover_rewards`.
        floor: least reward, below all that the design gives by itself; greater losses count as this.

    Raises:
        InputError: if the checker has no finite bounds, or the floor is above what the design gives.
    """

    scope: Scope = "group"

    def __init__(
        self, verifier: Reward, checker: Reward, roles: Roles, *, design: Design = "src", floor: float = -5.0
    ) -> None:
        if design not in DESIGNS:
            raise InputError(f"game: design {design!r} is not known; {nearest(design, DESIGNS)}")
        if not np.isfinite(checker.bounds).all():
            raise InputError(
                f"game: the checker {checker.name} has bounds {tuple(checker.bounds)}, whose middle says what is "
                "right; give a verifier such as verify/math"
            )
        if not np.isfinite(floor) or floor > MISSED.get(design, floor):
            raise InputError(f"game: floor is {floor}; give a number of at most {MISSED[design]:g} for {design}")
        self.verifier, self.checker, self.roles = verifier, checker, roles
        self.design: Design = design
        self.floor = floor

    @property
    def name(self) -> str:
        """The verifier's, marked."""
        return f"convincing({self.verifier.name})"

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and what a solution can convince of."""
        return self.floor, float("inf")

    @property
    def fingerprint(self) -> str:
        """Of everything that a number depends on."""
        roles = [self.roles.helpful, self.roles.sneaky]
        return content_hash(
            ["convincing", self.verifier.fingerprint, self.checker.fingerprint, roles, self.design, self.floor]
        )

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards with the aspects `convincing` (the verifier's score) and `correct`."""
        if not samples:
            return RewardBatch(np.zeros(0))
        plain = [self.roles.plain(sample) for sample in samples]
        said, checked = self.verifier(plain), self.checker(plain)
        correct = correct_of(checked.reward, self.checker.bounds)
        assert correct is not None
        helpful = np.array([sample.meta[COLUMN] == "helpful" for sample in samples])
        reward = prover_rewards(said.reward, correct, helpful, groups_of(samples).code, design=self.design)
        reward = np.where(np.isnan(reward), np.nan, np.maximum(reward, self.floor))
        fault = (checked.outcome == Outcome.POLICY_FAULT) | (said.outcome == Outcome.POLICY_FAULT)
        lost = np.isnan(reward)  # values of outcomes rise with gravity
        outcome = np.where(lost, np.maximum(said.outcome, checked.outcome), np.where(fault, Outcome.POLICY_FAULT, 0))
        detail: list[dict[str, Any]] = [
            {k: v for k, v in (("verifier", dict(a)), ("checker", dict(b))) if v}
            for a, b in zip(said.detail, checked.detail, strict=True)
        ]
        return RewardBatch(
            np.where(fault & ~lost, self.floor, reward), outcome.astype(np.int8),
            aspects={"convincing": said.reward, "correct": correct}, detail=tuple(detail),
        )  # fmt: skip


__all__ = ["Convincing"]
