"""RM-Bench: three right and three wrong answers in three styles, every one against every other.

A cell (i, j) of the 3 x 3 matrix is the share of items with `r(chosen in style i) > r(rejected in style j)`,
strict; styles are concise, detailed plain, detailed markdown. Hard is the mean of the cells above the diagonal (the
right one is plainer), normal the diagonal, easy those below. Each is averaged over the domains chat, code, math,
safety; overall is the mean of hard, normal and easy, which equals the mean over domains.

Source: Liu et al. 2024, "RM-Bench"; `compute_accuracy` in its code, and its leaderboard's definition of Overall. Safety
pools the rows of its two halves, as `split_dataset_by_domain` does.

Differs from its code: a row of which a needed reward is missing leaves; rows need not have their `domain` column
where the file's name or the subset says it; a missing domain is told, and the published names are then not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plaudit.evaluation.benchmarks.credits import tie_share, wins
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, choice, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, absent, mean_of, weighted_means
from plaudit.records.fields import RowError

DOMAINS = ("chat", "code", "math", "safety")
STYLES = ("concise", "plain", "markdown")
_WORDS = {
    "chat": ("chat", "alpacaeval"), "code": ("code", "hep-", "humaneval"), "math": ("math", "prm"),
    "safety": ("safety", "refusals", "xstest", "donotanswer"),
}  # fmt: skip


def _domain(row: SourceRow) -> str:
    for said in (row.cells.get("domain"), row.stem, row.cells.get("subset")):
        words = str(said or "").lower()
        for domain, starts in _WORDS.items():
            if any(start in words for start in starts):
                return domain
    raise RowError(
        "domain", row.cells.get("domain"), f"neither it nor the file's name says one of {', '.join(DOMAINS)}"
    )


def _parse(row: SourceRow) -> Item:
    sides = answers_of(row, "chosen"), answers_of(row, "rejected")
    for name, side in zip(("chosen", "rejected"), sides, strict=True):
        if len(side) != len(STYLES):
            raise RowError(name, list(side), f"{len(side)} answers; three are needed: {', '.join(STYLES)}")
    return choice(row, prompt_of(row, "prompt"), *sides, subset=_domain(row))


def _matrices(items: Sequence[Item], judged: Judged) -> Floats:
    """(n, 3, 3): 1 where the chosen one in style i beats the rejected one in style j; NaN where unknown."""
    return np.stack([wins(m, tie=0.0).reshape(3, 3) for m in judged.margins(items)])


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    matrix, domains = _matrices(items, judged), [item.subset for item in items]
    levels = {
        "hard": matrix[:, np.triu_indices(3, 1)[0], np.triu_indices(3, 1)[1]].mean(axis=1),
        "normal": matrix[:, range(3), range(3)].mean(axis=1),
        "easy": matrix[:, np.tril_indices(3, -1)[0], np.tril_indices(3, -1)[1]].mean(axis=1),
    }
    levels["overall"] = np.mean([levels["hard"], levels["normal"], levels["easy"]], axis=0)
    have = {d: 1.0 for d in DOMAINS if d in domains}
    missing = [d for d in DOMAINS if d not in domains]
    rows: list[Statistic] = []
    for name, values in levels.items():
        if missing:
            rows.append(absent(name, f"missing domains: {', '.join(missing)}"))
        shown = f"present_{name}" if missing else name
        rows.append(weighted_means(shown, values, domains, have, headline=True))
    for domain in have:
        rows.append(weighted_means(f"domain/{domain}", levels["overall"], domains, {domain: 1.0}))
        rows += [
            weighted_means(f"domain/{domain}/{name}", levels[name], domains, {domain: 1.0})
            for name in ("hard", "normal", "easy")
        ]
    # the matrix weighs rows alike, as its code prints it for a file
    rows += [
        mean_of(f"matrix/{chosen} beats {rejected}", matrix[:, i, j])
        for i, chosen in enumerate(STYLES) for j, rejected in enumerate(STYLES)
    ]  # fmt: skip
    rows.append(mean_of("ties", tie_share(judged.margins(items))))
    notes: tuple[str, ...] = ()
    if missing:
        notes = (
            f"missing domains: {', '.join(missing)}; what is called present_ is over the others and compares with no "
            "published number",
        )
    return Found(tuple(rows), notes)


RM_BENCH = Benchmark(
    name="rm-bench",
    line="three right against three wrong answers in three styles; hard, normal, easy",
    columns="prompt, chosen (3), rejected (3), and domain (or a file's name or subset that says it)",
    source="Liu et al. 2024; hub THU-KEG/RM-Bench",
    parse=_parse,
    statistics=_statistics,
    quirks=(
        "strictly greater: a tie is a loss in every cell (its code), so a constant reward scores 0 and not one half",
        "overall is the mean over domains, not over rows (its leaderboard); reported numbers often disagree with it",
        "safety pools refuse and response rows (its code)",
        "the matrix here weighs rows alike over the whole file; hard, normal and easy weigh domains alike",
    ),
)
"""RM-Bench."""
