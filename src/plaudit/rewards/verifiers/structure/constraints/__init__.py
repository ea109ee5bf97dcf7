"""The 25 kinds of constraints of IFEval: what each needs to know, and whether a response meets it."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Constraint": "base",
        "CONSTRAINTS": "kinds",
        "constraints_of": "kinds",
        "loose_variants": "kinds",
    },
)
