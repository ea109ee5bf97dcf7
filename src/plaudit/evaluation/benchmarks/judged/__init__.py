"""Benchmarks of judges: verdicts on answers, images, videos, conversations."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "HYBRID": "hybrid",
        "LIBRA": "libra",
        "UVE": "video",
        "VL_REWARDBENCH": "vision",
        "WILDBENCH": "wildbench",
        "WILDBENCH_SCORE": "wildbench",
        "hybrid_scores": "hybrid",
        "majority_vote": "verdicts",
        "majority_accuracy": "verdicts",
        "pick_tau": "video",
        "soft_score": "video",
        "uve_score": "video",
        "wb_reward": "wildbench",
        "wb_score": "wildbench",
    },
)
