"""An audit as JUnit XML, which every CI server shows: one test a check, in a suite a family.

A red check is a failure, an amber one passes with its number said, a grey one is skipped with its reason; `fail_on`
of the command decides the exit status and not this file, so that the two can be used apart.
"""

from __future__ import annotations

from xml.etree import ElementTree

from plaudit.audit.battery import Audit
from plaudit.audit.config import FAMILIES


def junit_xml(audit: Audit) -> str:
    """The document as text.

    Args:
        audit: any audit.

    Returns:
        XML 1.0; characters that it cannot hold are replaced.
    """
    lights = audit.lights()
    root = ElementTree.Element(
        "testsuites", name=f"plaudit audit {_legal(audit.reward)}", tests=str(len(audit.checks)),
        failures=str(lights["red"]), errors="0", time=f"{audit.seconds:.3f}",
    )  # fmt: skip
    for family in FAMILIES:
        checks = [c for c in audit.checks if c.family == family]
        if not checks:
            continue
        suite = ElementTree.SubElement(
            root, "testsuite", name=family, tests=str(len(checks)), errors="0",
            failures=str(sum(c.light == "red" for c in checks)), skipped=str(sum(c.light == "grey" for c in checks)),
        )  # fmt: skip
        for check in checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"plaudit.audit.{family}", name=_legal(check.name)
            )
            number = "" if check.evidence is None else f"{check.evidence.format()}, {check.harm} {check.threshold:g}"
            if check.light == "red":
                failure = ElementTree.SubElement(case, "failure", message=_legal(f"{check.says}: {number}"))
                failure.text = _legal("\n\n".join(f"{e.note}\n{e.after}" for e in check.examples[:3]))
            elif check.light == "grey":
                ElementTree.SubElement(case, "skipped", message=_legal(check.skipped))
            else:
                ElementTree.SubElement(case, "system-out").text = _legal(f"{check.light}: {check.says}: {number}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 forbids."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or (c > "\udfff" and c not in "\ufffe\uffff") else "\ufffd"
        for c in text
    )
