"""Advantages: how much better a completion, or a token, is than what was expected."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AdvantageEstimator": "base",
        "AdvantageInputs": "base",
        "Advantages": "base",
        "Compared": "base",
        "group_advantages": "groups",
    },
)
