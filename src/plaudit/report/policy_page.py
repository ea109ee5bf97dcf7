"""The page of a policy's run: curves over its updates, what it had become at the end, completions to read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plaudit.audit.aftermath import aftermath
from plaudit.audit.checks import Check
from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample
from plaudit.report import charts
from plaudit.report.audit_page import WORDS
from plaudit.report.page import both_widths, template
from plaudit.rewards.base import Outcome
from plaudit.rewards.files import read_scored
from plaudit.runs.atomic import write_text
from plaudit.runs.history import batches_of

PANELS = (
    ("Reward", "mean over what counts", ("reward", "shaped")),
    ("KL to the start", "nats a completion", ("kl",)),
    ("Length", "mean tokens", ("length",)),
    ("Deviation within groups", "of the reward", ("reward_std",)),
    ("Entropy", "nats a token", ("entropy",)),
    ("Shares", "of completions", ("finished", "distinct", "included", "silent_groups")),
)
"""Title, axis and names of the numbers that are drawn together."""
STYLES = ("true", "proxy", "oracle", "oracle")


@dataclass(frozen=True)
class Said:
    """A completion with its reward, for reading."""

    prompt: str
    completion: str
    reward: float
    outcome: str
    note: str


@dataclass(frozen=True)
class PolicyRun:
    """What a run left behind.

    Attributes:
        folder: its name.
        record: `alignment.json`: algorithm, configuration, reward, versions.
        history: a mapping a batch of completions: the first of its updates.
        checks: the audit after the fact.
        said: completions, early and late.
        completions: how many were sampled.
        updates: of the policy; a batch may serve for several.
        outcomes: what became of completions, to the share of them; what did not occur is left out.
    """

    folder: str
    record: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]
    checks: tuple[Check, ...]
    said: tuple[Said, ...]
    completions: int
    updates: int
    outcomes: Mapping[str, float]


def is_policy_run(folder: Path | str) -> bool:
    """Whether a folder is that of a finished online run of `plaudit align`.

    Args:
        folder: any folder.
    """
    folder = Path(folder)
    return (folder / "samples.jsonl").is_file() and (folder / "model" / "alignment.json").is_file()


def read_policy_run(folder: Path | str, *, seed: int = 0) -> PolicyRun:
    """Reads a run's folder and looks at it after the fact.

    Args:
        folder: as `plaudit align PROMPTS --reward REF --out FOLDER` left it.
        seed: of the bootstrap.

    Raises:
        MissingError: if a file is not there.
        InputError: if one is not what it should be.
    """
    folder = Path(folder)
    for name in ("metrics.jsonl", "samples.jsonl", "model/alignment.json"):
        if not (folder / name).is_file():
            raise MissingError(f"report: {folder / name} is not there; give the folder of a finished plaudit align run")
    try:
        record = json.loads((folder / "model" / "alignment.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise InputError(f"report: {folder}: a file is not JSON ({error}); train again, or restore it") from error
    history = tuple(batches_of(rows))
    scored = read_scored(folder / "samples.jsonl")
    checks = aftermath(scored.samples, scored.batch, history, seed=seed)
    outcomes = [int(o) for o in scored.batch.outcome]
    counts = {o: outcomes.count(o) for o in Outcome}
    shares = {o.name.lower().replace("_", " "): n / len(outcomes) for o, n in counts.items() if n}
    said = _read(scored.samples, scored.batch.reward.tolist(), outcomes)
    updates = sum("loss" in row for row in rows)
    return PolicyRun(folder.name, record, history, checks, said, len(scored.samples), updates, shares)


def render_policy_run(run: PolicyRun, *, texts: bool = True) -> str:
    """The page as HTML: no script, no network.

    Args:
        run: what was read.
        texts: whether completions are shown.
    """
    html: str = template("policy.html.j2").render(
        run=run, panels=_panels(run.history), words=WORDS, texts=texts,
        checks=sorted(run.checks, key=lambda c: ("red", "amber", "green", "grey").index(c.light)),
        ends=_ends(run.history), faults={k: v for k, v in run.record.get("faults", {}).items() if v},
        config=run.record.get("config", {}), versions=run.record.get("versions", {}),
    )  # fmt: skip
    return html


def write_policy_run(folder: Path | str, *, texts: bool = True, out: Path | None = None) -> Path:
    """Writes `report.html` into a run's folder (or elsewhere).

    Args:
        folder: of the run.
        texts: whether completions are shown.
        out: the page's path; `report.html` in the folder if None.
    """
    page = out or Path(folder) / "report.html"
    write_text(page, render_policy_run(read_policy_run(folder), texts=texts))
    return page


def _panels(history: Sequence[Mapping[str, float]]) -> list[tuple[str, Markup]]:
    """The curves that there are numbers for: those of the table, watched rewards, aspects and outcomes that occur."""
    if len(history) < 2:
        return []
    steps = [float(row.get("step", i + 1)) for i, row in enumerate(history)]
    present = {name for row in history for name in row}
    panels = [(title, axis, [n for n in names if n in present]) for title, axis, names in PANELS]
    watched = sorted(n for n in present if n.startswith("watched/"))
    panels[1:1] = [(f"Watched: {n.split('/', 1)[1]}", "mean; nothing was learnt from it", [n]) for n in watched]
    for prefix, title, axis in (
        ("aspect/", "Aspects", "mean"),
        ("dominance/", "Who dominates", "rank correlation of an aspect and the reward"),
    ):
        names = sorted(n for n in present if n.startswith(prefix))
        panels += [(title, axis, names[i : i + 4]) for i in range(0, len(names), 4)]
    moved = [n for n in sorted(present) if n.startswith("outcome/") and any(row.get(n) for row in history)]
    panels.insert(1, ("Outcomes other than scored", "share of completions", moved[:4]))  # beside the reward
    found = []
    for title, axis, names in panels:
        if names == ["reward", "shaped"] and all(row.get("reward") == row.get("shaped") for row in history):
            names = ["reward"]
        series = [
            charts.History(
                n.split("/", 1)[-1].replace("_", " "), STYLES[i], tuple(row.get(n, math.nan) for row in history)
            )
            for i, n in enumerate(names)
        ]
        if series:
            label = f"{title} over the updates of the run"
            found.append((title, both_widths(charts.history, steps, series, label=label, axis=axis)))
    return found


def _ends(history: Sequence[Mapping[str, float]]) -> list[tuple[str, float, float]]:
    """Mean of the first and of the last tenth of the batches, of the numbers that a reader asks for first."""
    size = max(1, len(history) // 10)
    present = sorted({name for row in history for name in row if row.get(name) or not name.startswith("outcome/")})
    names = ["reward", *(n for n in present if n.startswith(("outcome/", "watched/"))), "kl", "length"]

    def mean(rows: Sequence[Mapping[str, float]], name: str) -> float:
        values = [row[name] for row in rows if name in row]
        return sum(values) / len(values) if values else math.nan

    found = [(n.replace("/", ": ").replace("_", " "), mean(history[:size], n), mean(history[-size:], n)) for n in names]
    return [row for row in found if not (math.isnan(row[1]) and math.isnan(row[2]))]


def _read(samples: Sequence[Sample], rewards: Sequence[float], outcomes: Sequence[int], k: int = 4) -> tuple[Said, ...]:
    """Best and worst completions of the first and of the last tenth of the run."""
    size = max(k, len(samples) // 10)
    found = []
    for when, part in (
        ("early", range(min(size, len(samples)))),
        ("late", range(max(0, len(samples) - size), len(samples))),
    ):
        known = sorted((i for i in part if not math.isnan(rewards[i])), key=lambda i: -rewards[i])
        chosen = [*((i, "best") for i in known[: k // 2]), *((i, "worst") for i in known[k // 2 :][-(k // 2) :])]
        chosen += [(i, "no reward") for i in part if math.isnan(rewards[i])][:1]
        for i, what in chosen:
            prompt = "\n\n".join(f"{m.role}: {m.text}" for m in samples[i].prompt)
            outcome = Outcome(outcomes[i]).name.lower().replace("_", " ")
            found.append(Said(prompt, samples[i].text, rewards[i], outcome, f"{when}, {what}"))
    return tuple(found)
