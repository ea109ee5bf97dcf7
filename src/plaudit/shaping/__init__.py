"""What an optimiser should see: from what a reward says to what is spent."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ConfidenceShaping": "confidence",
        "Unstated": "confidence",
        "confidence_reward": "confidence",
        "read_confidence": "confidence",
        "state_confidence": "confidence",
        "stated_confidence": "confidence",
        "without_confidence": "confidence",
        "DirectionReward": "directions",
        "FusedReward": "fusion",
        "WinRate": "win_rates",
        "fused_rewards": "fusion",
        "along": "directions",
        "arc": "directions",
        "best_along": "directions",
        "unit_direction": "directions",
        "aggregated": "ensembles",
        "AggregatedReward": "pessimism",
        "lower_bound": "ensembles",
        "mean": "ensembles",
        "nominal_minimum": "ensembles",
        "quantile": "ensembles",
        "uncertainty_weighted": "ensembles",
        "worst_case": "ensembles",
        "SpreadFilter": "filtering",
        "group_spread": "filtering",
        "fair_tree_values": "trees",
    },
)
