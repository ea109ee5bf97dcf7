"""Stated confidence: reading it, taking it out of the text, and paying for it only where it is deserved (PPO-C).

Differs from the paper: percentages are read as well as numbers up to ten; of several statements the last counts, and
all are taken out, of every message of the assistant's; a statement outside its scale counts as missing; the running
mean starts at 0, the mean of a reward that was normalised in training, and rewards that do not count leave it alone;
policy faults keep their floor, which the running mean includes. Prompts that ask for a confidence are the caller's to
mix in, and the form for direct alignment is not built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.records.message import Part
from plaudit.records.sample import Completion, Sample, completion_messages, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.shaping.transforms.base import Bounds, ValueTransform, checked_state

Mode = Literal["difference", "threshold"]

_STATED = re.compile(  # each run of spaces or stars is tried from its first character only: runs may be long
    r"(?:(?<![ \t])[ \t]+)?(?:(?<![*_])[*_]+)?\bconfidence[*_]*\s*[:=][*_\s]*"
    r"(?P<number>-?\d++(?:\.\d++)?+)(?:[*_]*+\s*+(?P<unit>%|percent\b|(?:/|out\s+of\b)\s*+100?+(?!\d)))?+"
    r"(?![*_\s]*+(?:[/%]|out\s+of\b|percent\b)|[*_]*+(?:[^\W_]|[.,]\d))[*_]*\.?",
    re.IGNORECASE,
)
"""A statement; what goes on as another number or scale is none."""
WEIGHTS: Mapping[str, float] = {"difference": 2.0, "threshold": 0.5}
"""The paper's, by mode."""
MISSING = 0.5
"""What a missing statement counts as: neither sure nor unsure."""


def read_confidence(text: str) -> tuple[str, float | None]:
    """The text without its statements of confidence, and the last of them as a number in [0, 1].

    Read are `Confidence: 7`, `Confidence: 7/10.`, `confidence = 70%`, `Confidence: 7 out of 10` and the same of 100, in
    any case, plain or in bold. A number without a scale is one of ten: `Confidence: 0.8` says 0.08. What goes on as
    another number or scale (`7/20`, `7 out of 20`, `7,5`, `1e1`) is no statement and stays in the text.

    Args:
        text: a completion.

    Returns:
        The text without the statements and the space that they leave at its end; and the number, None where there is
        none, or it lies outside its scale (0 to 10, 100 or 100%).
    """
    found = list(_STATED.finditer(text))
    if not found:
        return text, None
    last = found[-1]
    value = float(last["number"]) / (100 if (last["unit"] or "").lower().endswith(("%", "percent", "100")) else 10)
    return _STATED.sub("", text).rstrip(), value if 0 <= value <= 1 else None


def state_confidence(completion: Completion, confidence: int | float) -> Completion:
    """The completion with `Confidence: N` as its last line (of its last assistant message).

    Args:
        completion: text or messages.
        confidence: from 0 to 10; `:g` writes it.

    Raises:
        InputError: if it lies outside, or no assistant speaks in text.
    """
    if not 0 <= confidence <= 10:
        raise InputError(f"state_confidence: {confidence} is no confidence; give a number from 0 to 10")
    return _changed(completion, lambda text: f"{text.rstrip()}\nConfidence: {confidence:g}")


def without_confidence(sample: Sample) -> Sample:
    """The sample without its statements of confidence: what PPO-C lets the reward see; its steps are dropped.

    Args:
        sample: any sample; one that states nothing is returned as it is.
    """
    if read_confidence(sample.text)[0] == sample.text:
        return sample
    if isinstance(sample.completion, str):
        return replace(sample, completion=_bare(sample.completion), steps=None)
    told = [m if m.role != "assistant" else replace(m, content=_bare(m.content)) for m in sample.completion]
    return replace(sample, completion=tuple(told), steps=None)


