"""Command-line options from frozen dataclasses: a field's docstring is its help, its default its type."""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
import typing
from collections.abc import Collection
from dataclasses import MISSING, Field, fields
from typing import Any


def field_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        ):  # fmt: skip
            docs[field.target.id] = inspect.cleandoc(str(below.value.value))
    return docs


def add_dataclass(parser: argparse.ArgumentParser, kind: type, *, skip: Collection[str] = (), title: str = "") -> None:
    """One option a field: `--learning-rate 1e-5`; a flag where the default is False."""
    group = parser.add_argument_group(title or kind.__name__)
    docs, hints = field_docs(kind), typing.get_type_hints(kind)
    for field in fields(kind):
        if field.name in skip:
            continue
        name = "--" + field.name.replace("_", "-")
        text = docs.get(field.name, "").replace("%", "%%")
        if field.default is False:
            group.add_argument(name, action="store_true", help=text)
        else:
            group.add_argument(
                name, type=_type(field, hints[field.name]), default=None, metavar=_metavar(field, hints[field.name]),
                choices=_choices(hints[field.name]),
                help=f"{text} (default: {field.default})".strip(),
            )  # fmt: skip


def from_args(args: argparse.Namespace, kind: type, *, skip: Collection[str] = ()) -> Any:
    """The dataclass that the options describe; what was not given keeps its default."""
    given = {}
    for field in fields(kind):
        value = getattr(args, field.name, None)
        if field.name not in skip and value is not None and value is not False:
            given[field.name] = value
    return kind(**given)


def _type(field: Field[Any], hint: Any) -> type:
    """Of the default; of `float | None` the one that is not None."""
    if field.default is not MISSING and field.default is not None:
        return type(field.default)
    return next((kind for kind in (int, float) if kind in typing.get_args(hint)), str)


def _choices(hint: Any) -> tuple[Any, ...] | None:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None


def _metavar(field: Field[Any], hint: Any) -> str:
    return {int: "N", float: "X", str: "NAME"}.get(_type(field, hint), "VALUE")
