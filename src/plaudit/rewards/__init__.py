"""Where a reward comes from: models, rules, functions of your own, and the names that they go by."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Outcome": "base",
        "RewardBatch": "base",
        "PreferenceBatch": "base",
        "Reward": "base",
        "Comparison": "base",
        "Manifest": "manifest",
        "ModelReward": "models",
        "PooledFeatures": "pooled",
        "PooledReward": "pooled",
        "FunctionReward": "functions",
        "LengthReward": "rules.length",
        "catalog": "registry",
        "load": "registry",
        "resolve": "registry",
        "score_samples": "scoring",
        "read_scored": "files",
        "scored_rows": "files",
    },
)
