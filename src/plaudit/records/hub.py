"""Rows of a data set on the hub, through the `datasets` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plaudit.errors import MissingError
from plaudit.records.decoding import RawRow, chosen_split, plain_value

_MEDIA = ("Image", "Audio", "Video")
"""Features of `datasets` that decode what they hold."""
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[\w.-]+)*")


def is_hub_id(source: str) -> bool:
    """Whether a source has the form `owner/name`, or `owner/name/folder/of/files`."""
    return _ID.fullmatch(source) is not None


def hub_rows(source: str, split: str | None = None) -> Iterator[RawRow]:
    """The rows of a data set on the hub.

    Args:
        source: `owner/name`; further parts name a folder in it (`Anthropic/hh-rlhf/harmless-base`).
        split: which split; may be left out where there is one.

    Raises:
        MissingError: if the `datasets` package is not installed, or the hub does not give the data set.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingError(
            f"read: there is no file {source}, and a hub id needs the datasets package: pip install 'plaudit[hub]'"
        ) from error
    owner, name, *folder = source.split("/")
    data_dir = "/".join(folder) or None
    found: Any
    try:
        found = datasets.load_dataset(f"{owner}/{name}", data_dir=data_dir)
    except Exception as error:  # the libraries below raise whatever they like: all of it means "not to be had"
        said = (str(error).strip().splitlines() or [""])[0][:200]
        raise MissingError(
            f"read: there is no file {source}, and the hub did not give it "
            f"({type(error).__name__}: {said}); check the name and the network, or give a file"
        ) from error
    rows = found[chosen_split(source, list(found), split)]
    for name, feature in dict(getattr(rows, "features", None) or {}).items():
        if (
            type(feature).__name__ in _MEDIA
        ):  # as it is stored; decoding needs libraries of its own, and loses the bytes
            rows = rows.cast_column(name, type(feature)(decode=False))
    for number, row in enumerate(rows, start=1):
        yield number, {k: plain_value(v) for k, v in row.items() if v is not None}, None
