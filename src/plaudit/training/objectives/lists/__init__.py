"""Objectives that learn from whole lists: `lists` holds indices into the scores, best first where an order is meant."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "plackett_luce": "luce",
        "rank_list": "local",
        "reach_at": "local",
        "borda": "counts",
        "borda_counts": "counts",
        "borda_two_level": "counts",
        "expanded_pairs": "expansion",
    },
)
