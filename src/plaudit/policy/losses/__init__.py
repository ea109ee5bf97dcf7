"""Losses of policy improvement, on log-probabilities of the tokens that were sampled."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AdaptiveCoefficient": "kl",
        "AdaptiveEntropy": "entropy",
        "Surrogate": "surrogates",
        "TokenBatch": "tokens",
        "Watched": "surrogates",
        "cispo": "surrogates",
        "clipped": "surrogates",
        "decisive": "entropy",
        "entropies": "entropy",
        "entropy_bonus": "entropy",
        "entropy_threshold": "entropy",
        "fresh_enough": "corrections",
        "gmpo": "sequences",
        "importance": "surrogates",
        "kl_estimate": "kl",
        "kl_loss": "kl",
        "kl_penalty": "kl",
        "on_policy_loss": "on_policy",
        "reinforce": "surrogates",
        "sampler_weights": "corrections",
        "sapo": "surrogates",
        "token_weights": "weights",
        "value_loss": "values",
        "vespo": "sequences",
    },
)
