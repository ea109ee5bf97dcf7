"""What a report is made of: measured results, each optional, stored as `report.json` beside the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from plaudit._json import from_json, to_json
from plaudit.audit.biases.results import BiasAudit
from plaudit.audit.verdict import Verdict
from plaudit.evaluation.pairs import confidently_wrong
from plaudit.evaluation.results import PairEvaluation
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text
from plaudit.search.best_of_n import BestOfNCurve, Turn
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True)
class Fact:
    """One line of a two-column table: `training pairs`, `3,000`."""

    name: str
    value: str


@dataclass(frozen=True)
class WrongPair:
    """A pair that the reward gets wrong, with its texts.

    Attributes:
        row: number of the pair in the test file, from 0.
        margin: reward of chosen minus rejected, below 0.
        prompt: the conversation as text, a turn a paragraph.
        chosen: text of the chosen completion.
        rejected: text of the rejected one, which the reward prefers.
        note: for example the true margin, or the group.
    """

    row: int
    margin: float
    prompt: str
    chosen: str
    rejected: str
    note: str = ""


@dataclass(frozen=True)
class Change:
    """One number before and after a repair.

    Attributes:
        name: of the number.
        before: in the baseline run.
        after: in this run.
        difference: after minus before, paired where it could be; None where only the two are known.
        better: which direction is an improvement; `nearer-zero` for biases and gaps.
    """

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate | None = None
    better: Literal["higher", "lower", "nearer-zero"] = "higher"


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows; a section whose data are missing says so or is left out.

    Attributes:
        title: of the page.
        subject: one line under the title: which reward.
        created: date and time, ISO 8601.
        verdict: shown first.
        trained: what was trained on what.
        curve: best-of-n against the true reward.
        turn: the test of the turn, on prompts that did not choose the peak.
        true_unit: within-prompt standard deviation of the true reward.
        evaluation: on pairs.
        biases: effect sizes and gaps.
        wrong: the pairs that it gets most confidently wrong.
        baseline_run: name of the run that `changes` compares with.
        changes: before and after.
        not_tested: beside what the verdict says.
        recipe: its YAML text.
        provenance: versions, hashes, seed, platform.
        command: that made the run.
    """

    title: str
    subject: str = ""
    created: str = ""
    verdict: Verdict | None = None
    trained: tuple[Fact, ...] = ()
    curve: BestOfNCurve | None = None
    turn: Turn | None = None
    true_unit: float = 1.0
    evaluation: PairEvaluation | None = None
    biases: BiasAudit | None = None
    wrong: tuple[WrongPair, ...] = ()
    baseline_run: str = ""
    changes: tuple[Change, ...] = ()
    not_tested: tuple[str, ...] = ()
    recipe: str = ""
    provenance: tuple[Fact, ...] = ()
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The data as JSON takes it."""
        row: dict[str, Any] = to_json(self)
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> ReportData:
        """The inverse of `to_dict`.

        Raises:
            InputError: if a key is unknown or missing.
        """
        return from_json(cls, row)


def wrong_pairs(
    pairs: Sequence[Pair], margin: ArrayLike, *, k: int = 20, notes: Mapping[int, str] | None = None
) -> tuple[WrongPair, ...]:
    """The k pairs that a reward gets most confidently wrong, with their texts.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        k: at most so many.
        notes: by row number.
    """
    import numpy as np

    values = np.asarray(margin, dtype=np.float64)
    return tuple(
        WrongPair(
            row=int(i),
            margin=float(values[i]),
            prompt="\n\n".join(f"{m.role}: {m.text}" for m in pairs[i].prompt),
            chosen=completion_text(pairs[i].chosen),
            rejected=completion_text(pairs[i].rejected),
            note=(notes or {}).get(int(i), ""),
        )
        for i in confidently_wrong(values, k)
    )
