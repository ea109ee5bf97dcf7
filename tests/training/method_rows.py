"""Rows that say what each objective may want to know of one, and the objectives by what their models give."""

from dataclasses import replace

from plaudit.records import Message, Pair, Ranked, Rated
from plaudit.training.methods import METHODS, chosen

ASKED = (Message("user", "how are you"),)


def ranked_rows(n=8, k=4):
    return [
        Ranked(
            (Message("user", f"question {i}"),), tuple(f"{'good ' * j}answer {i}" for j in range(k)),
            tuple(float(j + 1) for j in range(k)),
        )
        for i in range(n)
    ]  # fmt: skip


def rated_rows(n=8, k=3):
    asked = [(Message("user", f"question {i}"),) for i in range(n)]
    return [
        Rated(prompt, f"{'good ' * j}answer", float(j + 1), meta={"second": min(j + 2, 5)})
        for prompt in asked
        for j in range(k)
    ]


def pair_rows(n=8):
    """Pairs that say everything that an objective may want to know of one."""
    meta = {"preference": 0.9, "judgements": [1.0, 2.0, 1.5], "second": True}
    return [
        Pair(
            (Message("user", f"question {i}"),), f"{'good ' * 3}answer {i}", f"answer {i}", margin=2.0,
            chosen_score=4.0, rejected_score=1.0, meta=meta,
        )
        for i in range(n)
    ]  # fmt: skip


def aspect_rows(n=8, k=4):
    """Lists whose completions are rated in two aspects, one of them on the first list only."""
    rows = ranked_rows(n, k)
    tables = [[{"good": 10.0 * j, **({"short": -float(j)} if not i else {})} for j in range(k)] for i in range(n)]
    return [Ranked(r.prompt, r.completions, r.scores, {"aspects": t}) for r, t in zip(rows, tables, strict=True)]


def sourced_rows(n=8):
    """Pairs of two annotators who agree."""
    return [replace(row, annotator="ab"[i % 2]) for i, row in enumerate(pair_rows(n))]


def partly_labelled_rows(n=8):
    """Pairs of which every other one does not say which is better."""
    return [replace(row, meta={"labelled": i % 2 == 0}) for i, row in enumerate(pair_rows(n))]


def rows_for(name, n=8):
    """Ranked rows, or others for what only they can say."""
    if METHODS[name].labels == "aspects":
        return aspect_rows(n)
    if METHODS[name].labels == "aspect-preferences":
        return [replace(row, meta={"aspect_preferences": {"good": 0.9}}) for row in pair_rows(n)]
    if "source" in METHODS[name].columns or name == "variational":
        return sourced_rows(n)
    if "labelled" in METHODS[name].columns:
        return partly_labelled_rows(n)
    if "second_rating" in METHODS[name].columns:
        return rated_rows(n, k=4)
    return pair_rows(n) if {"preference", "spread", "second"} & set(METHODS[name].columns) else ranked_rows(n)


REWARDS = sorted(n for n in METHODS if METHODS[n].model == "classifier" and not chosen(n).head.compares)
COMPARISONS = sorted(n for n in METHODS if METHODS[n].model == "classifier" and chosen(n).head.compares)
