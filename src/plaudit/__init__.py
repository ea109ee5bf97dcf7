"""Plaudit: the reward layer for post-training generative models."""

from plaudit._lazy import exports

__version__ = "0.1.0"

__getattr__, __all__ = exports(
    __name__,
    {
        "Message": "records.message",
        "Sample": "records.sample",
        "Estimate": "stats.estimate",
        "RewardBatch": "rewards.base",
        "Outcome": "rewards.base",
        "Reward": "rewards.base",
        "load": "rewards.registry",
        "PlauditError": "errors",
        "InputError": "errors",
    },
)
