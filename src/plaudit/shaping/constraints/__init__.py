"""Constraints: rewards that are kept where they still are proxies, and judges that must be satisfied first."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Held": "held",
        "Multipliers": "multipliers",
        "Searched": "search",
        "best_allowed": "judges",
        "calibrated_reward": "judges",
        "constrained_reward": "judges",
        "contrast_allowed": "judges",
        "mixed_advantages": "multipliers",
        "open_constrained": "held",
        "satisfied": "judges",
        "search_thresholds": "search",
    },
)
