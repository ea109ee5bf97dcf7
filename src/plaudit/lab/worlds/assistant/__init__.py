"""The assistant world: requests, completions, an exact true reward, annotators with flaws."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ASPECTS": "aspects",
        "FEATURES": "rewrites",
        "KINDS": "request",
        "Knobs": "annotators",
        "PolicyConfig": "policy",
        "Pool": "pool",
        "Prepared": "prepared",
        "TrueReward": "world",
        "World": "world",
        "build_tokenizer": "tokenizer",
        "counterfactual": "rewrites",
        "in_dialect": "world",
        "label_pairs": "preferences",
        "llama_config": "policy",
        "prepare": "prepared",
        "rank": "preferences",
    },
)
