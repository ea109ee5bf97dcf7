"""Controlled experiments: worlds with a known true reward, claims stated beforehand, verdicts, evidence."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Claim": "claim",
        "Experiment": "experiment",
        "Fit": "experiment",
        "Judgement": "verdict",
        "Verdict": "verdict",
        "evidence_page": "evidence",
        "list_experiments": "catalog",
        "find_experiment": "catalog",
        "gap_closed": "verdict",
        "instances": "seeds",
        "judge": "verdict",
        "ranking_agreements": "rankings",
        "read_claim": "claim",
        "run_experiment": "running",
    },
)
