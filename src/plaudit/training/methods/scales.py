"""Objectives of whole lists and of ratings: orders, numbers, levels and how they spread."""

from plaudit.training.methods.method import LOSSES, RANGES, RATED, Method

_LISTS = "ranked rows (pairs are lists of two)"

OF_LISTS_AND_RATINGS: dict[str, Method] = {
    "plackett-luce": Method(
        "likelihood of the whole order of a list, ties included", _LISTS, f"{LOSSES}.lists:plackett_luce", "list",
        options={"top": 0}, labels="order", check=f"{LOSSES}.lists:check_top",
    ),
    "rank-list": Method(
        "neighbours of a list, members a few scores apart, the tail [136]", _LISTS, f"{LOSSES}.lists:rank_list",
        "list", labels="order",
        options={"reach": 2, "skip_coef": 1.0, "tail_coef": 0.0, "min_gap": 0.0, "curriculum": False},
        check=f"{LOSSES}.lists:check_gaps",
    ),
    "borda": Method(
        "cross-entropy to the Borda counts of a list [121]", _LISTS, f"{LOSSES}.lists:borda", "list", labels="order"
    ),
    "regression": Method(
        "squared distance of score and (standardised) rating", RATED, f"{LOSSES}.ratings:squared", "sequence",
        labels="values", standardised=True
    ),
    "huber": Method(
        "the same, linear beyond delta standard deviations of the ratings", RATED, f"{LOSSES}.ratings:huber",
        "sequence", options={"delta": 1.0},
        labels="values", standardised=True,
    ),
    "gaussian": Method(
        "likelihood of the rating under a mean and a variance of its own: gives noise", RATED,
        f"{LOSSES}.ratings:gaussian", "sequence", head=f"{LOSSES}.ratings:gaussian_head", options={"beta": 0.0},
        labels="values", standardised=True,
    ),
    "quantile": Method(
        "pinball loss of quantiles that cannot cross: gives noise", RATED, f"{LOSSES}.ratings:pinball", "sequence",
        head=f"{LOSSES}.ratings:quantile_head", options={"levels": (0.1, 0.25, 0.5, 0.75, 0.9)},
        labels="values", standardised=True,
    ),
    "evidential": Method(
        "normal-inverse-gamma evidence: gives noise and an epistemic deviation [179]", RATED,
        f"{LOSSES}.ratings:evidential", "sequence", head=f"{LOSSES}.ratings:evidential_head",
        options={"evidence_coef": 0.01}, labels="values", standardised=True,
    ),
    "rating-distribution": Method(
        "a distribution over the levels 1 to `levels` of a rating: gives noise [86]",
        f"{RATED}; score_std where there is any", f"{LOSSES}.ratings:distribution", "sequence",
        head=f"{LOSSES}.ratings:distribution_head", labels="values", columns=("rating_std",),
        options={"levels": 5, "fidelity_coef": 0.0, "rater_std": 0.5, "density": False},
        check=f"{RANGES}:check_distribution",
    ),
    "ordinal": Method(
        "whole levels 1 to `levels`, with learned thresholds between them", RATED, f"{LOSSES}.ratings:ordinal",
        "sequence", head=f"{LOSSES}.ratings:ordinal_head", options={"levels": 5}, labels="values",
        check=f"{RANGES}:check_levels",
    ),
    "beliefs": Method(
        "belief in each level, confusion and ignorance kept apart: gives noise and an epistemic deviation [179]",
        RATED, f"{LOSSES}.ratings:belief", "sequence", head=f"{LOSSES}.ratings:belief_head",
        options={"levels": 5, "others_coef": 0.0}, labels="values", check=f"{RANGES}:check_levels",
    ),
    "two-ratings": Method(
        "two raters' levels, 1 to `levels`, the second given the first: gives noise and an epistemic deviation [219]",
        "rated rows with second, another rater's level", f"{LOSSES}.ratings:twice", "sequence",
        head=f"{LOSSES}.ratings:twice_head", options={"levels": 5}, labels="values", columns=("second_rating",),
        check=f"{RANGES}:check_two_levels",
    ),
    "gaussian-heads": Method(
        "several heads with a mean and a deviation each: gives members, noise and an epistemic deviation [149]", RATED,
        f"{LOSSES}.ensembles:gaussian_heads", "sequence", head=f"{LOSSES}.ensembles:gaussian_heads_head",
        options={"heads": 5, "likelihood": False}, labels="values", standardised=True,
    ),
}  # fmt: skip
