"""How good a reward is: accuracy and calibration on preference pairs, beside content-blind baselines."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Baseline": "baselines",
        "evaluate_baselines": "baselines",
        "markdown_marks": "baselines",
        "DisagreementCurve": "disagreement",
        "disagreement_curve": "disagreement",
        "GroupAccuracy": "results",
        "MarginHistogram": "results",
        "PairEvaluation": "results",
        "TruthAgreement": "results",
        "metrics": "results",
        "calibration_metrics": "calibrated",
        "probability_metrics": "calibrated",
        "set_metrics": "calibrated",
        "confidently_wrong": "pairs",
        "evaluate_pairs": "pairs",
        "pair_margins": "pairs",
        "prompt_key": "pairs",
        "truth_agreement": "truth",
        "OptimisationLaw": "overoptimisation",
        "fit_optimisation_law": "overoptimisation",
        "anticoncentration": "traces",
        "heterogeneity": "traces",
    },
)
