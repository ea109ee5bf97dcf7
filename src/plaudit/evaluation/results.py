"""What an evaluation found, as frozen dataclasses that stages store as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plaudit._json import from_json, to_json
from plaudit.evaluation.baselines import Baseline
from plaudit.stats.calibration import ReliabilityCurve
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True)
class MarginHistogram:
    """How far apart chosen and rejected were scored.

    Attributes:
        edges: bin edges in reward units (b + 1), symmetric around 0.
        count: pairs in each bin (b,); those beyond the outer edges are counted in the outer bins.
    """

    edges: tuple[float, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy on the pairs with one value of a meta column.

    Attributes:
        column: name of the column.
        value: the value that these pairs share.
        accuracy: share of scored pairs with the chosen one higher, ties half.
        n_pairs: pairs with this value, scored or not.
        n_unscored: those of them that have no margin, and so leave the mean.
    """

    column: str
    value: str
    accuracy: Estimate
    n_pairs: int
    n_unscored: int


@dataclass(frozen=True)
class TruthAgreement:
    """How a reward agrees with a true reward that is known.

    Attributes:
        accuracy: share of pairs whose truly better completion is scored higher, ties of the reward half;
            pairs that are truly equal are left out.
        correlation: correlation within prompts.
        rank_correlation: the same of ranks within prompts.
        label_accuracy: share of pairs whose chosen completion is truly the better one, which is the most that
            agreement with the labels can mean.
        baselines: the content-blind rules judged by the true reward.
    """

    accuracy: Estimate
    correlation: Estimate
    rank_correlation: Estimate
    label_accuracy: Estimate
    baselines: tuple[Baseline, ...] = ()


@dataclass(frozen=True)
class PairEvaluation:
    """A reward on preference pairs.

    Attributes:
        n_pairs: pairs given.
        n_prompts: distinct prompts among them.
        outcomes: pairs by the worse of their two outcomes, lower-case; those without a margin leave every
            mean.
        accuracy: share of scored pairs with the chosen one higher; a tie counts half.
        accuracy_strict: the same with a tie counted wrong.
        ties: share of scored pairs with equal rewards.
        margin: mean reward of chosen minus rejected, in reward units.
        brier: Brier score of sigmoid(margin); None where margins are no log-odds.
        log_loss: in nats, of sigmoid(margin).
        calibration_error: equal-mass ECE folded to confidence, with its bootstrap interval.
        calibration_error_debiased: the same with the noise's share taken off.
        calibration_floor: what a perfectly calibrated model shows at these confidences.
        reliability: accuracy against confidence with its noise band.
        histogram: of the margins.
        baselines: content-blind rules on the same pairs.
        groups: accuracy by meta column and value.
        truth: agreement with a true reward, where it is known.
    """

    n_pairs: int
    n_prompts: int
    outcomes: Mapping[str, int]
    accuracy: Estimate
    accuracy_strict: Estimate
    ties: Estimate
    margin: Estimate
    brier: Estimate | None = None
    log_loss: Estimate | None = None
    calibration_error: Estimate | None = None
    calibration_error_debiased: Estimate | None = None
    calibration_floor: Estimate | None = None
    reliability: ReliabilityCurve | None = None
    histogram: MarginHistogram | None = None
    baselines: tuple[Baseline, ...] = ()
    groups: tuple[GroupAccuracy, ...] = field(default_factory=tuple)
    truth: TruthAgreement | None = None

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON takes it."""
        row: dict[str, Any] = to_json(self)
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> PairEvaluation:
        """The inverse of `to_dict`."""
        return from_json(cls, row)


def metrics(result: PairEvaluation) -> dict[str, Estimate]:
    """The numbers of an evaluation by name, for tables and `--json`.

    Args:
        result: an evaluation.

    Returns:
        `accuracy`, `accuracy_strict`, `ties`, `margin`, the scores that there are, `baseline/NAME`,
        `advantage/NAME`, `accuracy/COLUMN=VALUE`, `truth/NAME`, in this order.
    """
    names = ["accuracy", "accuracy_strict", "ties", "margin", "brier", "log_loss", "calibration_error"]
    names += ["calibration_error_debiased", "calibration_floor"]
    table = {name: getattr(result, name) for name in names if getattr(result, name) is not None}
    for baseline in result.baselines:
        table[f"baseline/{baseline.name}"] = baseline.accuracy
        table[f"advantage/{baseline.name}"] = baseline.advantage
    for group in result.groups:
        table[f"accuracy/{group.column}={group.value}"] = group.accuracy
    if result.truth is not None:
        for name in ("accuracy", "correlation", "rank_correlation", "label_accuracy"):
            table[f"truth/{name}"] = getattr(result.truth, name)
    return table
