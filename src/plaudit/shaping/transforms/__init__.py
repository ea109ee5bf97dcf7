"""What each reward becomes before an optimiser sees it: bounds, centring, running scales, ranks."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Affine": "fixed",
        "Centred": "references",
        "Clip": "fixed",
        "LogSigmoid": "references",
        "MinMax": "adaptive",
        "Par": "references",
        "Quantile": "quantiles",
        "Rank": "ranked",
        "References": "references",
        "RunningClip": "adaptive",
        "Shaped": "base",
        "Squash": "fixed",
        "Standardise": "adaptive",
        "Statistics": "running",
        "Transform": "base",
        "ValueTransform": "base",
        "Whiten": "ranked",
        "centred": "referenced",
        "clipped": "bounded",
        "clipped_by": "running",
        "group_ranks": "ranked",
        "log_sigmoid": "bounded",
        "log_sigmoid_centred": "referenced",
        "preference_as_reward": "referenced",
        "ranged_by": "running",
        "reference_quantiles": "quantiles",
        "save_state": "saved",
        "standardised_by": "running",
        "whitened": "ranked",
        "with_state": "saved",
    },
)
