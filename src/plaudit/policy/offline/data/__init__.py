"""Rows as algorithms take them: checked, relabelled, selected."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "best_of": "selecting",
        "best_of_superbatch": "selecting",
        "centred": "selecting",
        "checked_rows": "checking",
        "consistent_pairs": "agreeing",
        "directed_samples": "conditioned",
        "direction_words": "conditioned",
        "goal_conditioned_pairs": "conditioned",
        "goal_conditioned_samples": "conditioned",
        "goal_words": "conditioned",
        "quoted_pairs": "selecting",
        "scored_lists": "scored",
    },
)
