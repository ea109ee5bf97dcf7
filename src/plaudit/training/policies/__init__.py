"""Training causal language models as rewards, on prefix trees with a frozen reference."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "LikelihoodFit": "fitting",
        "PolicyCollator": "packing",
        "PolicyGroup": "encoding",
        "encode_policy_groups": "encoding",
        "fit_likelihood_reward": "fitting",
        "policy_outputs": "packing",
        "reference_logps": "reference",
        "token_outputs": "packing",
        "comparison_rows": "asking",
        "principle_rows": "asking",
        "sampled_column": "sampled",
        "sampled_ids": "sampled",
        "vocabulary_hash": "sampled",
        "train_likelihood": "training_entry",
    },
)
