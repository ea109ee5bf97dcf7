"""How a reward fails, and what it may be used for."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "TwinAudit": "attacks.verifiers",
        "audit_verifier": "attacks.verifiers",
        "twin_metrics": "attacks.verifiers",
        "BiasAudit": "biases.results",
        "Overconfidence": "biases.confidence",
        "audit_confidence": "biases.confidence",
        "overconfidence": "biases.confidence",
        "BiasEffect": "biases.results",
        "GroupGap": "biases.results",
        "audit_biases": "biases.effects",
        "audit_reward": "battery",
        "compare_audits": "against",
        "bias_metrics": "biases.results",
        "group_gaps": "biases.gaps",
        "REWRITES": "biases.rewrites",
        "Audit": "battery",
        "AuditConfig": "config",
        "Cause": "causes",
        "Check": "checks",
        "Example": "checks",
        "Findings": "findings",
        "Thresholds": "findings",
        "Verdict": "verdict",
        "judge": "verdict",
        "not_measured": "checks",
    },
)
