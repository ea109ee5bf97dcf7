"""Rewards without labels: what the candidates of a group agree on. Agreement is evidence, not truth."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "CrossViewReward": "views",
        "MajorityReward": "majority",
        "ProgramAgreementReward": "programs",
        "survivors": "programs",
        "answer_classes": "classes",
        "cross_labels": "views",
        "majority_label": "classes",
    },
)
