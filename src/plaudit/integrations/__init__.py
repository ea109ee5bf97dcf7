"""Plaudit's rewards inside the hosts that train policies: one module a host, imported by its name.

`plaudit.integrations.trl` and `plaudit.integrations.verl`; neither imports its host.
"""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "as_reward_func": "trl",
        "as_async_reward_func": "trl",
        "compute_score": "verl",
    },
)
