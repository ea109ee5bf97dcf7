"""Objectives that learn from ratings: `items` holds the indices of the rated sequences."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "squared_rating": "regression",
        "huber_rating": "regression",
        "soft_levels": "levels",
        "interpolated_levels": "levels",
        "level_moments": "levels",
        "distribution_rating": "distribution",
        "thurstone_fidelity": "distribution",
        "quantile_rating": "quantiles",
        "gaussian_rating": "gaussian",
        "evidential_rating": "evidential",
        "beliefs_of": "beliefs",
        "belief_rating": "beliefs",
        "dirichlet_opinion": "beliefs",
        "two_ratings": "twice",
        "two_preferences": "twice",
        "two_rating_probabilities": "twice",
        "two_preference_probabilities": "twice",
        "cheat_variance": "twice",
        "cheat_confidence": "twice",
        "community_triplets": "community",
        "community_pairs": "community",
        "ordinal_rating": "ordinal",
        "ordered_thresholds": "ordinal",
        "log_normal_cdf": "normal",
    },
)
