"""How good systems are, from comparisons of their outputs: ratings, controlled win rates, consensus of rankings."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Battles": "battles",
        "battles_from_rows": "battles",
        "read_battles": "battles",
        "Fit": "bradley_terry",
        "fit_bradley_terry": "bradley_terry",
        "groups_of_models": "bradley_terry",
        "Ratings": "systems",
        "rate": "systems",
        "METHODS": "systems",
    },
)
