"""Attacks on rewards: what should not pass, and whether it does."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ATTACKS": "running",
        "Attack": "running",
        "AttackTally": "verifiers",
        "Dose": "poisoning",
        "Ground": "ground",
        "LADDER": "ladder",
        "NullModel": "constant",
        "SearchResult": "search",
        "TwinAudit": "verifiers",
        "audit_verifier": "verifiers",
        "augment_with_attacks": "keys",
        "back_door": "triggers",
        "claims": "ladder",
        "detects_aligned": "detection",
        "dressed": "orders",
        "key_rates": "keys",
        "null_model": "constant",
        "one_token": "keys",
        "opener": "keys",
        "poisoned": "poisoning",
        "poisoning_curve": "poisoning",
        "position": "orders",
        "repeated_steps": "steps",
        "repetition": "rewriting",
        "rows_needed": "poisoning",
        "run_attacks": "running",
        "search_texts": "search",
        "style": "rewriting",
        "twin_metrics": "verifiers",
    },
)
