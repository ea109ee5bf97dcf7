"""How a policy is improved: advantages within groups, and the losses that use them."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AdvantageEstimator": "advantages.base",
        "AdvantageInputs": "advantages.base",
        "Advantages": "advantages.base",
        "Compared": "advantages.compared",
        "group_advantages": "advantages.groups",
        "on_policy_loss": "losses.on_policy",
        "adaptive_ratios": "merging",
        "block_ratios": "merging",
        "interpolated": "merging",
        "merge": "merging",
        "Connection": "served",
        "ServerError": "served",
        "ServerSampler": "served",
        "with_adapters": "served_adapters",
    },
)
