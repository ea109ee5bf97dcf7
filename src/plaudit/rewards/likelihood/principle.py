"""Does an answer follow a principle? One word of a causal language model, with the principle as input.

Differs from the paper: nothing in the formula; several principles are averaged, and each is an aspect of its own. The
paper's second reward model, which reasons before it answers, is not built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.calibrators.stored import Calibration
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.outcomes import QUESTION_TOO_LONG, Found, Scale, assembled, fault, no_room
from plaudit.rewards.likelihood.questions import Wording, answer_logits
from plaudit.rewards.likelihood.yes import fitting, said_of


@final
class PrincipleReward:
    """`log p(Yes) - log p(No)` for each principle, and their mean as the reward.

    `sigmoid` of it is the probability of Yes among the two words. A single answer is looked at, so no order can bias
    it; the policy that is trained on it need not see the principle. A candidate with which a question does not fit is a
    `POLICY_FAULT`; where it would not fit with an empty one either, the prompt or a principle is too long, which is an
    abstention.

    Args:
        model: is asked.
        principles: what is asked of every sample, and names of the aspects. Without any, a sample's own
            `meta["principle"]` (a text, or a list of texts) counts.
        wording: of the question.
        scale: from score to reward.
        name: short and stable.
    """

    scope: Scope = "sample"
    calibration: Calibration | None = None
    """What `plaudit calibrate` fitted to it, where its folder holds that."""

    def __init__(
        self, model: LanguageModel, principles: Sequence[str] = (), *, wording: Wording | None = None,
        scale: Scale | None = None, name: str = "principle",
    ) -> None:  # fmt: skip
        self.model, self.principles, self.name = model, tuple(principles), name
        self.wording, self.scale = wording or Wording(), scale or Scale(floor=-50.0)

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity: a difference of log-probabilities has no end."""
        return self.scale.floor, float("inf")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model's weights and template, the wording and the principles."""
        told = [self.model.fingerprint, self.wording.fingerprint, list(self.principles), asdict(self.scale)]
        return content_hash(["likelihood/principle", 2, *told])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        Raises:
            InputError: if there are no principles and a sample has none of its own.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        asked = [self._asked(i, s) for i, s in enumerate(samples)]
        questions = [
            self.wording.judge(s.prompt, said_of(s.completion), p)
            for s, rows in zip(samples, asked, strict=True) for p in rows
        ]  # fmt: skip
        fits = np.array([fitting(self.model, q) for q in questions], dtype=bool)
        logits = np.full(len(questions), np.nan)
        some = [q for q, ok in zip(questions, fits, strict=True) if ok]
        logits[fits] = answer_logits(self.model, some, self.wording)
        found, at = [], 0
        for sample, rows in zip(samples, asked, strict=True):
            mine = slice(at, at + len(rows))
            at += len(rows)
            found.append(self._found(sample, rows, logits[mine], fits[mine]))
        return assembled(found, self.scale)

    def _found(
        self, sample: Sample, principles: Sequence[str], logits: Float[np.ndarray, " p"], fits: Bool[np.ndarray, " p"]
    ) -> Found:
        if fits.all():
            return Found(float(logits.mean()), aspects=dict(zip(principles, logits.tolist(), strict=True)))
        if not np.isfinite(logits[fits]).all():
            return Found(float("nan"))
        for k in np.flatnonzero(~fits).tolist():
            for principle, what in (("", "the prompt"), (principles[k], f"the principle {principles[k][:60]!r}")):
                if not fitting(self.model, self.wording.judge(sample.prompt, "", principle)):
                    return no_room(what)
        return fault(QUESTION_TOO_LONG)

    def _asked(self, index: int, sample: Sample) -> tuple[str, ...]:
        if self.principles:
            return self.principles
        own = sample.meta.get("principle")
        rows = (own,) if isinstance(own, str) else tuple(own) if isinstance(own, list | tuple) else ()
        if not rows or not all(isinstance(p, str) and p.strip() for p in rows):
            raise InputError(
                f"likelihood/principle: sample {index}: principle is {own!r}; give it in the row, or principles=FILE"
            )
        return rows


def principle(
    model: str, principles: str = "", yes: str = "Yes", no: str = "No", floor: float = -50.0, max_length: int = 2048
) -> PrincipleReward:
    """The reward that `likelihood/principle` names.

    Args:
        model: folder or hub id of a causal LM.
        principles: text file with a principle a line; empty where every sample brings its own.
        yes: the word for followed.
        no: the word for not followed.
        floor: lowest reward.
        max_length: longest question in tokens.
    """
    told: list[str] = []
    if principles:
        if not Path(principles).is_file():
            raise MissingError(f"{principles}: no such file; principles are a text file, one a line")
        told = [line.strip() for line in Path(principles).read_text(encoding="utf-8").splitlines() if line.strip()]
        if not told:
            raise InputError(f"{principles}: holds no principle; give one a line")
    return PrincipleReward(
        LanguageModel.open(model, max_length=max_length),
        told,
        wording=Wording(yes=yes, no=no),
        scale=Scale(floor=floor),
    )
