"""Improving a policy on its own samples: sampled in groups, scored, shaped, and learnt from on prefix trees."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Collector": "experience",
        "Experience": "experience",
        "Critic": "method",
        "Duels": "comparing",
        "Learned": "packing",
        "Method": "method",
        "OnlineConfig": "config",
        "OnlineRun": "running",
        "OnlineTrainer": "trainer",
        "Process": "method",
        "ProcessModel": "process",
        "Scoring": "experience",
        "Stage": "staged",
        "Staged": "staged",
        "State": "state",
        "TokenModel": "token_model",
        "Tokens": "method",
        "Watch": "watching",
        "align_in_stages": "staged",
        "improve": "running",
        "row_tokens": "packing",
        "rows_of": "packing",
    },
)
