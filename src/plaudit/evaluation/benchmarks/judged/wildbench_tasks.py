"""WildBench's tasks: groups with published weights, where rows have their tags from, and the weighted mean over them.

Differs from its code: tags come from the result rows, or from the data set's rows where these are given beside them
(its code loads them by id); a mean of which a group is missing is not given (there it counts as 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.items import Item, SourceRow, identity
from plaudit.evaluation.benchmarks.statistics import Floats, Parts, Statistic, absent
from plaudit.records.fields import RowError

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


def tags_only(row: SourceRow, answers: str) -> Item | None:
    """A row of the data set, which says the tasks of a conversation; None for a row with answers.

    Args:
        row: of any file.
        answers: the column that has the answers.
    """
    if row.cells.get(answers) is not None or row.cells.get("primary_tag") is None or not keys_of(row):
        return None
    return Item(identity(row), "", (), (), meta={"tasks": groups_of(row), "keys": keys_of(row)})


def keys_of(row: SourceRow) -> tuple[str, ...]:
    """What results and data set name a conversation by."""
    return tuple(dict.fromkeys(str(row.cells[c]) for c in ("session_id", "id") if row.cells.get(c) is not None))


def with_tasks(found: list[Item]) -> list[Item]:
    """Results with the tasks of the data set's rows where they lack them; those rows themselves are no items.

    Raises:
        InputError: if there is nothing but rows of the data set.
    """
    tasks = {key: i.meta["tasks"] for i in found if "tasks" in i.meta for key in i.meta["keys"]}
    results = [i for i in found if "tasks" not in i.meta]
    if not results:
        raise InputError("wildbench: these are rows of the data set, with tasks and no answers; give result files too")
    return [
        item if item.meta["groups"]
        else replace(item, meta={
            **item.meta, "groups": next((tasks[k] for k in item.meta["keys"] if k in tasks), ())
        })
        for item in results
    ]  # fmt: skip


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
    missing = [g for g, count in zip(WEIGHTS, inside.sum(axis=0), strict=True) if not count]
    if len(missing) == len(WEIGHTS):
        return absent(name, "no row has a primary_tag")
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
