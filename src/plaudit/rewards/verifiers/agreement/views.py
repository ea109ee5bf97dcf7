"""Contrastive agreement: a candidate is judged by what most answer to another wording of its question [140].

Differs from the paper: a tie, or no answer in the other wordings, abstains; with more than two wordings the label
comes from all the others together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Scope
from plaudit.rewards.verdicts import SampleReward, Verdict
from plaudit.rewards.verifiers.agreement.classes import NONE, answer_classes, answers_of, majority_label
from plaudit.rewards.verifiers.agreement.majority import groups_of
from plaudit.rewards.verifiers.math.extraction import parse_rules


def cross_labels(classes: Int[np.ndarray, " n"], views: Sequence[object]) -> dict[object, int | None]:
    """For each wording, the majority among the answers to the other wordings; None where there is none.

    Args:
        classes: class of each answer, -1 for none, (n,).
        views: the wording that each answers, (n,).

    Source: Zhang et al. 2025, "Co-Reward" [140].
    """
    labels = np.asarray(classes)
    found: dict[object, int | None] = {}
    for view in dict.fromkeys(views):
        others = np.array([v != view for v in views])
        found[view] = majority_label(labels[others])
    return found


@final
@dataclass(frozen=True)
class CrossViewReward(SampleReward):
    """1 where a candidate gives the majority answer of the *other* wordings of its question, else 0.

    Samples of all wordings of a question share a `group`; the row's `view` (another column with `view=...`) says
    which wording it answers; without it, the prompt does.
    """

    view: str = "view"
    """The column that names the wording."""
    extract: str = "boxed,hashes,phrase,tag"
    """Where the answer is looked for, as in `verify/math`; without `last`: who declares no answer has no vote."""

    kind: ClassVar[str] = "verify/co-reward"
    scope: ClassVar[Scope] = "group"

    def __post_init__(self) -> None:
        parse_rules(self.kind, self.extract)

    def verdict(self, sample: Sample) -> Verdict:
        """A sample alone has no other wording to be judged by."""
        return self.verdicts([sample])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Labels each wording by the others.

        Raises:
            InputError: if a sample has no group: then nothing says which wordings belong together.
        """
        for i, sample in enumerate(samples):
            if sample.group is None:
                raise InputError(f"{self.kind}: sample {i} has no group; give all wordings of a question the same one")
        found: list[Verdict | None] = [None] * len(samples)
        answers = answers_of(samples, parse_rules(self.kind, self.extract))
        for members in groups_of(samples).values():
            views = [self._view(samples[i]) for i in members]
            classes = answer_classes([answers[i] for i in members])
            for i, verdict in zip(members, _judged(classes, views, [answers[i] for i in members]), strict=True):
                found[i] = verdict
        return [v for v in found if v is not None]

    def _view(self, sample: Sample) -> object:
        value = sample.meta.get(self.view)
        return sample.prompt if value is None else str(value)


def _judged(classes: NDArray[np.int64], views: Sequence[object], answers: Sequence[str | None]) -> list[Verdict]:
    labels = cross_labels(classes, views)
    found = []
    for c, view, answer in zip(classes.tolist(), views, answers, strict=True):
        label = labels[view]
        if c == NONE:
            found.append(Verdict.fault("no answer, or several", extracted=None))
        elif label is None:
            found.append(Verdict.abstained("the other wordings are undecided", extracted=answer))
        else:
            wanted = answers[classes.tolist().index(label)]
            found.append(Verdict.scored(float(c == label), extracted=answer, label=wanted))
    return found
