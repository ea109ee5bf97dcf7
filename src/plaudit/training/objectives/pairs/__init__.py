"""Objectives that learn from pairs."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(__name__, {"bradley_terry": "logistic"})
