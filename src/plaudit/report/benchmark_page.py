"""The page of a benchmark: headline numbers beside rules that never read the text, parts, what it cannot say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plaudit._json import to_json
from plaudit.evaluation.benchmarks.evaluating import BenchmarkResult
from plaudit.report import charts
from plaudit.report.page import both_widths, template
from plaudit.runs.atomic import write_text
from plaudit.stats.estimate import Estimate

_CELL = re.compile(r"matrix/(.+) beats (.+)")


@dataclass(frozen=True)
class Matrix:
    """Numbers in rows and columns, such as RM-Bench's styles.

    Attributes:
        rows: their names: the style of the chosen answer.
        columns: the style of the rejected one.
        cells: a row a list.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Estimate, ...], ...]


def headlines(result: BenchmarkResult) -> dict[str, dict[str, Estimate]]:
    """Number to rule to what it reaches there; the numbers that have rules beside them, in their order.

    Args:
        result: a benchmark's.
    """
    found: dict[str, dict[str, Estimate]] = {}
    for name, value in result.metrics.items():
        kind, _, rest = name.partition("/")
        if kind == "baseline":
            rule, _, number = rest.partition("/")
            found.setdefault(number, {})[rule] = value
    return {n: found[n] for n in result.metrics if n in found}


def matrix(result: BenchmarkResult) -> Matrix | None:
    """The numbers called `matrix/ROW beats COLUMN` as a table; None where there are none.

    Args:
        result: a benchmark's.
    """
    cells = {m.groups(): e for name, e in result.metrics.items() if (m := _CELL.fullmatch(name))}
    if not cells:
        return None
    rows, columns = (tuple(dict.fromkeys(key[i] for key in cells)) for i in (0, 1))
    nothing = Estimate(math.nan)
    return Matrix(rows, columns, tuple(tuple(cells.get((r, c), nothing) for c in columns) for r in rows))


def render_benchmark(result: BenchmarkResult, *, created: str = "", source: Mapping[str, Any] | None = None) -> str:
    """The page as HTML: no script, no network.

    Args:
        result: what the benchmark found.
        created: date and time, ISO 8601.
        source: configuration, versions, hashes, as provenance gives them.
    """
    heads = headlines(result)
    beside = {name for name in result.metrics if name.startswith(("baseline/", "advantage/", "matrix/"))}
    html: str = template("benchmark.html.j2").render(
        result=result,
        created=created,
        heads={name: _chart(result, name, rules) for name, rules in heads.items()},
        advantages={
            name: {rule: result.metrics.get(f"advantage/{rule}/{name}") for rule in rules}
            for name, rules in heads.items()
        },
        parts={name: e for name, e in result.metrics.items() if name not in beside and name not in heads},
        matrix=matrix(result),
        source=source or {},
    )
    return html


def write_benchmark(
    folder: Path | str, result: BenchmarkResult, *, created: str = "", source: Mapping[str, Any] | None = None
) -> Path:
    """Writes `benchmark.json` and `benchmark.html`, each replaced atomically.

    Args:
        folder: made where it is not there.
        result: what the benchmark found.
        created: date and time.
        source: as provenance gives it.

    Returns:
        The path of the page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    document = {"created": created, "result": to_json(result), "source": to_json(dict(source or {}))}
    write_text(folder / "benchmark.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    write_text(folder / "benchmark.html", render_benchmark(result, created=created, source=source))
    return folder / "benchmark.html"


def _chart(result: BenchmarkResult, name: str, rules: Mapping[str, Estimate]) -> Markup:
    rows = [charts.Row("this judge", result.metrics[name], "main")]
    # without an interval a number is a constant (chance), or too few rows say how sure it is: a dot, and no width of 0
    rows += [charts.Row(rule, e) for rule, e in rules.items()]
    chance = rules.get("random")
    reference = chance.value if chance is not None and math.isfinite(chance.value) else 0.5
    label = f"{name} of this judge and of rules that never read the text, with 95% intervals"
    return both_widths(charts.dots, rows, label=label, reference=reference, axis=name.replace("_", " "))
