"""Objectives of preferences that need not be transitive."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "general_preference": "skew",
        "general_regression": "skew",
        "skew_scores": "skew",
        "skew_matrix": "skew",
        "context_scales": "skew",
        "cross_encoder": "joint",
        "antisymmetric_logits": "joint",
    },
)
