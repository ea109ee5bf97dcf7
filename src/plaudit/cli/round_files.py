"""What files of several runs are read by: YAML with every key checked, and rows that it names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, MissingError, nearest


def tree_of(path: Path) -> Mapping[str, Any]:
    """A YAML file's mapping.

    Raises:
        MissingError, InputError: if there is none.
    """
    import yaml

    if not path.is_file():
        raise MissingError(f"align: {path} is not there; give a YAML file")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        held = "is empty" if tree is None else f"holds a {type(tree).__name__}"
        raise InputError(f"{path}: {held}; give a mapping of keys to values")
    return tree


def built(kind: Any, tree: Mapping[str, Any], where: str) -> Any:
    """The file's contents, every key checked."""
    from plaudit.recipes.loading import build

    known = {f.name for f in fields(kind)}
    for key in tree:  # said here, so that nothing speaks of recipes
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(str(key), known)}")
    return build(kind, tree, "", where)


def rows_of(args: argparse.Namespace, data: str) -> Any:
    """Rows of a file, or of the command's."""
    from plaudit.records import read

    records = read(data, whole=True) if data else read(args.data, skip_broken=args.skip_broken)
    return records.rows


__all__ = ["built", "rows_of", "tree_of"]
