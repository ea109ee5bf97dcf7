"""The page of a benchmark."""

from __future__ import annotations

import json
import math

import pytest

from plaudit.evaluation.benchmarks.evaluating import BenchmarkResult
from plaudit.report.benchmark_page import headlines, matrix, render_benchmark, write_benchmark
from plaudit.stats.estimate import Estimate


def _e(value):
    return Estimate(value, value - 0.1, value + 0.1, 40, "m")


@pytest.fixture
def result():
    cells = {f"matrix/{r} beats {c}": _e(0.1 * i) for i, (r, c) in enumerate([("a", "a"), ("a", "b"), ("b", "b")])}
    return BenchmarkResult(
        "rm-bench", "judge <x>", 40, 38, {"scored": 100, "abstained": 2},
        {
            "hard": _e(0.4), "overall": Estimate(math.nan), "domain/chat": _e(0.6), **cells,
            "baseline/longer/hard": _e(0.2), "advantage/longer/hard": _e(0.23),
            "baseline/random/hard": Estimate(0.5, n=40), "advantage/random/hard": _e(-0.1),
        },
        ("missing domains: math",),
    )  # fmt: skip


def test_numbers_with_rules_are_headlines_and_the_rest_are_parts(result):
    assert {n: list(rules) for n, rules in headlines(result).items()} == {"hard": ["longer", "random"]}
    page = render_benchmark(result, source={"command": "plaudit evaluate", "versions": {"python": "3"}, "data": {}})
    assert "domain/chat" in page
    assert "missing domains: math" in page
    assert "0.230" in page  # the advantage stands beside the rule
    assert "judge &lt;x&gt;" in page
    assert "abstained 2" in page
    assert "matrix/" not in page


def test_a_number_without_an_interval_is_shown_without_one(result):
    # chance is 0.50, a constant: not "0.50 [0.50, 0.50]", which a rule of few rows would be shown as too
    page = render_benchmark(result)
    assert ">0.50<" in page
    assert "[0.50, 0.50]" not in page


def test_the_matrix_has_styles_in_rows_and_columns(result):
    table = matrix(result)
    assert (table.rows, table.columns) == (("a", "b"), ("a", "b"))
    assert [e.value for e in table.cells[0]] == [0.0, 0.1]
    assert math.isnan(table.cells[1][0].value)  # b against a was not measured
    assert table.cells[1][1].value == pytest.approx(0.2)


def test_it_is_written_whole(result, tmp_path):
    page = write_benchmark(tmp_path / "out", result)
    assert page.read_text().count("<svg") == 2  # one chart at two widths
    stored = json.loads((tmp_path / "out" / "benchmark.json").read_text())["result"]
    assert stored["metrics"]["hard"]["value"] == 0.4
    assert stored["metrics"]["overall"]["value"] is None
