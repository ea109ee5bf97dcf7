"""Rewards by rule: no model, no reference."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(__name__, {"LengthReward": "length"})
