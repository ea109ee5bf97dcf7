"""Benchmarks in which a right candidate must be found among wrong ones."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "JUDGEBENCH": "judgebench",
        "LLMBAR": "llmbar",
        "M_REWARDBENCH": "multilingual",
        "OWN": "own",
        "RAG_REWARDBENCH": "retrieval",
        "REWARDBENCH": "rewardbench",
        "REWARDBENCH2": "rewardbench2",
        "REWARDMATH": "rewardmath",
        "RM_BENCH": "rmbench",
        "cohen_kappa": "multilingual",
        "ties_score": "rewardbench2",
    },
)
