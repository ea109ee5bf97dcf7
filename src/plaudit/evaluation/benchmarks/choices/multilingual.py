"""M-RewardBench: RewardBench in many languages, and what changes between them [100].

Within a language the score is RewardBench's (weighted subsets, mean of four sections; strict). Over languages: the
unweighted mean, the gap to English, and Cohen's kappa of the decisions on the same items in English and in the
language. Translation rows (`translation-easy`, `translation-hard`) are two subsets of their own. Where rows say script,
resource level, family or translation, accuracy by these stands beside (`covariates`).

Source: Gureja et al. 2024, "M-RewardBench"; its code applies RewardBench's weights to the column `source`.

Differs from the paper: kappa is 0, not undefined, where both sides decide all items alike in one way but not the
same; it is 1 where the decisions are identical.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.choices.covariates import by_covariate, covariates_of
from plaudit.evaluation.benchmarks.choices.rewardbench import SECTIONS
from plaudit.evaluation.benchmarks.credits import pair_credit
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, choice, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import (
    Floats,
    Found,
    Parts,
    Statistic,
    absent,
    mean_of,
    ratio,
    sections,
    weighted_means,
)
from plaudit.records.fields import RowError

ENGLISH = ("eng_latn", "en", "eng", "english")
TRANSLATION = ("translation-easy", "translation-hard")
_PUBLISHED = {g: w / sum(part.values()) for part in SECTIONS.values() for g, w in part.items()}


def _parse(row: SourceRow) -> Item:
    language = row.cells.get("language") or row.folder
    if not language:
        raise RowError("language", None, "neither a column language nor a folder such as arb_Arab says it")
    subset = str(row.cells.get("source") or row.cells.get("subset") or row.stem)
    prompt = prompt_of(row, "prompt")
    meta = {"language": str(language), **covariates_of(row, str(language))}
    item = choice(row, prompt, answers_of(row, "chosen"), answers_of(row, "rejected"), subset=subset, meta=meta)
    # translations of an item stand and fall together
    return replace(item, cluster=f"{subset}:{item.id}")


def _whose(item: Item) -> str:
    translator = item.meta.get("translator")
    return f" by {translator}" if translator else ""


def _gather(items: list[Item]) -> list[Item]:
    seen: set[tuple[str, str, str]] = set()
    for item in items:
        key = (str(item.meta["language"]) + _whose(item), item.subset, item.id)
        if key in seen:
            raise InputError(
                f"m-rewardbench: {key[0]} has the item {key[2]} of {key[1]} twice; name one file a language (the hub "
                "has filtered.json beside test-*.parquet)"
            )
        seen.add(key)
    return items


def cohen_kappa(a: ArrayLike, b: ArrayLike) -> float:
    """Agreement of two columns of 0 and 1 beyond chance, `(p_o - p_e) / (1 - p_e)`.

    Args:
        a: (n,); rows where either is NaN are left out.
        b: (n,).

    Returns:
        1 for identical columns, also constant ones; 0 where one is constant and they differ; NaN without rows.

    Source: Cohen 1960.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    return float(_kappa(np.array([[x.sum(), y.sum(), (x * y).sum(), x.size]], np.float64))[0])


def _kappa(t: Floats) -> Floats:
    n = t[:, 3]
    p, q, both = (t[:, i] / np.maximum(n, 1.0) for i in range(3))
    observed, chance = 1 - p - q + 2 * both, p * q + (1 - p) * (1 - q)
    value = np.where(chance < 1, (observed - chance) / np.where(chance < 1, 1 - chance, 1.0), 1.0)
    return np.asarray(np.where(n > 0, value, math.nan))


