"""Benchmarks of steps: the first error, what a step reward attends to, credit along a path."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AGGREGATES": "aggregates",
        "MASKS": "diagnostics",
        "PATH_CREDIT": "paths",
        "PROCESSBENCH": "processbench",
        "MaskTable": "diagnostics",
        "aggregate_steps": "aggregates",
        "first_error": "processbench",
        "mask_inputs": "diagnostics",
        "mask_table": "diagnostics",
        "minimum_at_end": "diagnostics",
        "path_reward": "paths",
        "right_answer_wrong_process": "diagnostics",
        "too_many": "paths",
    },
)
