"""A number with its interval: estimates, bootstrap, proper scores, calibration, tests."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Estimate": "estimate",
        "bootstrap_statistic": "bootstrap",
        "bootstrap_mean": "bootstrap",
        "bootstrap_totals": "bootstrap",
        "paired_difference": "bootstrap",
        "proportion": "intervals",
        "t_interval": "intervals",
        "wilson": "intervals",
        "brier_score": "scores",
        "brier_terms": "scores",
        "log_loss": "scores",
        "log_loss_terms": "scores",
        "murphy": "scores",
        "Murphy": "scores",
        "ReliabilityCurve": "calibration",
        "calibration_error": "calibration",
        "calibration_estimate": "calibration",
        "calibration_floor": "calibration",
        "fold": "calibration",
        "reliability_curve": "calibration",
        "benjamini_hochberg": "tests",
        "mcnemar_test": "tests",
        "permutation_test": "tests",
        "sign_test": "tests",
        "kendall_tau": "correlation",
        "partial_within_group": "correlation",
        "within_group_correlation": "correlation",
        "within_group_std": "correlation",
    },
)
