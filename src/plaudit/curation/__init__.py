"""How preference data is cleaned, labelled and made."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Stated": "confidence",
        "confidence_lists": "confidence",
        "confidence_pairs": "confidence",
        "stated_versions": "confidence",
    },
)
