"""Readers: from what a model's head emits to a score, how sure it is, and its aspects."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Head": "head",
        "Readout": "head",
        "evidential_parameters": "evidential",
        "gaussian_heads_parameters": "gaussian_heads",
        "gaussian_parameters": "gaussian",
        "quantiles": "quantile",
        "two_rating_logits": "twice",
    },
)
