"""Writes the tables of docs/recipes.md, between its markers, from the dataclasses that check a recipe.

Run by `make docs`, with the API pages. A test compares the page with the schema.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union

from plaudit.cli.options import field_docs
from plaudit.recipes.schema import Recipe

PAGE = Path(__file__).resolve().parent / "recipes.md"
START, END = "<!-- keys: written by docs/recipe_tables.py -->", "<!-- end of keys -->"


def sections(kind: type = Recipe, at: str = "") -> list[tuple[str, type]]:
    """A recipe's dataclasses with their dotted keys, the recipe itself first."""
    found = [(at, kind)]
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        inner = next((k for k in _alternatives(hints[field.name]) if is_dataclass(k)), None)
        if isinstance(inner, type):
            found += sections(inner, f"{at}.{field.name}" if at else field.name)
    return found


def table(kind: type) -> list[str]:
    """One row a key: its type, default and meaning; sections of their own are left out."""
    docs, hints = field_docs(kind), typing.get_type_hints(kind)
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for field in fields(kind):
        if not any(is_dataclass(k) for k in _alternatives(hints[field.name])):
            meaning = " ".join(docs[field.name].split()).replace("|", "\\|")
            rows.append(f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} | {meaning} |")
    return rows


def keys() -> str:
    """The tables of all sections as Markdown."""
    lines: list[str] = []
    for at, kind in sections():
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"### {at}" if at else "### Recipe", "", summary, "", *table(kind)]
    return "\n".join(lines).strip()


def main() -> None:
    """Replaces what stands between the markers."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n{keys()}\n\n{END}{after}", encoding="utf-8")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)


def _type(hint: Any) -> str:
    plain = [h for h in _alternatives(hint) if h is not NoneType]
    kind, inner = typing.get_origin(plain[0]) or plain[0], typing.get_args(plain[0])
    if kind is typing.Literal:
        return " or ".join(f"`{x}`" for x in inner)
    if kind is tuple:
        return f"list of {_type(inner[0])}s"
    if kind in (Mapping, dict):
        return "mapping"
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(kind, kind.__name__)


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        value = None if field.default_factory is MISSING else field.default_factory()
        if value is None:
            return "required"
    else:
        value = field.default
    if value in ("", {}, ()):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    main()
