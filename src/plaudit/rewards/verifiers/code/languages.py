"""The languages of candidates, as a table: to add one, add a row."""

from __future__ import annotations

from dataclasses import dataclass

from plaudit.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Language:
    """A language that programs are written in.

    Attributes:
        name: as the option `language` names it.
        fences: the words after three backticks that mark a block of it, lower case.
        command: what runs a file of it, the file's name to be added; empty where the warm interpreter does.
        calls: whether tests can call its functions; otherwise only its output can be compared.
    """

    name: str
    fences: tuple[str, ...]
    command: tuple[str, ...] = ()
    calls: bool = False


LANGUAGES: dict[str, Language] = {
    "python": Language("python", ("python", "python3", "py", "py3"), calls=True),
}


def language(name: str) -> Language:
    """The table's row of that name.

    Raises:
        InputError: if there is none.
    """
    if name not in LANGUAGES:
        raise InputError(f"verify/code: language is {name!r}; {nearest(name, LANGUAGES)}")
    return LANGUAGES[name]
