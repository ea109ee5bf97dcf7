"""Losses of policy improvement, on log-probabilities of the tokens that were sampled."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "on_policy_loss": "on_policy",
    },
)
