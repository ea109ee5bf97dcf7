"""A number with its interval: every number that is shown is one of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, the interval that it comes with, and how both were made.

    Attributes:
        value: the point estimate; NaN where nothing could be measured.
        low: lower end of the interval; NaN where the value is exact or the interval unknown.
        high: upper end.
        n: number of independent units (prompts, instances), not of rows.
        method: how the interval was made, for example `bootstrap over prompts, 95%`.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    method: str = ""

    def __str__(self) -> str:
        return self.format()

    def format(self, digits: int = 3, *, percent: bool = False) -> str:
        """`0.712 [0.690, 0.734]`, or as a percentage with one digit less."""
        scale, unit, places = (100.0, "%", max(digits - 2, 0)) if percent else (1.0, "", digits)
        if math.isnan(self.value):
            return "n/a"
        text = f"{self.value * scale:.{places}f}{unit}"
        if math.isnan(self.low) or math.isnan(self.high):
            return text
        return f"{text} [{self.low * scale:.{places}f}, {self.high * scale:.{places}f}]"

    def excludes(self, value: float) -> bool:
        """Whether the interval lies wholly on one side of `value`; False where there is no interval."""
        return self.low > value or self.high < value

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON takes it: NaN becomes None."""
        return {
            "value": _json(self.value),
            "low": _json(self.low),
            "high": _json(self.high),
            "n": self.n,
            "method": self.method,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Estimate:
        """The inverse of `to_dict`."""
        number = {k: math.nan if row.get(k) is None else float(row[k]) for k in ("value", "low", "high")}
        return cls(**number, n=int(row.get("n", 0)), method=str(row.get("method", "")))


def _json(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
