"""Text against a reference: exact match, overlap, choices, patterns, quotations, citations, numbers and paths."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "ExactVerifier": "exact",
        "F1Verifier": "overlap",
        "ChoiceVerifier": "choice",
        "RegexVerifier": "matching",
        "QuotesVerifier": "quotes",
        "CitationsVerifier": "citations",
        "NumericVerifier": "numeric",
        "PathVerifier": "path",
        "normalise": "words",
        "token_f1": "words",
        "quip": "quotes",
        "quotations": "quotes",
        "build_index": "corpus_index",
        "open_index": "corpus_index",
        "CorpusIndex": "corpus_index",
        "contrast": "citations",
        "support": "support_words",
        "best_support": "support_words",
        "path_credit": "path",
        "within_tolerance": "numeric",
        "class_and_severity": "numeric",
    },
)
