"""Losses of direct alignment: pure functions of log-probabilities, one loss a pair or a completion."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "aot_paired": "transport",
        "aot_unpaired": "transport",
        "apo_down": "anchored",
        "apo_zero": "anchored",
        "bco_pair": "anchored",
        "blended": "regression",
        "consistent": "regression",
        "cpo": "plain",
        "dft": "tokens",
        "discopop": "difference",
        "dno": "regression",
        "dpo": "difference",
        "dpo_normalised": "difference",
        "exo": "difference",
        "gpo": "regression",
        "hinge": "difference",
        "inpo": "regression",
        "ipo": "difference",
        "kto": "labels",
        "matched_aot_paired": "transport",
        "matched_aot_unpaired": "transport",
        "nca_pair": "anchored",
        "odds_ratio": "plain",
        "rebel": "regression",
        "robust_dpo": "difference",
        "sft": "labels",
        "simpo": "plain",
        "sppo_hard": "anchored",
        "t_reg": "tokens",
        "token_regularisation": "tokens",
    },
)
