"""The page of an audit: verdict, every check as a traffic light with its number, worst texts, what was not tested.

It is one self-contained file like the report of a run, from the same style sheet; all text is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plaudit._json import to_json
from plaudit.audit.against import CheckChange
from plaudit.audit.battery import Audit
from plaudit.audit.checks import Check, Example
from plaudit.audit.config import FAMILIES
from plaudit.report.page import USES, template
from plaudit.runs.atomic import write_text

TITLES = {
    "accuracy": "Does it rank better than rules that never read the text?",
    "calibration": "Can its probabilities be believed?",
    "bias": "What it pays for",
    "attack": "What fools it",
    "consistency": "Does it contradict itself?",
    "fairness": "Whom it serves worse",
}
WORDS = {"red": "fails", "amber": "undecided", "green": "no failure found", "grey": "not tested"}
ORDER = {"red": 0, "amber": 1, "green": 2, "grey": 3}


@dataclass(frozen=True)
class AuditPage:
    """What an audit's page shows.

    Attributes:
        audit: the audit.
        subject: one line under the title: which reward on which pairs.
        created: date and time, ISO 8601.
        changes: beside a baseline; empty without one.
        baseline: the baseline's name.
        source: configuration, versions, hashes, seed and platform, as provenance gives them.
    """

    audit: Audit
    subject: str
    created: str
    changes: tuple[CheckChange, ...] = ()
    baseline: str = ""
    source: Mapping[str, Any] | None = None


def render_audit(page: AuditPage, *, texts: bool = True) -> str:
    """The page as HTML: no script, no network.

    Args:
        page: what to show.
        texts: whether the texts of the examples are shown; they may offend, or be confidential.
    """
    audit = page.audit
    families = []
    for family in FAMILIES:
        checks = sorted((c for c in audit.checks if c.family == family), key=_order)
        if checks:
            families.append((family, TITLES[family], checks))
    html: str = template("audit.html.j2").render(
        page=page,
        audit=audit,
        v=audit.verdict,
        use=USES[audit.verdict.use],
        families=families,
        lights=audit.lights(),
        words=WORDS,
        texts=texts,
        facts=_facts(page.source or {}),
        command=(page.source or {}).get("command", ""),
    )
    return html


def write_audit(folder: Path | str, page: AuditPage, *, texts: bool = True) -> Path:
    """Writes `audit.json` and `audit.html`, each replaced atomically.

    Args:
        folder: made where it is not there.
        page: what was measured.
        texts: whether page and JSON hold the texts of the examples; without, the JSON keeps their rewards.

    Returns:
        The path of the page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "subject": page.subject,
        "created": page.created,
        "audit": (page.audit if texts else without_texts(page.audit)).to_dict(),
        "baseline": page.baseline,
        "changes": to_json(page.changes),
        "source": to_json(dict(page.source or {})),
    }
    write_text(folder / "audit.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    write_text(folder / "audit.html", render_audit(page, texts=texts))
    return folder / "audit.html"


def without_texts(audit: Audit) -> Audit:
    """The audit with nothing in its examples but their rewards: texts may offend, or be confidential.

    Notes go too, since some quote a text. Sentences stay: they may name the words that a search found.

    Args:
        audit: any audit.
    """
    bare = [
        replace(c, examples=tuple(Example("", "", "", e.reward_before, e.reward_after) for e in c.examples))
        for c in audit.checks
    ]
    return replace(audit, checks=tuple(bare))


def _order(check: Check) -> tuple[int, float]:
    excess = check.excess
    return ORDER[check.light], 0.0 if excess != excess else -excess


def _facts(source: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    rows = [(name, str(version)) for name, version in source.get("versions", {}).items()]
    rows += [(f"data hash ({name})", str(value)) for name, value in source.get("data", {}).items()]
    rows += [(name, str(source[name])) for name in ("seed", "platform", "commit") if source.get(name) not in (None, "")]
    return rows
