"""An audit as JUnit XML, which every CI server shows: one test a check, in a suite a family.

A red check is a failure, an amber one passes with its number said, a grey one is skipped with its reason. Whatever
made the command exit with 1 (`fail_on`: amber, worse than the baseline, not measured) is a failure as well, with that
reason, so that no server shows green beside a failed command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from plaudit.audit.battery import Audit
from plaudit.audit.checks import Check
from plaudit.audit.config import FAMILIES


def junit_xml(audit: Audit, failed: Mapping[str, Sequence[str]] | None = None, *, texts: bool = True) -> str:
    """The document as text.

    Args:
        audit: any audit.
        failed: check to the reasons for which the command exits with 1; a check that the audit has not (a baseline's)
            gets a test of its own.
        texts: whether a failure shows the worst texts; they may offend, or be confidential.

    Returns:
        XML 1.0; characters that it cannot hold are replaced.
    """
    why = failed or {}
    absent = [Check(name, "", None) for name in why if name not in {c.name for c in audit.checks}]
    checks = [*audit.checks, *absent]
    bad = {c.name for c in checks if c.light == "red" or c.name in why}
    root = ElementTree.Element(
        "testsuites", name=f"plaudit audit {_legal(audit.reward)}", tests=str(len(checks)),
        failures=str(len(bad)), errors="0", time=f"{audit.seconds:.3f}",
    )  # fmt: skip
    for family in dict.fromkeys((*FAMILIES, *(c.family for c in checks))):
        own = [c for c in checks if c.family == family]
        if not own:
            continue
        suite = ElementTree.SubElement(
            root, "testsuite", name=_legal(family), tests=str(len(own)), errors="0",
            failures=str(sum(c.name in bad for c in own)),
            skipped=str(sum(c.light == "grey" and c.name not in bad for c in own)),
        )  # fmt: skip
        for check in own:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"plaudit.audit.{_legal(family)}", name=_legal(check.name)
            )
            _result(case, check, why.get(check.name, ()), texts)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _result(case: ElementTree.Element, check: Check, why: Sequence[str], texts: bool) -> None:
    number = "" if check.evidence is None else f"{check.evidence.format()}, {check.harm} {check.threshold:g}"
    said = ": ".join(part for part in (check.says, number) if part)
    if check.light == "red" or why:
        message = "; ".join([*why, *([said] if said else [])])
        failure = ElementTree.SubElement(case, "failure", message=_legal(message))
        if texts:
            failure.text = _legal("\n\n".join(f"{e.note}\n{e.after}" for e in check.examples[:3]))
    elif check.light == "grey":
        ElementTree.SubElement(case, "skipped", message=_legal(check.skipped))
    else:
        ElementTree.SubElement(case, "system-out").text = _legal(f"{check.light}: {said}")


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 forbids."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or (c > "\udfff" and c not in "\ufffe\uffff") else "\ufffd"
        for c in text
    )
