"""Length, taken out of a reward or paid for: residuals, penalties, compression by difficulty."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "LengthControlled": "controlled",
        "attention_rate": "compression",
        "band_penalty": "penalties",
        "compression_rate": "compression",
        "difficulty_buckets": "compression",
        "kept_steps": "compression",
        "length_residual": "residuals",
        "length_slope": "residuals",
        "overlong_penalty": "penalties",
        "relative_brevity": "compression",
    },
)
