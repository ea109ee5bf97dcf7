"""Whether a reward says the same of the same: near prompts, other versions, orders, batches, precisions, companions."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "CONSISTENCY": "running",
        "Consistency": "running",
        "Contrast": "contrast",
        "ContrastRates": "contrast",
        "answer_consistency": "answers",
        "answer_entropy": "answers",
        "candidates": "triads",
        "contrast_rates": "contrast",
        "invariance": "versions",
        "margins": "versions",
        "near_prompts": "contrast",
        "paraphrase": "versions",
        "precision": "stability",
        "run_consistency": "running",
        "several_answers": "answers",
        "symmetry": "triads",
        "transitivity": "triads",
        "versions_of": "versions",
    },
)
