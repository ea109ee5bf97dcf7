"""Mathematics: the answer of a solution against the gold answer."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "MathVerifier": "verifier",
        "gold_answers": "verifier",
        "Equivalence": "equivalence",
        "Effort": "equivalence",
        "equivalent": "equivalence",
        "compare_all": "equivalence",
        "Extracted": "extraction",
        "extract": "extraction",
    },
)
