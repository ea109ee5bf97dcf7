import json
import os
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from plaudit.audit.findings import Findings
from plaudit.audit.verdict import judge
from plaudit.errors import InputError, MissingError
from plaudit.report.data import Change, ReportData
from plaudit.report.folder import read_report, write_report
from plaudit.report.page import _judgement, render
from plaudit.stats.estimate import Estimate

SECTIONS = (
    "verdict", "trained", "selection", "accuracy", "calibration", "biases", "gaps", "margins", "wrong",
    "changes", "not-tested", "provenance",
)  # fmt: skip


def test_sections_stand_in_order(report):
    page = render(report)
    places = [page.index(f'id="{name}"') for name in SECTIONS]
    assert places == sorted(places)


def test_the_numbers_are_on_the_page(report):
    page = render(report)
    accuracy = report.evaluation.accuracy
    assert f"{100 * accuracy.value:.1f}%" in page
    assert "Rerank up to n = 8" in page
    assert "0.710" in page  # the length bias among the causes
    assert "plaudit run recipes/demo-fixed.yaml" in page
    assert "9f2c1b7d0e4a5566" in page
    assert "flips: 0.2" in page


def test_what_the_training_bought_beyond_the_best_rule_is_said(report):
    rules = [b for b in report.evaluation.truth.baselines if b.name in ("longer", "shorter", "more markdown")]
    best = max(rules, key=lambda b: b.accuracy.value)
    said = render(report).split("Beyond the best of them, ")[1].split("</p>")[0]
    assert said.startswith(f"“{best.name}”")
    assert f"{100 * best.advantage.value:.1f}%" in said
    assert "judged by the true reward" in said


def test_nothing_is_fetched_and_nothing_runs(report):
    page = render(report)
    assert not re.search(r"<script|<link|<iframe|@import|url\(", page)
    assert not re.search(r"""(?:src|href)\s*=\s*["']""", re.sub(r"&lt;.*?&gt;", "", page))
    assert "default-src 'none'" in page


def test_texts_are_escaped_and_can_be_left_out(report):
    page = render(report)
    assert "&lt;script&gt;document.title=" in page
    bare = render(report, texts=False)
    assert "document.title" not in bare
    assert "landlord" not in bare
    assert "row 7: margin −6.00" in bare


def test_every_field_of_hostile_text_is_escaped():
    evil = "<b onclick=x>"
    data = ReportData(title=evil, subject=evil, created=evil, not_tested=(evil,), recipe=evil, command=evil)
    assert "<b" not in render(data).split("<main>")[1]
    assert "<b onclick" not in render(data)


def test_an_empty_report_is_a_page():
    page = render(ReportData(title="Nothing yet"))
    assert "<h1>Nothing yet</h1>" in page
    assert "<section" not in page


def test_without_a_true_reward_the_page_says_so(report):
    verdict = judge(Findings(accuracy=Estimate(0.8, 0.75, 0.85, 400)))
    page = render(replace(report, verdict=verdict, curve=None, turn=None))
    assert "o failure found by these tests; this is not evidence of safety" in page
    assert 'id="selection"' not in page


def test_proxy_has_its_own_panel_where_its_unit_is_unknown(report):
    assert render(report).count('class="curve proxy"') == 2  # page and phone, beside the truth
    page = render(replace(report, biases=None))
    assert "proxy gained over one sample, reward units" in page


def test_page_is_small(report):
    assert len(render(report).encode()) < 200_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change("a", Estimate(0.5, 0.4, 0.6), Estimate(0.7, 0.6, 0.8), Estimate(0.2, 0.1, 0.3)), "better"),
        (
            Change("a", Estimate(0.5, 0.4, 0.6), Estimate(0.7, 0.6, 0.8), Estimate(0.2, -0.1, 0.5)),
            "undecided",
        ),
        (Change("a", Estimate(0.5, 0.4, 0.6), Estimate(0.7, 0.65, 0.8), better="lower"), "worse"),
        (Change("a", Estimate(0.5, 0.4, 0.6), Estimate(0.55, 0.45, 0.65)), "undecided"),
        (Change("a", Estimate(-0.5, -0.6, -0.4), Estimate(0.1, -0.1, 0.2), better="nearer-zero"), "better"),
        (Change("a", Estimate(0.1, -0.1, 0.2), Estimate(-0.5, -0.6, -0.4), better="nearer-zero"), "worse"),
        (Change("a", Estimate(0.5), Estimate(0.7)), "undecided"),
    ],
)
def test_before_and_after(change, said):
    assert _judgement(change) == said


def test_folder_round_trip(report, tmp_path):
    page = write_report(tmp_path, report)
    assert page.read_text(encoding="utf-8") == render(report)
    assert render(read_report(tmp_path)) == render(report)
    assert json.loads((tmp_path / "report.json").read_text())["title"] == report.title


def test_folder_errors(tmp_path):
    with pytest.raises(MissingError, match=r"report\.json is not there; give a run folder"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text('{"titel": "x"}')
    with pytest.raises(InputError, match="key 'titel' is not known; did you mean 'title'"):
        read_report(tmp_path)


def test_a_browser_shows_it_and_runs_nothing(report, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine: the page was not opened in a browser")
    page = tmp_path / "report.html"
    page.write_text(render(report), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ))
    dom = found.stdout
    assert f"<title>{report.title}</title>" in dom  # the script of the completion would have changed it
    assert "<script" not in dom
    assert "<img" not in dom
    assert dom.count("<svg") == 12  # six charts at two widths
    assert dom.count('<details class="pair"') == len(report.wrong)
    assert "Rerank up to n = 8" in dom
