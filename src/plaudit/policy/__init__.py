"""How a policy is improved: advantages within groups, and the losses that use them."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "group_advantages": "advantages",
        "on_policy_loss": "losses",
    },
)
