"""The plain biases: what a reward pays for length, markdown, politeness, hedging and flattery."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "BIASES": "rewrites",
        "BiasAudit": "results",
        "BiasEffect": "results",
        "Counterfactual": "effects",
        "GroupGap": "results",
        "Overconfidence": "confidence",
        "REWRITES": "rewrites",
        "audit_biases": "effects",
        "audit_confidence": "confidence",
        "bias_metrics": "results",
        "group_gaps": "gaps",
        "overconfidence": "confidence",
        "rewrite": "rewrites",
    },
)
