"""The evidence page: what was claimed, what came out, and how much that is worth."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from plaudit.lab.claim import GRADES, Claim
from plaudit.lab.rankings import RankingAgreement
from plaudit.lab.running import Results
from plaudit.lab.seeds import COUNTS, Role
from plaudit.lab.verdict import Judgement, Verdict, gap_closed, judge
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import t_interval
from plaudit.stats.tests import benjamini_hochberg

LEVEL = 0.05
"""Share of false ones among the effects of an area that Benjamini-Hochberg allows."""


@dataclass(frozen=True)
class Row:
    """One experiment on the page.

    Attributes:
        claim: as committed.
        confirmed: judgement on the confirmatory instances; None before they were run.
        blind: judgement on the blind ones; None before they were run.
        gap: share of the gap to the oracle that the first arm closed, or None.
        adjusted: p-value after Benjamini-Hochberg within the area; NaN where there is none.
        arms: for each arm that was run its numbers, as means over the confirmatory instances with t intervals.
    """

    claim: Claim
    confirmed: Judgement | None
    blind: Judgement | None
    gap: Estimate | None
    adjusted: float = math.nan
    arms: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

    @property
    def chance(self) -> bool:
        """Whether an effect was found that so many experiments of an area may show by chance: adjusted p above 0.05."""
        found = self.confirmed is not None and self.confirmed.verdict in (Verdict.HOLDS, Verdict.WEAK, Verdict.REVERSED)
        return found and self.adjusted > LEVEL

    @property
    def disagrees(self) -> bool:
        """Whether the blind instances contradict the confirmatory verdict."""
        if self.confirmed is None or self.blind is None:
            return False
        effect, delta = self.blind.effect.value, self.claim.delta
        match self.confirmed.verdict:
            case Verdict.HOLDS | Verdict.WEAK:
                return effect <= 0
            case Verdict.REVERSED:
                return effect >= 0
            case Verdict.NULL:
                return abs(effect) > delta
        return False


def summarise(results: Mapping[str, tuple[Claim, Results]]) -> list[Row]:
    """Judges every experiment, and adjusts for several of them within an area.

    Args:
        results: name to claim and what was run; instances without both arms of the contrast are left out.
    """
    rows = [_row(claim, runs) for claim, runs in results.values()]
    for area in sorted({r.claim.area for r in rows}):
        at = [
            i
            for i, r in enumerate(rows)
            if r.claim.area == area and r.confirmed is not None and not math.isnan(r.confirmed.p_value)
        ]
        if at:
            adjusted = benjamini_hochberg([rows[i].confirmed.p_value for i in at])  # type: ignore[union-attr]
            for i, p in zip(at, adjusted.tolist(), strict=True):
                rows[i] = replace(rows[i], adjusted=p)
    return rows


def evidence_page(rows: Sequence[Row], agreements: Sequence[RankingAgreement] = ()) -> str:
    """The page in Markdown.

    Args:
        rows: of `summarise`.
        agreements: of `ranking_agreements`.
    """
    lines = ["# Evidence", "", *_rankings(agreements), ""]
    lines += [
        "Effects are paired differences over world instances, in the claimed direction, with 95% t "
        "intervals. Verdicts: HOLDS (interval above delta), WEAK (above 0), NULL (inside plus or minus "
        "delta), REVERSED (below 0), UNDECIDED, by each experiment's own interval. p-values are adjusted by "
        'Benjamini-Hochberg within an area; "not when adjusted" marks an effect whose adjusted p is above '
        f"{LEVEL}: among so many experiments one like it may be chance. Blind instances "
        "disagree where their effect has the other sign, or lies beyond delta against a NULL; an undecided effect has "
        "nothing that they could contradict.",
        "",
        *_counts(rows),
        "",
        "| experiment | grade | world | effect | verdict | adjusted p | blind |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_table_row(row) for row in rows]
    joined = _joined(rows)
    for together in joined:
        lines += ["", *_joined_section(together)]
    elsewhere = {row.claim.name for together in joined for row in together}
    for row in rows:
        lines += ["", *_section(row), *([] if row.claim.name in elsewhere else _summary(row)), *_arms_table(row)]
    return "\n".join(lines) + "\n"


def _row(claim: Claim, runs: Results) -> Row:
    judged = {role: _judged(claim, runs, role) for role in ("confirmatory", "blind")}
    return Row(claim, judged["confirmatory"], judged["blind"], _gap(claim, runs), arms=_arms(claim, runs))


def _arms(claim: Claim, runs: Results) -> dict[str, dict[str, Estimate]]:
    """Every number of every arm; the primary metric first. Those of single models (`said#3`) are in the log only."""
    found: dict[str, dict[str, Estimate]] = {}
    for arm in claim.arms:
        rows = [v[arm] for k, v in runs.items() if k.startswith("confirmatory-") and arm in v]
        told = {name for row in rows for name in row if "#" not in name}
        names = sorted(told, key=lambda name: (name != claim.metric, name))
        if rows:
            found[arm] = {name: t_interval([row.get(name, math.nan) for row in rows]) for name in names}
    return found


def _complete(runs: Results, role: str, arms: Sequence[str]) -> list[str]:
    return sorted(k for k, v in runs.items() if k.startswith(role + "-") and all(a in v for a in arms))


def differences(runs: Results, role: str, arms: tuple[str, str], metric: str) -> list[float]:
    """First arm minus second, by instances of a role that have both; those without the metric are left out.

    Args:
        runs: what was run.
        role: of the instances.
        arms: which two.
        metric: any number of the arms.
    """
    pairs = [[runs[k][arm].get(metric, math.nan) for arm in arms] for k in _complete(runs, role, arms)]
    return [a - b for a, b in pairs if not math.isnan(a - b)]


def _judged(claim: Claim, runs: Results, role: str) -> Judgement | None:
    values = differences(runs, role, claim.contrast, claim.metric)
    return judge(values, delta=claim.delta, direction=claim.direction) if values else None


def _gap(claim: Claim, runs: Results) -> Estimate | None:
    if claim.oracle is None:
        return None
    arms = (*claim.contrast, claim.oracle)
    keys = _complete(runs, "confirmatory", arms)
    if not keys:
        return None
    value, base, top = (np.array([runs[k][a][claim.metric] for k in keys]) for a in arms)
    return gap_closed(value, base, top)


def _rankings(agreements: Sequence[RankingAgreement]) -> list[str]:
    """Whether methods rank alike in different worlds."""
    if not agreements:
        return ["Rankings between worlds: no experiment here repeats another one's methods in another world."]
    lines = [
        "Rankings between worlds: Kendall's tau of the methods that two experiments in different worlds share, by mean "
        "metric, controls left out; intervals over instances. Beside it how well each ranking is known: the mean tau "
        "between two halves of that world's own instances.",
        "",
        "| experiments | worlds | shared methods | tau | within each |",
        "| --- | --- | --- | --- | --- |",
    ]
    for a in agreements:
        within = " and ".join(f"{tau:.2f}" for tau in a.within)
        names = f"{len(a.methods)}: {', '.join(a.methods)}"
        lines.append(f"| {a.first}, {a.second} | {' and '.join(a.worlds)} | {names} | {a.tau.format(2)} | {within} |")
    return lines


def _counts(rows: Sequence[Row]) -> list[str]:
    """How many experiments of each area came out how; those with instances missing are counted apart."""
    lines = [
        f"| area | experiments | {' | '.join(Verdict)} | not whole yet | not when adjusted | blind disagree |",
        "| --- |" + " --- |" * (len(Verdict) + 4),
    ]
    for area in sorted({row.claim.area for row in rows}):
        among = [row for row in rows if row.claim.area == area]
        whole = [row for row in among if row.confirmed and row.confirmed.effect.n >= COUNTS["confirmatory"]]
        verdicts = Counter(row.confirmed.verdict for row in whole if row.confirmed)
        numbers = [len(among), *(verdicts[v] for v in Verdict), len(among) - len(whole)]
        numbers += [sum(row.chance for row in whole), sum(row.disagrees for row in among)]
        lines.append(f"| {area} | {' | '.join(map(str, numbers))} |")
    return lines


def _table_row(row: Row) -> str:
    c = row.claim
    effect = row.confirmed.effect.format() if row.confirmed else "not run"
    found = f"{row.confirmed.verdict}{', not when adjusted' if row.chance else ''}" if row.confirmed else "-"
    verdict = _marked(row.confirmed, "confirmatory", found) if row.confirmed else found
    adjusted = "-" if math.isnan(row.adjusted) else f"{row.adjusted:.3g}"
    said = "**disagrees**" if row.disagrees else "agrees"
    if row.confirmed is not None and row.confirmed.verdict == Verdict.UNDECIDED:
        said = "no verdict to check"  # whatever they show
    blind = _marked(row.blind, "blind", said) if row.blind else "not run"
    return f"| {_link(c.name)} | {c.grade} | {c.world} | {effect} | {verdict} | {adjusted} | {blind} |"


def _link(name: str) -> str:
    """To an experiment's section: of its name the anchor keeps letters, digits, hyphens and underscores."""
    return f"[{name}](#{re.sub(r'[^a-z0-9_-]', '', name.lower())})"


