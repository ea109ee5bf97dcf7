"""What a reward is worth beside the others of its group: baselines, scales, ranks."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Grouped": "codes",
        "Groups": "codes",
        "batch_standardised": "baselines",
        "leave_one_out": "baselines",
        "mean_only": "baselines",
        "per_group": "codes",
        "standardised": "baselines",
    },
)
