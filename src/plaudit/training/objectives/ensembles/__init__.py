"""Objectives that train several heads on one backbone."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "bradley_terry_heads": "heads",
        "bootstrap_weights": "bootstrap",
        "uniform_draws": "bootstrap",
        "sampled_regression": "robust",
        "heads_likelihood": "robust",
        "nominal_member": "robust",
        "robust_value": "robust",
    },
)