def stated_confidence(samples: Sequence[Sample]) -> Float[np.ndarray, " n"]:
    """What each sample states, in [0, 1]; `MISSING` where it states nothing that can be read."""
    read = [read_confidence(s.text)[1] for s in samples]
    return np.array([MISSING if value is None else value for value in read], dtype=np.float64)


def confidence_reward(
    reward: ArrayLike, confidence: ArrayLike, mean: float, *, mode: Mode = "difference", weight: float | None = None
) -> Float[np.ndarray, " n"]:
    """The reward with what the stated confidence deserves.

    Difference: `r + w (r - m) (s - 1/2)`. Threshold: `r + w |r| (s - 1/2)` where `r >= m`, `r - w |r| (s - 1/2)`
    below. Either way confidence pays above the running mean m and costs below it, and s = 1/2 changes nothing.

    Args:
        reward: (n,) r, of the text without the statement, clamped already; NaN stays NaN.
        confidence: (n,) s in [0, 1].
        mean: m.
        mode: which of the two.
        weight: w; None for the paper's, 2.0 for the difference and 0.5 for the threshold.

    Raises:
        ShapeError: if rewards and confidences differ in number.
        InputError: if the mode is not known or a confidence lies outside [0, 1].

    Source: Leng et al. 2024, "Taming Overconfidence in LLMs: Reward Calibration in RLHF" [216].
    """
    r, s = np.asarray(reward, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if r.shape != s.shape:
        raise ShapeError(f"confidence: {r.size} rewards and {s.size} confidences; they must be equal in number")
    if mode not in WEIGHTS:
        raise InputError(f"confidence: mode is {mode!r}; give 'difference' or 'threshold'")
    if ((s < 0) | (s > 1)).any():
        raise InputError(f"confidence: {s[(s < 0) | (s > 1)][0]} is no confidence; it must lie in [0, 1]")
    weight = WEIGHTS[mode] if weight is None else weight
    if mode == "difference":
        return np.asarray(r + weight * (r - mean) * (s - 0.5))
    return np.asarray(r + np.where(r >= mean, 1.0, -1.0) * weight * np.abs(r) * (s - 0.5))


@final
@dataclass(frozen=True)
class ConfidenceShaping(ValueTransform):
    """PPO-C: shapes rewards by stated confidence against a running mean; see `confidence_reward`.

    The batch that it is given holds the rewards of `without_confidence(sample)`, which `Unstated` gives; the samples
    still state theirs. Score once, shape, then take `updated`: the mean that shapes a batch is that of earlier ones.

    Source: Leng et al. 2024 and their code (rate 0.1, clamp 10).
    """

    mode: Mode = "difference"
    """`difference` pays the more, the further a reward lies above the mean; `threshold` asks only on which side."""
    weight: float | None = None
    """Of the stated confidence, at least 0; by default the paper's, 2.0 for the difference, 0.5 for the threshold."""
    mean: float = 0.0
    """State: running mean of the rewards."""
    rate: float = 0.1
    """Share of a new batch's mean in it."""
    clamp: float = 10.0
    """Rewards are kept within plus and minus this before all else."""

    kind: ClassVar[str] = "confidence"
    remembered: ClassVar[tuple[str, ...]] = ("mean",)

    def __post_init__(self) -> None:
        confidence_reward([], [], 0.0, mode=self.mode)  # says what is wrong with the mode
        if self.weight is None:
            object.__setattr__(self, "weight", WEIGHTS[self.mode])
        if not 0 <= self._number < math.inf:
            raise InputError(f"confidence: weight is {self.weight}; give a finite number of at least 0")
        if not 0 <= self.rate <= 1:
            raise InputError(f"confidence: rate is {self.rate}; give a share between 0 and 1")
        if not self.clamp > 0:
            raise InputError(f"confidence: clamp is {self.clamp}; it must be positive")

    @property
    def _number(self) -> float:
        """The weight, which is one from the outset."""
        return WEIGHTS[self.mode] if self.weight is None else self.weight

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """See `confidence_reward`."""
        clamped = np.clip(reward, -self.clamp, self.clamp)
        return confidence_reward(clamped, stated_confidence(samples), self.mean, mode=self.mode, weight=self.weight)

    def limits(self, bounds: Bounds) -> Bounds:
        """The least and the most that full confidence and none make of the clamped bounds."""
        # the reward's ends decide: r + w |r| / 2 is convex and r - w |r| / 2 concave, the difference linear in each
        low, high = (float(np.clip(b, -self.clamp, self.clamp)) for b in bounds)
        r, s = [low, low, high, high], [0.0, 1.0, 0.0, 1.0]
        if self.mode == "threshold":  # near the mean either sign may be had
            own = [x + sign * self._number * abs(x) / 2 for x in (low, high) for sign in (-1, 1)]
            return min(own), max(own)
        ends = confidence_reward(r, s, self.mean, mode=self.mode, weight=self.weight)
        return float(ends.min()), float(ends.max())

    def __call__(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:
        """The shaped rewards; only `SCORED` samples are shaped, a policy's own faults keep their floor.

        Raises:
            ShapeError: if there are not as many samples as rewards.
        """
        shaped = super().__call__(batch, samples)
        return replace(shaped, reward=np.where(batch.outcome == Outcome.SCORED, shaped.reward, batch.reward))

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With the mean `rate * mean(batch) + (1 - rate) * mean` over the rewards that count; unchanged without any."""
        if not batch.valid.any():
            return self
        new = float(np.clip(batch.reward[batch.valid], -self.clamp, self.clamp).mean())
        return replace(self, mean=self.rate * new + (1 - self.rate) * self.mean)

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:
        """With the mean of these rewards, as the paper begins; 0 without any."""
        return replace(self, mean=replace(self, mean=0.0, rate=1.0).updated(batch, samples).mean)

    def state(self) -> dict[str, Any]:
        """The mean."""
        return {"mean": self.mean}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With a saved mean.

        Raises:
            InputError: if it is none.
        """
        mean = checked_state(self.kind, state, ["mean"])["mean"]
        if not isinstance(mean, int | float) or not math.isfinite(mean):
            raise InputError(f"confidence: the state's mean is {mean!r}; give a finite number")
        return replace(self, mean=float(mean))


@final
@dataclass(frozen=True)
class Unstated:
    """A reward of what remains of a sample without its statements of confidence: what PPO-C shapes.

    Attributes:
        of: the reward.
    """

    of: Reward

    @property
    def name(self) -> str:
        """`unstated(name of the reward)`."""
        return f"unstated({self.of.name})"

    @property
    def scope(self) -> Scope:
        """The reward's."""
        return self.of.scope

    @property
    def bounds(self) -> Bounds:
        """The reward's."""
        return self.of.bounds

    @property
    def fingerprint(self) -> str:
        """Of the reward, and of what is taken out."""
        return content_hash(["unstated", self.of.fingerprint, _STATED.pattern])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores every sample without its statements; spans of tokens are those of the text that was scored."""
        return self.of([without_confidence(sample) for sample in samples])


def _bare(content: Any) -> Any:
    """Text, or the text of parts, without statements."""
    if isinstance(content, str):
        return read_confidence(content)[0]
    return tuple(
        Part(part.type, {**part.data, "text": read_confidence(str(part.data.get("text", "")))[0]})
        if part.type == "text"
        else part
        for part in content
    )


def _changed(completion: Completion, change: Callable[[str], str]) -> Completion:
    """The completion with a change to its text, or to that of its last assistant message."""
    if isinstance(completion, str):
        return change(completion)
    messages = list(completion_messages(completion))
    spoken = [i for i, m in enumerate(messages) if m.role == "assistant" and isinstance(m.content, str)]
    if not spoken:
        raise InputError("confidence: no assistant speaks in text in this completion; give one that does")
    messages[spoken[-1]] = replace(messages[spoken[-1]], content=change(messages[spoken[-1]].text))
    return tuple(messages)
