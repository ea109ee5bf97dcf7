"""Rewards by rule: form, length, repetition, phrases, language, relevance, similarity. No model unless one is named."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "CosineLengthReward": "cosine",
        "FormatReward": "format",
        "LanguageReward": "language",
        "LengthReward": "length",
        "language_shares": "language",
        "R3Reward": "relevance",
        "ReasoningPatternReward": "reasoning",
        "RelevanceReward": "relevance",
        "RepetitionReward": "repetition",
        "SimilarityReward": "similarity",
        "TokenMatch": "matching",
        "bidirectional_similarity": "matching",
        "calibrated_by_pattern": "reasoning",
        "cosine_length": "cosine",
        "length_scaled": "cosine",
        "distinct_share": "repetition",
        "repeated_positions": "repetition",
        "token_match": "matching",
    },
)
