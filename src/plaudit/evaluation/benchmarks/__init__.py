"""Reward benchmarks from their published files, with their published aggregations and content-blind rules beside."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "DIMENSIONS": "probing",
        "Benchmark": "items",
        "BenchmarkItems": "reading",
        "BenchmarkResult": "evaluating",
        "Explanation": "probing",
        "Found": "statistics",
        "InferenceProbe": "probing",
        "Item": "items",
        "Judged": "judging",
        "ProbeResult": "probing",
        "SourceRow": "items",
        "Statistic": "statistics",
        "MRMBENCH": "mrmbench",
        "benchmark": "registry",
        "best_credit": "credits",
        "evaluate_benchmark": "evaluating",
        "fixed": "judging",
        "judge_items": "judging",
        "listing": "registry",
        "mean_of": "statistics",
        "mrmbench_score": "probing",
        "pair_credit": "credits",
        "probe_accuracy": "probing",
        "probe_levels": "probing",
        "read_items": "reading",
        "reciprocal_rank": "credits",
        "sections": "statistics",
        "text_rules": "judging",
        "weighted_means": "statistics",
    },
)
