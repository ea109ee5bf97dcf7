"""What `fair` can name, with its options: weights or a penalty, from the margins and groups of a whole step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from plaudit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class FairMethod:
    """A regulariser that can be named.

    Attributes:
        summary: one line for `plaudit train --fair help`.
        kind: whether it gives `weights` of the pairs or a `penalty` of their margins.
        options: name to default.
        several: whether it takes more than one column, numbers among them.
        least: pairs that a step must have for it to say anything.
    """

    summary: str
    kind: Literal["weights", "penalty"]
    options: Mapping[str, Any] = field(default_factory=dict)
    several: bool = False
    least: int = 2


FAIR: dict[str, FairMethod] = {
    "identity-scaling": FairMethod(
        "pairs count the more, the larger their own loss and their group's [0]", "weights",
        {"group_share": 0.5, "temperature": 1.0},
    ),
    "error-bound": FairMethod(
        "pairs count by their group's loss to the power gamma [18]", "weights", {"gamma": 1.0}
    ),
    "distance-covariance": FairMethod(
        "penalty on how far margins depend on attributes, several together (--group a,b) [92]", "penalty",
        {"coef": 1.0, "corrected": True}, several=True, least=4,
    ),
    "conditional-parity": FairMethod(
        "squared hinge on the protected group's lower soft accuracy at equal strata (a column) [2]", "penalty",
        {"protected": "", "strata": "", "coef": 1.0, "eps": 0.0},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fair:
    """A regulariser with its options, and the columns that it reads.

    Attributes:
        name: of the method.
        method: what it is.
        options: all of them, defaults included.
        columns: of the rows.
    """

    name: str
    method: FairMethod
    options: Mapping[str, Any]
    columns: tuple[str, ...]

    def weights(self, margin: Tensor, weight: Tensor, columns: Mapping[str, Tensor]) -> Tensor | None:
        """Weights of the pairs of a step, with mean 1; None where this is a penalty.

        Args:
            margin: (m,), chosen minus rejected, in score units.
            weight: (m,), the pairs' own.
            columns: name to (m,), as `fair_columns` names them.
        """
        from torch.nn.functional import logsigmoid

        from plaudit.training.regularisers.scaling import error_bound_weights, identity_weights

        if self.method.kind != "weights":
            return None
        found: Callable[..., Tensor] = identity_weights if self.name == "identity-scaling" else error_bound_weights
        return found(-logsigmoid(margin), columns["fair_group"].long(), weight=weight, **self.options)

    def penalty(self, margin: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """`coef` times the penalty of a step's margins, differentiable in them.

        Args:
            margin: (m,), chosen minus rejected.
            columns: name to (m,), as `fair_columns` names them.
        """
        import torch

        from plaudit.training.regularisers.dependence import distance_covariance_penalty
        from plaudit.training.regularisers.parity import parity_hinge

        coef = float(self.options["coef"])
        if self.name == "distance-covariance":
            names = sorted(name for name in columns if name.startswith("fair_attribute_"))
            table = torch.stack([columns[name] for name in names], dim=1).to(margin.dtype)
            return coef * distance_covariance_penalty(margin, table, corrected=self.options["corrected"])
        inside, stratum = columns["fair_group"] > 0.5, columns["fair_stratum"].long()
        return coef * parity_hinge(margin, inside, stratum, eps=self.options["eps"])


def fair_of(text: str, group: str) -> Fair | None:
    """The regulariser that a configuration names; None where it names none.

    Args:
        text: `name` or `name?option=value`; empty for none.
        group: the column by which groups are formed; several divided by commas.

    Raises:
        InputError: if one of the two is given alone, the name or an option is not known, or one column is wanted.
    """
    from plaudit.training.methods import parsed

    columns = tuple(part.strip() for part in group.split(",") if part.strip())
    if not text and not columns:
        return None
    if not text:
        raise InputError(f"group: {group!r} has no effect without fair; set it (plaudit train --fair help)")
    name, options = parsed(text, {key: m.options for key, m in FAIR.items()}, noun="fair")
    method = FAIR[name]
    if not columns:
        raise InputError(f"fair {name}: there is no group; name the column of the rows (--group COLUMN)")
    if len(columns) > 1 and not method.several:
        raise InputError(f"fair {name}: group names {len(columns)} columns; give one, or use distance-covariance")
    low = {"coef": 0.0, "gamma": 0.0, "eps": 0.0, "group_share": 0.0, "temperature": 0.0}
    high = {"group_share": 1.0, "eps": 1.0}
    for key, least in low.items():
        value = options.get(key, least)
        open_end = key == "temperature"
        if not least <= value <= high.get(key, 1e300) or (open_end and value == least and key in options):
            raise InputError(f"fair {name}: {key} is {value}; give a number {_range(open_end, high.get(key))}")
    if name == "conditional-parity" and not options["protected"]:
        raise InputError("fair conditional-parity: protected is missing; name the group's value (?protected=VALUE)")
    return Fair(name, method, options, columns)


def _range(open_end: bool, high: float | None) -> str:
    return ("above 0" if open_end else "of at least 0") + ("" if high is None else f" and at most {high:g}")
