"""Rewards that check rather than guess: against a gold answer, tests, a schema, boxes, a corpus."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Verifier": "base",
        "Twin": "base",
        "derived_twins": "twins",
    },
)
