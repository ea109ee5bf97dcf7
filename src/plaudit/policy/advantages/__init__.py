"""Advantages: how much better a completion, or a token, is than what was expected."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AdvantageEstimator": "base",
        "AdvantageInputs": "base",
        "Advantages": "base",
        "Compared": "compared",
        "BestAllowed": "reshaped",
        "BranchCredit": "credit",
        "BriefByDifficulty": "reshaped",
        "BriefWhereMastered": "reshaped",
        "Constrained": "reshaped",
        "DifficultyScaled": "wrapping",
        "Filtered": "wrapping",
        "GroupRelative": "relative",
        "LeaveOneOut": "relative",
        "OneOfEachKind": "reshaped",
        "ReinforcePlusPlus": "whitening",
        "ReinforcePlusPlusBaseline": "whitening",
        "SpreadFiltered": "filtering",
        "StreamCredit": "credit",
        "Strengths": "pairwise",
        "TaskScaled": "tasks",
        "ValueBased": "critic",
        "WinRates": "pairwise",
        "WithinAccuracy": "filtering",
        "WithoutOutliers": "wrapping",
        "generalised_advantages": "returns",
        "group_advantages": "groups",
        "idle_groups": "filtering",
        "placed_rewards": "returns",
        "token_returns": "returns",
        "whitened": "returns",
    },
)
