"""Objectives of pairs: which of two completions is better, how strongly, how surely."""

from plaudit.training.methods.method import LOSSES, PAIRS, RANGES, Method

_STRONG = "pairs with margin or both scores, ranked rows"
_TIES = "ranked rows, whose equal scores are ties, and pairs"

OF_PAIRS: dict[str, Method] = {
    "bradley-terry": Method(
        "log-sigmoid of the score difference, with margin and smoothing", PAIRS, f"{LOSSES}.pairs:logistic", "pair"
    ),
    "dynamic-bradley-terry": Method(
        "the same, steeper where the row's margin is larger [77]", "ranked rows, and pairs of which some have a margin",
        f"{LOSSES}.pairs:dynamic", "pair", options={"scale": 1.0, "boost": 0.5, "rate": 0.5},
        check=f"{RANGES}:check_margins",
    ),
    "demonstration-gap": Method(
        "the score of a demonstration less that of a policy's sample, held by squares [122]",
        "pairs: a demonstration chosen, a sample rejected", f"{LOSSES}.pairs:gap", "pair",
        options={"square_coef": 0.5},
    ),
    "scaled-bradley-terry": Method(
        "a pair counts as often as its preference is strong [29]", _STRONG, f"{LOSSES}.pairs:scaled", "pair",
        columns=("strength",), check=f"{RANGES}:check_strengths",
    ),
    "margin-regression": Method(
        "squared distance of score difference and strength [29]", _STRONG, f"{LOSSES}.pairs:strengths", "pair",
        options={"scale": 1.0}, columns=("strength",),
    ),
    "combined-strength": Method(
        "the sum of the last two [29]", _STRONG, f"{LOSSES}.pairs:combined", "pair",
        options={"regression_coef": 0.1, "scale": 1.0}, columns=("strength",), check=f"{RANGES}:check_strengths",
    ),
    "soft-bradley-terry": Method(
        "cross-entropy to a probability that chosen is better [13, 116]", "pairs with preference, a probability",
        f"{LOSSES}.pairs:soft", "pair", columns=("preference",),
    ),
    "judged-bradley-terry": Method(
        "a pair counts the less, the more its repeated judgements differ [200]",
        "pairs with judgements, a list of margins", f"{LOSSES}.pairs:judged", "pair", options={"scale": 1.0},
        columns=("spread",),
    ),
    "convex-bradley-terry": Method(
        "on convex combinations of two pairs each [17]", PAIRS, f"{LOSSES}.pairs:mixed", "pair",
        options={"alpha": 0.4},
    ),
    "thurstone": Method(
        "a mean and a variance a completion: gives noise", PAIRS, f"{LOSSES}.pairs:thurstone", "pair",
        head=f"{LOSSES}.ratings:gaussian_head",
    ),
    "rao-kupper": Method(
        "ties where the lead is below a learned threshold", _TIES, f"{LOSSES}.pairs:tied_threshold", "pair",
        head=f"{LOSSES}.pairs:tie_head", columns=("tied",),
    ),
    "davidson": Method(
        "ties as likely as a learned share of the geometric mean", _TIES, f"{LOSSES}.pairs:tied_share", "pair",
        head=f"{LOSSES}.pairs:tie_head", columns=("tied",),
    ),
    "cotraining": Method(
        "two heads, each learns from what the other finds easy: against wrong labels [112]", PAIRS,
        f"{LOSSES}.pairs:cotrained", "pair", head=f"{LOSSES}.pairs:cotraining_head",
        options={"noise": 0.2, "ramp": 0.3, "easy_first": False},
    ),
    "internal-agreement": Method(
        "two heads that agree on pairs without a label, and learn from those that they agree about [118]",
        "pairs, those with labelled false in any order", f"{LOSSES}.pairs:agreeing", "pair",
        head=f"{LOSSES}.pairs:agreeing_head", options={"consistency_coef": 1.0, "entropy_coef": 0.1},
        columns=("labelled",), rows=f"{LOSSES}.pairs:partly_labelled",
    ),
    "bradley-terry-heads": Method(
        "several heads on one backbone, each on bootstrap weights: gives members and an epistemic deviation [148]",
        PAIRS, f"{LOSSES}.ensembles:heads", "pair", head=f"{LOSSES}.ensembles:ensemble_head",
        options={"heads": 5, "bootstrap": "poisson", "draw": 0, "center_coef": 0.0}, columns=("identity",),
    ),
    "general-preference": Method(
        "an embedding a completion and a skew-symmetric score: compares, cycles included [98]", PAIRS,
        f"{LOSSES}.general:skew", "pair", head=f"{LOSSES}.general:skew_head",
        options={"planes": 3, "temperature": 0.1, "by_prompt": True, "target": 0.0, "init": "small"},
    ),
    "two-raters": Method(
        "two answers to each pair: compares, and knows how sure it is [219]",
        "pairs with second, whether another rater prefers chosen too", f"{LOSSES}.general:twice", "pair",
        head=f"{LOSSES}.general:twice_head", columns=("second",),
    ),
    "cross-encoder": Method(
        "both completions read together, in both orders: compares, at quadratic cost", PAIRS,
        f"{LOSSES}.general:joint", "pair", head=f"{LOSSES}.general:joint_head", options={"order_coef": 0.0},
        rows=f"{LOSSES}.general:joint_rows",
    ),
}  # fmt: skip
