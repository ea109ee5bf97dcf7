"""What accuracy in many languages goes with: script, resource level, family, translation [100].

Where the rows have the columns: `resource` (or `resource_level`), `family`, `translator` (the system that translated)
and `translation_quality` (a number, higher is better). The script is a column, or the second half of a language such as
`arb_Arab`. Accuracies weigh the languages of a kind alike; English rows have no translation's quality.

Source: Gureja et al. 2024, "M-RewardBench", as catalogued: the same items by two translators, resource level, script,
family. The columns' names are ours: its published files have none of them but the language.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from plaudit.evaluation.benchmarks.items import Item, SourceRow
from plaudit.evaluation.benchmarks.statistics import Floats, Statistic, mean_of, weighted_means
from plaudit.records.fields import RowError

KINDS: Mapping[str, tuple[str, ...]] = {
    "resource": ("resource", "resource_level"), "script": ("script",), "family": ("family", "language_family"),
    "translator": ("translator", "translation_system"),
}  # fmt: skip
"""Covariate to the columns that say it."""
THIRDS = ("lowest", "middle", "highest")


def covariates_of(row: SourceRow, language: str) -> dict[str, object]:
    """The covariates of a row that it has.

    Args:
        row: of a file.
        language: its language.

    Raises:
        RowError: if a translation's quality is no number.
    """
    found: dict[str, object] = {}
    for kind, columns in KINDS.items():
        said = next((row.cells[c] for c in columns if row.cells.get(c) not in (None, "")), None)
        if said is not None:
            found[kind] = str(said)
    _, mark, script = language.partition("_")
    if mark and len(script) == 4 and script.isalpha():
        found.setdefault("script", script)
    if (quality := row.cells.get("translation_quality")) is not None:
        if isinstance(quality, bool) or not isinstance(quality, int | float) or not math.isfinite(quality):
            raise RowError("translation_quality", quality, "is no number; give one, higher for better translations")
        found["translation_quality"] = float(quality)
    return found


def by_covariate(
    items: Sequence[Item], right: Floats, languages: Sequence[str], english: str | None
) -> list[Statistic]:
    """Accuracy by each covariate that the rows have, and its correlation with the translation's quality.

    Args:
        items: n items.
        right: (n,) 1 where the decision is right; NaN leaves.
        languages: (n,) of the items.
        english: which of them is English, if any.

    Returns:
        `KIND/VALUE`, for two translators `translator_gap/A - B` over the items that both translated, and for
        translations `translation_quality/lowest`, `/middle`, `/highest` third and `/correlation`.
    """
    rows: list[Statistic] = []
    for kind in KINDS:
        said = [str(i.meta[kind]) if kind in i.meta else "" for i in items]
        values = sorted(set(said) - {""})
        for value in values if len(values) > 1 else ():
            inside = [x if s == value else "" for x, s in zip(languages, said, strict=True)]
            rows.append(
                weighted_means(f"{kind}/{value}", right, inside, dict.fromkeys(sorted(set(inside) - {""}), 1.0))
            )
        if kind == "translator" and len(values) == 2:
            rows.append(_gap(items, right, languages, said, values))
    quality = np.array([
        math.nan if x == english else i.meta.get("translation_quality", math.nan)
        for i, x in zip(items, languages, strict=True)
    ], np.float64)  # fmt: skip
    return rows + (_by_quality(right, quality) if np.isfinite(quality).any() else [])


def _gap(
    items: Sequence[Item], right: Floats, languages: Sequence[str], said: Sequence[str], values: Sequence[str]
) -> Statistic:
    """One translator's accuracy less the other's, paired over what both translated."""
    keys = [(x, i.subset, i.id) for x, i in zip(languages, items, strict=True)]
    second = {k: r for k, r, s in zip(keys, right, said, strict=True) if s == values[1]}
    change = [r - second.get(k, math.nan) if s == values[0] else math.nan
              for k, r, s in zip(keys, right, said, strict=True)]  # fmt: skip
    name = f"translator_gap/{values[0]} - {values[1]}"
    return mean_of(name, change, share=False, bounds=(-1.0, 1.0), signed=True)


def _by_quality(right: Floats, quality: Floats) -> list[Statistic]:
    edges = np.nanquantile(quality, [1 / 3, 2 / 3])
    third = np.where(np.isnan(quality), -1, np.searchsorted(edges, quality))
    rows = [
        mean_of(f"translation_quality/{name} third", np.where(third == t, right, math.nan))
        for t, name in enumerate(THIRDS)
        if (third == t).any()
    ]
    columns = partial(_products, right, quality - np.nanmean(quality))
    return [*rows, Statistic("translation_quality/correlation", columns, _correlation, share=False)]


def _products(x: Floats, y: Floats) -> Floats:
    return np.stack([np.ones_like(x) + 0 * x * y, x, y, x * x, y * y, x * y], axis=1)


def _correlation(t: Floats) -> Floats:
    """Pearson's, NaN where one side is constant."""
    n, x, y, xx, yy, xy = t.T
    spread = (xx - x * x / n) * (yy - y * y / n)
    return np.asarray(np.where(spread > 1e-12, (xy - x * y / n) / np.sqrt(np.maximum(spread, 1e-12)), math.nan))
