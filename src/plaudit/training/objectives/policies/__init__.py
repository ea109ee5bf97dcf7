"""Objectives that make a causal language model a reward: of log-ratios, of log-likelihoods, of one word."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "autoregressive_loss": "likelihood",
        "implicit_ce": "outcome",
        "implicit_dpo": "preference",
        "implicit_kto": "outcome",
        "implicit_nca": "preference",
        "yes_no_loss": "word",
    },
)
