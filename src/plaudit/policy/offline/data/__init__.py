"""Rows as algorithms take them: checked, relabelled, selected."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(__name__, {"checked_rows": "checking"})
