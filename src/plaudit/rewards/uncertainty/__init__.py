"""How sure a reward is: rewards that add deviations and members to another, or gate it."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "EnsembleReward": "ensemble",
        "combined_outcomes": "ensemble",
        "mixture_moments": "moments",
        "centred_within": "moments",
        "leaf_features": "features",
        "DropoutReward": "dropout",
        "LaplaceReward": "laplace",
        "Posterior": "posterior",
        "fit_laplace": "laplace",
        "log_evidence": "posterior",
        "best_prior": "posterior",
        "PatternGate": "gate",
        "Patterns": "patterns",
        "fit_patterns": "gate",
        "mine_patterns": "patterns",
    },
)
