"""Direct alignment: a policy learns from preferences, labels or scores that are there already, on prefix trees."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AlignConfig": "config",
        "Aligned": "aligning",
        "Round": "rounds",
        "RoundsConfig": "rounds",
        "align": "aligning",
        "align_in_rounds": "rounds",
    },
)
