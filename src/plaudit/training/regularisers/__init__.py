"""What is added to an objective so that no group pays for the others: weights, penalties, running statistics."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "FAIR": "naming",
        "FairMethod": "naming",
        "StreamingParity": "streaming",
        "corrected_distance_covariance": "dependence",
        "distance_covariance_penalty": "dependence",
        "error_bound_scale": "scaling",
        "error_bound_weights": "scaling",
        "group_losses": "scaling",
        "huber_slope": "streaming",
        "identity_weights": "scaling",
        "parity_gaps": "parity",
        "parity_hinge": "parity",
    },
)
