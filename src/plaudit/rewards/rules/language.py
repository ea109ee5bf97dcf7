"""Language of the answer: whether it stays in the language that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, final

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.languages import known_language, language_code, language_of, languages
from plaudit.rewards.verdicts import SampleReward, Verdict

SHORTEST = 40
"""Letters from which on a paragraph is told by itself; shorter ones go with what stands before them."""

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*#>]|\d+[.)]))")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def language_shares(text: str) -> dict[str, float]:
    """For each language in a text the share of its letters that stand in paragraphs of that language.

    Fenced and inline code is left out. A paragraph with fewer than `SHORTEST` letters goes with the one before it, the
    first with the one after it.

    Args:
        text: any text.

    Returns:
        ISO 639-1 code to share; empty where the text has no letters.
    """
    pieces: list[str] = []
    for piece in _BREAK.split(_CODE.sub(" ", text)):
        if pieces and (_letters(piece) < SHORTEST or _letters(pieces[-1]) < SHORTEST):
            pieces[-1] += f"\n{piece}"
        else:
            pieces.append(piece)
    letters: dict[str, int] = {}
    for piece in pieces:
        code = language_of(piece)
        if code is not None:
            letters[code] = letters.get(code, 0) + _letters(piece)
    total = sum(letters.values())
    return {code: n / total for code, n in letters.items()}


@final
@dataclass(frozen=True)
class LanguageReward(SampleReward):
    """Share of the answer's letters in paragraphs of the language that is asked for, in [0, 1].

    That is `language`, else the row's column `language`, else the language of the last user turn. Where that turn has
    no letters nothing is asked for, and the reward abstains. An answer without letters is a fault.
    """

    language: str = ""
    """ISO 639-1 code; empty: as the row or the prompt says."""
    whole: bool = False
    """Whether only an answer entirely in the language is worth 1, and any other 0."""

    kind: ClassVar[str] = "rule/language"

    def __post_init__(self) -> None:
        if self.language and not known_language(self.language):
            raise InputError(f"{self.kind}: language is {self.language!r}; {nearest(self.language, languages())}")

    def verdict(self, sample: Sample) -> Verdict:
        """Tells the language of each paragraph."""
        wanted = self._wanted(sample)
        shares = language_shares(sample.text)
        if not shares:
            return Verdict.fault("no letters")
        if wanted is None:
            return Verdict.abstained("the prompt is in no language", shares=shares)
        share = min(1.0, shares.get(wanted, 0.0))
        return Verdict.scored(float(share >= 1) if self.whole else share, wanted=wanted, shares=shares)

    def _wanted(self, sample: Sample) -> str | None:
        given = self.language or sample.meta.get("language")
        if given:
            if not known_language(given):
                raise InputError(f"language is {given!r}; {nearest(str(given), languages())}")
            return language_code(str(given))
        asked = next((turn.text for turn in reversed(sample.prompt) if turn.role == "user"), "")
        return language_of(asked)


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in text)
