"""Attacks on rewards: what should not pass, and whether it does."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AttackTally": "verifiers",
        "TwinAudit": "verifiers",
        "audit_verifier": "verifiers",
        "twin_metrics": "verifiers",
    },
)
