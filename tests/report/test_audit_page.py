"""The audit's page and its JUnit file."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from plaudit.audit.against import compare_audits, read_audit
from plaudit.audit.battery import Audit
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.findings import Findings
from plaudit.audit.verdict import judge
from plaudit.errors import InputError, MissingError
from plaudit.evaluation.results import PairEvaluation
from plaudit.report.audit_page import AuditPage, render_audit, write_audit
from plaudit.report.junit import junit_xml
from plaudit.stats.estimate import Estimate

HOSTILE = "<script>alert(1)</script> & \x07 bell"
CHECKS = (
    Check("accuracy/coin", "share of pairs", Estimate(0.7, 0.66, 0.74, 300), 0.5, "below"),
    Check(
        "bias/length", "what added length moves", Estimate(0.9, 0.8, 1.0, 200), 0.2, "outside",
        (Example(HOSTILE, "before it", HOSTILE, 1.0, 2.5, "paid for"),), 3, fix="Balance it.",
    ),
    Check("attack/opener", "share fooled", Estimate(0.1, 0.02, 0.3, 50), 0.1, "above"),
    not_measured("fairness/gaps", "gaps", "no attribute was named", fix="Name columns."),
)  # fmt: skip


@pytest.fixture
def audit():
    evaluation = PairEvaluation(300, 300, {"scored": 300}, *(Estimate(0.7, 0.66, 0.74, 300) for _ in range(4)))
    verdict = judge(Findings(accuracy=Estimate(0.7, 0.66, 0.74, 300), checks=CHECKS[2:]))
    return Audit("my <reward>", "f00", 300, 300, CHECKS, verdict, evaluation, 900, 12.5)


def test_every_check_stands_on_the_page_with_its_light_number_and_reason(audit):
    page = render_audit(AuditPage(audit, "on pairs", "2026-01-01T00:00:00"))
    for check in CHECKS:
        assert check.name in page
    assert "no attribute was named" in page
    assert "0.900" in page
    assert "harmful beyond &plusmn;0.2" in page
    assert "this is not evidence of safety" in page or "would be no evidence of safety" in page
    assert page.count('class="check red"') == page.count('class="check amber"') == 1


def test_hostile_text_is_escaped_and_can_be_left_out(audit):
    page = render_audit(AuditPage(audit, "", ""))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    bare = render_audit(AuditPage(audit, "", ""), texts=False)
    assert "&lt;script&gt;" not in bare
    assert "their texts are left out" in bare


def test_it_is_stored_and_read_again(audit, tmp_path):
    changes = compare_audits(audit, audit)
    page = write_audit(tmp_path / "out", AuditPage(audit, "s", "c", changes, "base.json", {"seed": 0}))
    assert page.name == "audit.html"
    assert "base.json" in page.read_text()
    again = read_audit(tmp_path / "out")
    assert [c.light for c in again.checks] == [c.light for c in audit.checks]
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["audit"]["checks"][1]["light"] == "red"
    with pytest.raises(MissingError, match="is not there"):
        read_audit(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_audit(tmp_path / "broken.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="no stored audit"):
        read_audit(tmp_path / "other.json")


def test_junit_counts_failures_and_skips_and_survives_control_characters(audit):
    root = ElementTree.fromstring(junit_xml(audit))
    assert (root.get("tests"), root.get("failures")) == ("4", "1")
    cases = {c.get("name"): c for c in root.iter("testcase")}
    assert "0.900" in cases["bias/length"].find("failure").get("message")
    assert cases["fairness/gaps"].find("skipped").get("message") == "no attribute was named"
    assert cases["attack/opener"].find("failure") is None
    assert cases["attack/opener"].find("system-out").text.startswith("amber")
    assert "\x07" not in junit_xml(audit)


def test_without_texts_nothing_that_is_written_holds_one(audit, tmp_path):
    quoting = replace(audit.checks[1].examples[0], note="beats “a secret”")
    audit = replace(audit, checks=(audit.checks[0], replace(audit.checks[1], examples=(quoting,)), *audit.checks[2:]))
    write_audit(tmp_path, AuditPage(audit, "s", "c"), texts=False)
    written = [(tmp_path / "audit.json").read_text(), (tmp_path / "audit.html").read_text()]
    for document in (*written, junit_xml(audit, {"attack/opener": ["is amber"]}, texts=False)):
        assert "bias/length" in document
        assert not any(text in document for text in ("before it", "alert(1)", "a secret"))
    (example,) = read_audit(tmp_path).checks[1].examples
    assert (example.reward_before, example.reward_after) == (1.0, 2.5)
    assert all("alert(1)" in t for t in (render_audit(AuditPage(audit, "", "")), junit_xml(audit)))


def test_junit_fails_what_the_command_fails(audit):
    green = next(c.name for c in audit.checks if c.light != "red")
    why = {green: ["is worse"], "attack/gone": ["is not comparable, this audit did not measure it"]}
    root, plain = (ElementTree.fromstring(junit_xml(audit, w)) for w in (why, None))
    assert int(root.get("failures")) == int(plain.get("failures")) + 2
    assert int(root.get("tests")) == int(plain.get("tests")) + 1
    cases = {c.get("name"): c for c in root.iter("testcase")}
    assert cases[green].find("failure").get("message").startswith("is worse; ")
    assert cases[green].find("skipped") is None
    assert cases["attack/gone"].find("failure").get("message") == "is not comparable, this audit did not measure it"
    assert sum(int(s.get("failures")) for s in root.iter("testsuite")) == int(root.get("failures"))
