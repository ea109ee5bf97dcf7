"""Boxes and classes: detection, grounding, classification, and looking where rollouts disagree."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ClassVerifier": "labels",
        "DetectionVerifier": "detection",
        "GroundingVerifier": "grounding",
        "InspectionVerifier": "inspection",
        "generalised_iou": "boxes",
        "greedy_match": "matching",
        "iou": "boxes",
        "looking_reward": "looking",
        "match_quality": "matching",
        "optimal_match": "matching",
        "variance_map": "looking",
    },
)
