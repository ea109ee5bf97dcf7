"""Which language a text is in, by a small model that comes with its library: nothing is downloaded.

`py3langid` decides: deterministic, unlike `langdetect`, and told only among 97 languages. A text without letters is in
none.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

_LOADING = threading.Lock()
_ALIASES = {"zh-cn": "zh", "zh-tw": "zh", "iw": "he", "nb": "no"}


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def languages() -> list[str]:
    """The ISO 639-1 codes of the languages that can be told apart."""
    with _LOADING:
        return sorted(_identifier().labels)


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of a text's language; None where it has no letter."""
    if not any(c.isalpha() for c in text):
        return None
    with _LOADING:
        identifier = _identifier()
    code, _ = identifier.classify(text)
    return str(code)


def language_code(code: str) -> str:
    """A code as this module spells it: lower case, older and regional codes brought to their language's."""
    return _ALIASES.get(code.lower(), code.lower())


def known_language(code: Any) -> bool:
    """Whether a code names a language that can be told apart."""
    return isinstance(code, str) and language_code(code) in languages()
