"""How preference data is cleaned, labelled and made."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Event": "community",
        "ExtractedPrinciple": "principles",
        "Reception": "community",
        "ResponseTree": "trees",
        "Stated": "confidence",
        "confidence_lists": "confidence",
        "confidence_pairs": "confidence",
        "decided": "principles",
        "difference_variance": "trees",
        "grow_tree": "trees",
        "hierarchical_labels": "hierarchies",
        "hierarchical_pairs": "hierarchies",
        "labelled_pairs": "trees",
        "mean_variance": "trees",
        "partial_ratio": "principles",
        "principle_consensus": "principles",
        "principle_ratings": "principles",
        "reception_pairs": "community",
        "receptions": "community",
        "reward_margins": "strengths",
        "stated_versions": "confidence",
        "strengthened": "strengths",
        "supported": "principles",
        "tree_edges": "trees",
        "tree_pairs": "trees",
    },
)
