"""Several people and several aspects: who values what, and how sources that disagree are weighed."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "aspect_regression": "aspects",
        "balanced_sources": "balanced",
        "cyclical_weight": "users",
        "gated_bradley_terry": "aspects",
        "latent_divergence": "users",
        "min_norm_weights": "minimum_norm",
        "mixture_bradley_terry": "mixture",
        "router_cross_entropy": "mixture",
        "scaled_gradients": "minimum_norm",
    },
)
