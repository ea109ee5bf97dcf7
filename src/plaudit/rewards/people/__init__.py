"""Rewards of one person: a mixture or a user model, told by a few of the person's pairs what the person wants."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "PersonalReward": "personal",
        "UserModel": "network",
        "VariationalUsers": "users",
        "adapted": "experts",
        "hedge": "hedging",
        "open_mixture": "experts",
        "open_variational": "opening",
        "query_information": "queries",
        "user_tilt": "hedging",
        "win_probability": "queries",
    },
)
