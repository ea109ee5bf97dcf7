"""Inverse reinforcement learning: a reward from demonstrations, learnt and spent in turns [122]."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ByCategory": "rewards",
        "Demonstrated": "demonstrations",
        "InverseConfig": "config",
        "Learner": "alternating",
        "Learnt": "alternating",
        "clauses": "difficulty",
        "demonstrations_of": "demonstrations",
        "gap_pairs": "demonstrations",
        "learn_reward": "alternating",
        "prompt_difficulty": "difficulty",
    },
)
