"""WildBench's tasks: groups with published weights, where rows have their tags from, and the weighted mean over them.

Differs from its code: tags and prompts come from the result rows, or from the data set's rows where these are given
beside them (its code loads them by id); a mean of which a group is missing is not given (there it counts as 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.items import Item, SourceRow, identity, prompt_of
from plaudit.evaluation.benchmarks.statistics import Floats, Parts, Statistic, absent
from plaudit.records.fields import RowError, items, text

WEIGHTS = {
    "Creative Tasks": 0.5, "Planning & Reasoning": 1.25, "Math & Data Analysis": 1.0,
    "Information/Advice seeking": 0.75, "Coding & Debugging": 1.25,
}  # fmt: skip
"""Published weight of each group of tasks."""
TASKS = {
    "Information seeking": "Information/Advice seeking", "Creative Writing": "Creative Tasks",
    "Coding & Debugging": "Coding & Debugging", "Reasoning": "Planning & Reasoning", "Editing": "Creative Tasks",
    "Math": "Math & Data Analysis", "Planning": "Planning & Reasoning", "Brainstorming": "Creative Tasks",
    "Role playing": "Creative Tasks", "Advice seeking": "Information/Advice seeking",
    "Data Analysis": "Math & Data Analysis", "Others": "Creative Tasks",
}  # fmt: skip
"""Published tag to its group."""


def groups_of(row: SourceRow) -> tuple[str, ...]:
    """The groups of a row's tasks, by its tags; none where it has no tag.

    Raises:
        RowError: if a tag is no published one.
    """
    tags = [row.cells.get("primary_tag"), *(row.cells.get("secondary_tags") or [])]
    found = []
    for tag in (t for t in tags if t):
        if tag not in TASKS:
            raise RowError("primary_tag", tag, f"no published task; the tasks are {', '.join(TASKS)}")
        found.append(TASKS[tag])
    return tuple(dict.fromkeys(found))


def data_set_row(row: SourceRow, answers: Sequence[str], prompts: Sequence[str]) -> Item | None:
    """A row of the data set, which has the prompt and the tasks of a conversation; None for a row with answers.

    Args:
        row: of any file.
        answers: the columns that have the answers.
        prompts: the columns that have the conversation.
    """
    if any(row.cells.get(c) is not None for c in answers) or not keys_of(row):
        return None
    prompt = prompt_of(row, *prompts) if any(row.cells.get(c) is not None for c in prompts) else ()
    if not prompt and row.cells.get("primary_tag") is None:
        return None
    checklist = list(items("checklist", row.cells.get("checklist") or [], text)) or None
    meta = {"tasks": groups_of(row), "keys": keys_of(row), "prompt": prompt, "checklist": checklist}
    return Item(identity(row), "", (), (), meta=meta)


def keys_of(row: SourceRow) -> tuple[str, ...]:
    """What results and data set name a conversation by."""
    return tuple(dict.fromkeys(str(row.cells[c]) for c in ("session_id", "id") if row.cells.get(c) is not None))


def with_data_set(found: list[Item]) -> list[Item]:
    """Results with the prompts, checklists and tasks of the data set's rows where they lack them.

    Those rows themselves are no items.

    Raises:
        InputError: if there is nothing but rows of the data set.
    """
    known = {key: i.meta for i in found if "tasks" in i.meta for key in i.meta["keys"]}
    results = [i for i in found if "tasks" not in i.meta]
    if not results:
        raise InputError("wildbench: these are rows of the data set, with tasks and no answers; give result files too")
    return [_joined(i, next((known[k] for k in i.meta["keys"] if k in known), {})) for i in results]


def _joined(item: Item, known: Mapping[str, Any]) -> Item:
    samples = tuple(
        replace(s, prompt=s.prompt or known.get("prompt", ()), reference=s.reference or known.get("checklist"))
        for s in item.samples
    )
    return replace(item, samples=samples, meta={**item.meta, "groups": item.meta["groups"] or known.get("tasks", ())})


def task_notes(items: Sequence[Item]) -> list[str]:
    """A line where rows have no tasks."""
    bare = sum(not item.meta["groups"] for item in items)
    if not bare:
        return []
    return [
        f"{bare} of {len(items)} rows have no primary_tag and count in no group of tasks; give the data set's rows "
        "(session_id or id, primary_tag, secondary_tags) as another --data"
    ]


def task_wise(name: str, values: Floats, items: Sequence[Item], bounds: tuple[float, float]) -> Statistic:
    """The weighted mean over groups of tasks; a row counts in each of its groups.

    Args:
        name: in tables.
        values: (n,) of the rows; NaN leaves.
        items: n rows.
        bounds: lowest and highest value.
    """
    inside = np.array([[g in item.meta["groups"] for g in WEIGHTS] for item in items], np.float64).reshape(
        -1, len(WEIGHTS)
    )
    inside[np.isnan(values)] = 0
    missing = [g for g, count in zip(WEIGHTS, inside.sum(axis=0), strict=True) if not count]
    if len(missing) == len(WEIGHTS):
        why = (
            "no row has a primary_tag" if not any(i.meta["groups"] for i in items) else "no row with a task has a value"
        )
        return absent(name, why)
    if missing:
        return absent(name, f"missing groups of tasks: {', '.join(missing)}")
    columns = np.concatenate([np.where(inside > 0, values[:, None], 0.0), inside], axis=1)
    columns[np.isnan(values)] = math.nan
    share = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
    g = len(WEIGHTS)
    parts = Parts(np.asarray(values), tuple(float(w) for w in share), lambda: inside > 0)
    return Statistic(
        name, lambda: columns, lambda t: np.asarray((t[:, :g] / t[:, g:]) @ share), share=False, parts=parts,
        bounds=bounds,
    )  # fmt: skip