def _kappa_columns(a: Floats, b: Floats) -> Floats:
    return np.stack([a, b, a * b, np.ones(len(a))], axis=1)


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    right = pair_credit(judged.margins(items), tie=0.0)
    languages = [str(item.meta["language"]) for item in items]
    names = sorted(set(languages))
    rows: list[Statistic] = []
    notes: list[str] = []
    complete: list[str] = []
    if other := sorted({i.subset for i in items} - set(_PUBLISHED) - set(TRANSLATION)):
        notes.append(f"no published section has the subsets {', '.join(map(repr, other))}; they count in no score")
    for language in names:
        inside = np.array([x == language for x in languages])
        at = np.flatnonzero(inside)
        found = sections(
            right[at], [items[int(i)].subset for i in at], SECTIONS, overall="score", prefix=f"{language}/"
        )
        rows += [replace(s, headline=False, rows=at) for s in found.statistics]
        if not any(n.startswith(f"{language}/missing") for n in found.notes):
            complete.append(language)
        notes += [n for n in found.notes if "missing" in n]
    rows += _between(items, right, languages, names, complete)
    english = next((x for x in names if x.lower() in ENGLISH), None)
    rows += by_covariate(items, right, languages, english)
    return Found(tuple(rows), tuple(notes))


def _between(
    items: Sequence[Item], right: Floats, languages: list[str], names: list[str], complete: list[str]
) -> list[Statistic]:
    groups = [f"{x}|{i.subset}" for x, i in zip(languages, items, strict=True)]
    rows: list[Statistic] = []
    if len(complete) == len(names):
        # every language weighs alike, and in it the four sections
        rows.append(
            _by_weight(
                "mean_over_languages", right, groups, {f"{x}|{g}": w for x in names for g, w in _PUBLISHED.items()}
            )
        )
    else:
        rows.append(absent("mean_over_languages", f"incomplete: {', '.join(x for x in names if x not in complete)}"))
        rows.append(
            weighted_means("present_mean_over_languages", right, languages, dict.fromkeys(names, 1.0), headline=True)
        )
    english = next((x for x in names if x.lower() in ENGLISH), None)
    if english is None:
        return [*rows, absent("gap_to_english", "there is no row in English (eng_Latn) to compare with")]
    of = {(i.subset, i.id): r for i, r, x in zip(items, right, languages, strict=True) if x == english}
    twin = np.array([of.get((i.subset, i.id), math.nan) for i in items])
    for language in (x for x in names if x != english):
        inside = np.array([x == language for x in languages])
        a, b = np.where(inside, twin, math.nan), np.where(inside, right, math.nan)
        rows.append(mean_of(f"gap_to_english/{language}", a - b, share=False, bounds=(-1.0, 1.0), signed=True))
        rows.append(Statistic(f"kappa_with_english/{language}", partial(_kappa_columns, a, b), _kappa, share=False))
    return rows


def _by_weight(name: str, values: Floats, groups: list[str], weights: dict[str, float]) -> Statistic:
    """As `weighted_means`, in two columns however many groups there are: equal on the data, nearly so on resamples."""
    known = ~np.isnan(values)
    size: dict[str, int] = {}
    for g, k in zip(groups, known, strict=True):
        size[g] = size.get(g, 0) + int(k)
    u = np.array([weights[g] / size[g] if g in weights and size[g] else math.nan for g in groups])
    columns = np.stack([u * values, np.where(known, u, math.nan)], axis=1)
    names = {g: i for i, g in enumerate(weights)}

    def inside() -> NDArray[np.bool_]:
        return np.asarray(np.array([names.get(g, -1) for g in groups])[:, None] == np.arange(len(names)))

    parts = Parts(values, tuple(weights.values()), inside)
    return Statistic(name, lambda: columns, ratio, headline=True, parts=parts)


M_REWARDBENCH = Benchmark(
    name="m-rewardbench",
    line="RewardBench in many languages; gap to English and consistency of decisions",
    columns="prompt, chosen, rejected, source, and language (or a folder such as arb_Arab); resource, script, family, "
    "translator, translation_quality",
    source="Gureja et al. 2024; hub CohereLabsCommunity/multilingual-reward-bench",
    parse=_parse,
    statistics=_statistics,
    gather=_gather,
    wanted=lambda path: not path.rpartition("/")[2].startswith("raw"),  # what was filtered out
    quirks=(
        "RewardBench's weights and its strict comparison (its code)",
        "the gap is over the same items, paired; the paper subtracts two scores",
        "translations of an item are resampled together, so gaps have the intervals of paired data",
    ),
)
"""M-RewardBench."""
