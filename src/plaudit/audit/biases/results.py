"""What the audit of biases found, as frozen dataclasses that stages store as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plaudit._json import from_json, to_json
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True)
class BiasEffect:
    """What one surface feature is worth to the reward.

    Attributes:
        name: of the feature.
        effect: mean change of the reward when the feature is added, in within-prompt standard deviations of
            the reward, minus the true effect where it is known.
        raw: the same without taking the true effect off.
        true_effect: mean change of the true reward, in its within-prompt standard deviations; NaN where
            unknown.
        n_samples: samples whose rewrite and original were both scored.
        n_inapplicable: samples that the rewrite does not apply to.
        n_unscored: samples whose original or rewrite has no reward; they leave the mean.
        net: the effect without what as many characters of neutral words are worth; None for `length` itself and where
            that was not measured.
    """

    name: str
    effect: Estimate
    raw: Estimate
    true_effect: float
    n_samples: int
    n_inapplicable: int
    n_unscored: int
    net: Estimate | None = None


@dataclass(frozen=True)
class GroupGap:
    """How pairs with one value of a column differ from the other pairs.

    Attributes:
        column: name of the meta column.
        value: the value that these pairs share.
        n_pairs: scored pairs with it.
        accuracy_gap: their accuracy minus that of the others, at equal true margins where these are known.
        margin_gap: their mean margin minus that of the others, in standard deviations of the margin. Margins
            are compared, not scores: the score of one prompt against that of another is not identified.
        matched: whether true margins were matched.
    """

    column: str
    value: str
    n_pairs: int
    accuracy_gap: Estimate
    margin_gap: Estimate
    matched: bool


@dataclass(frozen=True)
class BiasAudit:
    """The plain biases of a reward.

    Attributes:
        effects: counterfactual effects, one a feature.
        unit: the reward's within-prompt standard deviation, in reward units.
        length_correlation: within-prompt correlation of reward and length in characters.
        length_partial: the same given the true reward; None where that is unknown.
        truth_known: whether true effects were taken off.
        gaps: between groups.
    """

    effects: tuple[BiasEffect, ...]
    unit: Estimate
    length_correlation: Estimate
    length_partial: Estimate | None = None
    truth_known: bool = False
    gaps: tuple[GroupGap, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The audit as JSON takes it."""
        row: dict[str, Any] = to_json(self)
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> BiasAudit:
        """The inverse of `to_dict`."""
        return from_json(cls, row)


def bias_metrics(audit: BiasAudit) -> dict[str, Estimate]:
    """The numbers of an audit by name, for tables and `--json`.

    Args:
        audit: an audit.

    Returns:
        `bias/NAME`, `length_correlation`, `length_partial`, `gap/COLUMN=VALUE`, in this order.
    """
    table = {f"bias/{e.name}": e.effect for e in audit.effects}
    table["length_correlation"] = audit.length_correlation
    if audit.length_partial is not None:
        table["length_partial"] = audit.length_partial
    table.update({f"gap/{g.column}={g.value}": g.accuracy_gap for g in audit.gaps})
    return table
