"""Is this reward no worse than the one that was audited before? A stored audit as the baseline, check by check.

For a check that both audits measured, harm is measured along its harmful side: `h = v` (above), `-v` (below), `|v|`
(outside). The new audit is **no worse** where the upper end of the 95% interval of `h_new - h_old` lies below the
margin, **worse** where its lower end lies above it, and **undecided** between. The margin is
half of the check's threshold, the smaller where it was moved, so that loosening a threshold hides nothing: what is
allowed to get worse unnoticed. Where the threshold is 0, and where less is harmful (its threshold is then the level of
a coin or a rule, and no amount of harm), it is half of 0.05.

Numbers without an interval (p-values) have no loss: they are worse where they turned red; so is what has become a fault
that no more data would change.

The interval of the loss is made of each number's own ends (MOVER, `plaudit.stats.difference`): 0 of 60 ends at 0.060,
and two of them differ by up to 0.060, not by half of their widths. The two audits are not paired: their intervals are
taken as independent, which is wider than the truth where both were made on the same pairs, so it errs towards
undecided.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from plaudit.audit.battery import Audit
from plaudit.audit.checks import Check, Light
from plaudit.errors import InputError, MissingError
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, wilson

Standing = Literal["no worse", "worse", "undecided", "not comparable"]
SHARE = 0.5
"""Of the threshold, that a check may lose."""
LEAST = 0.05
"""Stands in for a threshold of 0, or of what is harmful below it."""


@dataclass(frozen=True)
class CheckChange:
    """One check beside the baseline's.

    Attributes:
        name: of the check.
        before: the baseline's light.
        after: this audit's.
        loss: harm now minus harm then; None where it cannot be compared.
        margin: what may be lost.
        standing: what follows.
        why: where the two cannot be compared, what is missing.
    """

    name: str
    before: Light
    after: Light
    loss: Estimate | None
    margin: float
    standing: Standing
    why: str = ""


def read_audit(path: str | Path) -> Audit:
    """An audit as `plaudit audit` stored it.

    Args:
        path: `audit.json`, or the folder that holds it.

    Raises:
        MissingError: if it is not there.
        InputError: if it is no audit.
    """
    path = Path(path)
    path = path / "audit.json" if path.is_dir() else path
    if not path.is_file():
        raise MissingError(f"audit: {path} is not there; give the audit.json of an earlier audit, or its folder")
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"audit: {path} is not JSON ({error}); audit again") from error
    found = row.get("audit") if isinstance(row, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("checks"), list):
        raise InputError(f"audit: {path} is no stored audit; give the audit.json that plaudit audit --out wrote")
    return Audit.from_dict(found)


def compare_audits(baseline: Audit, audit: Audit) -> tuple[CheckChange, ...]:
    """Every check of either audit beside the other's, the new audit's order first.

    Args:
        baseline: the earlier audit.
        audit: the new one.
    """
    old = {c.name: c for c in baseline.checks}
    names = [*(c.name for c in audit.checks), *(n for n in old if n not in {c.name for c in audit.checks})]
    new = {c.name: c for c in audit.checks}
    return tuple(_compared(name, old.get(name), new.get(name)) for name in names)


def worse(comparisons: Sequence[CheckChange]) -> tuple[CheckChange, ...]:
    """Those that got worse, and those that were measured before and are not any more."""
    return tuple(c for c in comparisons if c.standing == "worse" or (c.after == "grey" and c.before not in ("grey",)))


def _compared(name: str, old: Check | None, new: Check | None) -> CheckChange:
    before: Light = old.light if old else "grey"
    after: Light = new.light if new else "grey"
    margin = SHARE * min(_amount(c) for c in (old, new) if c is not None)
    if old is None or new is None or "grey" in (before, after):
        missing = "the baseline" if old is None or before == "grey" else "this audit"
        return CheckChange(name, before, after, None, margin, "not comparable", f"{missing} did not measure it")
    if old.harm != new.harm:
        why = f"it was harmful {old.harm} its threshold and is {new.harm}"
        return CheckChange(name, before, after, None, margin, "not comparable", why)
    if not (_has_interval(old) and _has_interval(new)):
        turned: Standing = "worse" if after == "red" != before else "no worse" if after == "green" else "undecided"
        return CheckChange(name, before, after, None, margin, turned, "without an interval: lights are compared")
    loss = _loss(old, new)
    # a baseline that was stored before faults had a name may have had the same one
    if new.fault and not old.fault and (loss.value > 0 or _has_width(old)):
        return CheckChange(name, before, after, loss, margin, "worse", new.fault)
    standing: Standing = "no worse" if loss.high < margin else "worse" if loss.low > margin else "undecided"
    return CheckChange(name, before, after, loss, margin, standing)


def _amount(check: Check) -> float:
    """What a threshold says of an amount of harm, in the check's unit."""
    return LEAST if check.harm == "below" else abs(check.threshold) or LEAST


def _has_width(check: Check) -> bool:
    return check.evidence is not None and check.evidence.low < check.evidence.high


def _has_interval(check: Check) -> bool:
    e = check.evidence
    return e is not None and not (math.isnan(e.low) or math.isnan(e.high))


def _loss(old: Check, new: Check) -> Estimate:
    assert old.evidence is not None
    assert new.evidence is not None
    return replace(difference(_harm(new, new.evidence), _harm(old, old.evidence)), method="MOVER of two intervals, 95%")


def _harm(check: Check, e: Estimate) -> Estimate:
    """Harm with the ends of its interval; an exact number has none.

    The size of what may lie on either side of 0 is at least 0, where the interval holds 0.
    """
    if e.low == e.high and "Wilson" in e.method:
        e = wilson(e.value * e.n, e.n)  # the share without a reward drops its upper end at 0, for its light alone
    low, high = (e.value if math.isnan(x) else x for x in (e.low, e.high))
    if check.harm == "above":
        return replace(e, low=low, high=high)
    if check.harm == "below":
        return replace(e, value=-e.value, low=-high, high=-low)
    return replace(e, value=abs(e.value), low=max(0.0, low, -high), high=max(abs(low), abs(high)))