def _marked(found: Judgement, role: Role, words: str) -> str:
    """The words, marked where instances are missing: fewer may be looked at, and must not pass for the verdict."""
    done, needed = found.effect.n, COUNTS[role]
    return words if done >= needed else f"interim, {done} of {needed}: {words}"


def _section(row: Row) -> list[str]:
    c = row.claim
    n = row.confirmed.effect.n if row.confirmed else 0
    lines = [
        f"## {c.name}",
        "",
        f"{c.title}. Grade {c.grade}: {GRADES[c.grade]}.",
        "",
        f"- claim: {c.claim} ({c.source})",
        f"- contrast: `{c.contrast[0]}` against `{c.contrast[1]}`, metric `{c.metric}` ({c.unit}), claimed "
        f"{c.direction}, delta {c.delta:g}",
        f"- claim hash: `{c.hash}`" + (f", about the runs of {c.runs}" if c.runs else ""),
        f"- confirmatory instances: {n} of {COUNTS['confirmatory']}",
    ]
    if row.confirmed is not None:
        verdict = _marked(row.confirmed, "confirmatory", str(row.confirmed.verdict))
        chance = f"; not when adjusted within {c.area} (p {row.adjusted:.3g})" if row.chance else ""
        lines.append(f"- effect: {row.confirmed.effect.format()}, {verdict}{chance}")
    if row.gap is not None:
        lines.append(f"- gap to `{c.oracle}` closed: {row.gap.format()}")
    if row.blind is not None:
        lines.append(f"- blind: {row.blind.effect.format()}, {_marked(row.blind, 'blind', str(row.blind.verdict))}")
    if row.disagrees:
        lines.append("- **The blind instances disagree with the confirmatory ones: do not rely on this verdict.**")
    changes = [f"    - {a['date']}: {a['what']} ({a['why']})" for a in c.amendments]
    lines += ["- amendments:", *changes] if changes else ["- amendments: none"]
    again = "; blind instances with `--instances blind`" if c.salt is not None else ""
    lines.append(f"- command: `plaudit lab run {c.name}`{again}")
    lines += [f"- note: {note}" for note in c.notes]
    return lines


