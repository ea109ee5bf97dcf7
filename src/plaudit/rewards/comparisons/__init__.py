"""Comparisons: preferences between two samples, which need not be transitive."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "MarginComparison": "margin",
        "TieComparison": "ties",
    },
)
