"""What is said of groups that are too small to be measured: which, and how many pairs of them there are."""

from __future__ import annotations

from collections.abc import Mapping

MOST = 8
"""Groups that are named one by one; the others are counted."""


def too_small(counts: Mapping[str, int], least: int, unit: str = "pairs") -> str:
    """`a=x (25 pairs), a=y (3 pairs): fewer than 30`, the largest first; empty where there is none.

    Args:
        counts: group to what it has; one that has enough, but too little beside it, is named as such.
        least: what it would need.
        unit: of the counts, in the plural.
    """
    if not counts:
        return ""
    order = sorted(((g, n) for g, n in counts.items() if n < least), key=lambda item: (-item[1], item[0]))
    named = [f"{group} ({n} {unit if n != 1 else unit.removesuffix('s')})" for group, n in order[:MOST]]
    rest = order[MOST:]
    more = f" and {len(rest)} more with {sum(n for _, n in rest)} in all" if rest else ""
    alone = ", ".join(sorted(g for g, n in counts.items() if n >= least))
    return f"{', '.join(named)}{more}: fewer than {least}" + (f", too few to hold {alone} against" if alone else "")


def nobody_else(column: str, value: str, rows: str) -> str:
    """Why a column with one value is not measured.

    Args:
        column: the attribute.
        value: the only value.
        rows: what all have it, in the plural.
    """
    return f"all {rows} have {column}={value}, so there is nobody to compare with"