def _joined(rows: Sequence[Row]) -> list[list[Row]]:
    """Experiments that put the same numbers side by side, where there are several of them."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.claim.summary and row.arms:
            alike.setdefault(tuple(row.claim.summary), []).append(row)
    return [together for together in alike.values() if len(together) > 1]


def _joined_section(rows: Sequence[Row]) -> list[str]:
    """One table of several experiments' methods."""
    columns = rows[0].claim.summary
    lines = [
        f"## {', '.join(row.claim.name for row in rows)} in one table",
        "",
        "A method a line: mean ± half of its 95% interval over the confirmatory instances of its experiment. The "
        "experiments' instances are of one kind and not the same ones: a method that stands in several shows how far "
        "their levels differ, and differences with intervals are within one.",
        "",
        *(f"- {_link(row.claim.name)}: {' '.join(row.claim.notes)}" for row in rows if row.claim.notes),
        "",
        f"| arm | experiment | {' | '.join(columns)} |",
        "| --- | --- |" + " --- |" * len(columns),
    ]
    for row in rows:
        lines += [f"| {method} | {_link(row.claim.name)} | {cells} |" for method, cells in _side_by_side(row)]
    return lines


def _summary(row: Row) -> list[str]:
    """The columns that the claim names side by side, a method a line: mean and half of its 95% interval."""
    columns = row.claim.summary
    if not columns or not row.arms:
        return []
    lines = ["", "In one table (mean ± half of its 95% interval over the confirmatory instances):", ""]
    lines += [f"| arm | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    return lines + [f"| {method} | {cells} |" for method, cells in _side_by_side(row)]


def _side_by_side(row: Row) -> list[tuple[str, str]]:
    """Each method with the cells of its line."""
    found = []
    for method in dict.fromkeys(arm.partition("@")[0] for arm in row.arms):
        cells = []
        for column in row.claim.summary:
            name, _, dose = column.partition("@")
            # an arm without a dose is the same at all of them
            numbers = row.arms.get(f"{method}@{dose}" if dose else method, row.arms.get(method, {}))
            cells.append(_compact(numbers[name]) if name in numbers else "-")
        found.append((method, " | ".join(cells)))
    return found


def _compact(found: Estimate) -> str:
    digits = 0 if abs(found.value) >= 100 else 1 if abs(found.value) >= 10 else 3
    return f"{found.value:.{digits}f}±{(found.high - found.low) / 2:.{digits}f}"


def _arms_table(row: Row) -> list[str]:
    """Means of all numbers over the confirmatory instances, an arm a line."""
    if not row.arms or row.claim.runs:  # a claim about another experiment's runs: the table stands there
        return []
    if any("@" in arm for arm in row.arms):
        return _dosed_table(row)
    names = list(dict.fromkeys(name for numbers in row.arms.values() for name in numbers))
    lines = ["", f"| arm | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for arm, numbers in row.arms.items():
        cells = [numbers[name].format() if name in numbers else "-" for name in names]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def _dosed_table(row: Row) -> list[str]:
    """For arms `method@dose` a table a number: a method a line, a dose a column; arms without a dose have their own."""
    methods = list(dict.fromkeys(arm.partition("@")[0] for arm in row.arms))
    doses = sorted({arm.partition("@")[2] for arm in row.arms}, key=lambda d: (len(d), d))
    heads = [f"@{dose}" if dose else "as it is" for dose in doses]
    lines: list[str] = []
    for name in dict.fromkeys(name for numbers in row.arms.values() for name in numbers):
        lines += ["", f"`{name}` by arm and dose:", ""]
        lines += [f"| arm | {' | '.join(heads)} |", "| --- |" + " --- |" * len(doses)]
        for method in methods:
            found = [row.arms.get(f"{method}@{d}" if d else method) for d in doses]
            cells = [numbers[name].format() if numbers and name in numbers else "-" for numbers in found]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines
