"""Plaudit's rewards inside the hosts that train policies: one module a host, imported by its name.

None of them imports its host before it is used: `trl`, `verl`, `openrlhf`, `open_instruct`, `verifiers`, `inspect`.
"""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "as_reward_func": "trl",
        "as_async_reward_func": "trl",
        "compute_score": "verl",
        "as_remote_reward": "openrlhf",
        "as_agent_executor": "openrlhf",
        "serve": "reward_server",
        "RewardServer": "reward_server",
        "as_verifier_class": "open_instruct",
        "as_task_reward": "verifiers",
        "as_rubric_func": "verifiers",
        "as_group_rubric_func": "verifiers",
        "as_scorer": "inspect",
        "LostRewardError": "hosting",
    },
)
