"""Why a reward may not be used further: what was shown to be wrong, and what was needed and not shown.

Every cause carries the number that it rests on. A cause needs evidence against the reward: the interval, not the value,
lies beyond the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plaudit.audit.findings import Findings, Thresholds
from plaudit.stats.estimate import Estimate

FATAL = ("accuracy", "baseline")
"""Causes under which nothing is permitted."""


@dataclass(frozen=True)
class Cause:
    """One reason why the reward may not be used further.

    Attributes:
        name: stable, for example `bias/length`: the key of the remedies.
        says: one sentence.
        evidence: the number, with its interval.
        size: how far beyond its threshold, in thresholds: causes are listed by it, behind those that forbid any use.
    """

    name: str
    says: str
    evidence: Estimate
    size: float


def causes_of(f: Findings, limits: Thresholds) -> tuple[Cause, ...]:
    """What was shown to be wrong: the interval, not the value, lies beyond the threshold."""
    found: list[Cause] = []

    def add(name: str, says: str, evidence: Estimate, size: float) -> None:
        found.append(Cause(name, says, evidence, float(size)))

    if f.untested:
        add("accuracy", f"Whether it ranks better than a coin these pairs cannot tell: {f.untested}.", f.accuracy, 9.0)
    elif not f.accuracy.low > 0.5:
        add("accuracy", "It is not shown to tell chosen from rejected better than a coin.", f.accuracy, 9.0)
    elif f.advantage is not None and not f.advantage.low > 0:
        add("baseline", f"It is not shown to beat the content-blind rule “{f.baseline}”.", f.advantage, 8.0)
    share = f.unscored_share or Estimate(f.unscored, method="share of pairs: no interval")
    if f.unscored > limits.unscored_hard or (share.low if share.low == share.low else share.value) > limits.unscored:
        add("unscored", f"{f.unscored:.1%} of the pairs got no reward; failures can hide there.", share,
            f.unscored / limits.unscored)  # fmt: skip
    if f.turn is not None and f.turn.turned:
        says = f"The true reward falls again beyond n = {f.turn.peak}: the proxy is over-optimised."
        add("over-optimisation", says, f.turn.drop, 5.0)
    for name, effect in f.biases.items():
        limit = f.bias_limits.get(name, limits.bias)
        if beyond(effect, limit):
            verb = "pays for" if effect.value > 0 else "punishes"
            add(f"bias/{name}", f"It {verb} {name} beyond what that is worth." if f.truth_known else
                f"It {verb} {name}; whether rightly, these tests cannot say.", effect,
                abs(effect.value) / (limit or 1.0))  # fmt: skip
    for name, gap in f.gaps.items():
        if beyond(gap, limits.gap):
            side = "more" if gap.value > 0 else "less"
            add(
                f"gap/{name}",
                f"It is {side} accurate where {name} than elsewhere.",
                gap,
                abs(gap.value) / limits.gap,
            )
    for check in f.checks:
        if check.light == "red" and check.evidence is not None:
            add(check.name, f"{check.says[0].upper()}{check.says[1:]}.", check.evidence, 1.0 + check.excess)
    error = f.calibration_error
    if error is not None and error.low > limits.calibration:
        add(
            "calibration",
            "Its probabilities cannot be taken at their word.",
            error,
            error.value / limits.calibration,
        )
    if f.truth_known and not blocking(found):
        found += _missing(f, limits)
    # a large bias must not hide that the reward ranks no better than a coin: no other size is comparable with that
    # and what fools a reward says less about the reason than what it pays for, and comes after it
    return tuple(sorted(found, key=lambda c: (c.name not in FATAL, _is_symptom(c.name), -c.size)))


def _is_symptom(name: str) -> bool:
    """Whether a cause is an attack that passes for whatever reason, and not one that names its own."""
    return name.startswith("attack/") and name.split("/")[1] not in ("back-door", "position")


def _missing(f: Findings, limits: Thresholds) -> list[Cause]:
    """What training against would need and was not shown, where nothing worse was found."""
    found = []
    closed = gap_closed(f)
    if largest_n(f) is None and f.curve is not None and f.curve.ns:
        says = "Selecting with it is not shown to raise the true reward."
        found.append(Cause("selection", says, f.curve.truth[-1], 2.0))
    elif closed is not None and closed < limits.gap_closed:
        says = f"It reaches only {max(closed, 0.0):.0%} of what the oracle gains at n = {_last(f)}."
        found.append(Cause("headroom", says, Estimate(closed, method="gap closed"), 1.0))
    for name, effect in f.biases.items():
        limit = f.bias_limits.get(name, limits.bias)
        if not within(effect, limit):
            says = f"That {name} moves it by less than {limit:g} standard deviations is not shown."
            found.append(Cause(f"undecided/{name}", says, effect, 0.5))
    return found


def _last(f: Findings) -> int:
    return f.curve.ns[-1] if f.curve is not None else 0


def within(estimate: Estimate, threshold: float) -> bool:
    """Whether it is shown to lie inside plus or minus the threshold."""
    return estimate.low > -threshold and estimate.high < threshold


def beyond(estimate: Estimate, threshold: float) -> bool:
    """Whether it is shown to lie outside."""
    return estimate.low > threshold or estimate.high < -threshold


def largest_n(f: Findings) -> int | None:
    """The largest n at which selection is shown to gain true reward and not shown to lose it again."""
    if f.curve is None or not f.curve.ns:
        return None
    last = f.turn.peak if f.turn is not None and f.turn.turned else f.curve.ns[-1]
    if f.curve.gain:
        shown = [g.low > 0 for g in f.curve.gain]
    else:  # two marginal intervals that do not meet: stricter, and all that a curve without gains offers
        shown = [t.low > f.curve.truth[0].high for t in f.curve.truth]
    gained = [n for n, g in zip(f.curve.ns, shown, strict=True) if 1 < n <= last and g]
    return max(gained, default=None)


_FORBID = (
    "accuracy",
    "baseline",
    "over-optimisation",
    "bias",
    "unscored",
    "gap",
    "attack",
    "consistency",
    "fairness",
    "selection",
    "headroom",
    "undecided",
)


def blocking(causes: Sequence[Cause]) -> bool:
    """Whether something was shown that forbids training against the reward."""
    return any(c.name.split("/")[0] in _FORBID for c in causes)


def gap_closed(f: Findings) -> float | None:
    """(U_n - U_1) / (oracle_n - U_1) at the largest n; None where the oracle gains nothing either."""
    if f.curve is None or not f.curve.ns:
        return None
    start, end, best = f.curve.truth[0].value, f.curve.truth[-1].value, f.curve.oracle[-1].value
    return (end - start) / (best - start) if best > start else None
