"""Several rewards as one: sums, means that no term can buy off, gates, blends, and scorecards put to the test."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Combined": "combined",
        "Front": "fronts",
        "Term": "combined",
        "blended": "blends",
        "break_even_prevalence": "scorecards",
        "conjunction": "sums",
        "gated": "gates",
        "gated_steps": "gates",
        "gradient_weights": "fronts",
        "harmonic_mean": "means",
        "hypervolume": "fronts",
        "implicit_gradient": "alignment",
        "lexicographic_ranks": "gates",
        "minimum": "means",
        "mixed_grain": "blends",
        "normalised_sum": "sums",
        "pareto_front": "fronts",
        "pattern_calibrated": "blends",
        "trivial_policies": "scorecards",
        "scorecard": "scorecards",
        "weighted_sum": "sums",
    },
)
