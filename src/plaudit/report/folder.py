"""A report in a run folder: `report.json` (the data) and `report.html` (the page), replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path

from plaudit.errors import InputError, MissingError
from plaudit.report.data import ReportData
from plaudit.report.page import render
from plaudit.runs.atomic import write_text


def write_report(folder: Path | str, data: ReportData, *, texts: bool = True) -> Path:
    """Writes `report.json` and `report.html` into a run folder.

    Args:
        folder: the run folder.
        data: what was measured.
        texts: whether the page shows the texts of the wrong pairs; the data keep them, to be rendered again.

    Returns:
        The path of the page.
    """
    folder = Path(folder)
    write_text(folder / "report.json", json.dumps(data.to_dict(), ensure_ascii=False, indent=1) + "\n")
    page = folder / "report.html"
    write_text(page, render(data, texts=texts))
    return page


def read_report(folder: Path | str) -> ReportData:
    """The data of a run folder's report.

    Args:
        folder: the run folder.

    Raises:
        MissingError: if there is no `report.json`.
        InputError: if it is not a report.
    """
    path = Path(folder) / "report.json"
    if not path.is_file():
        raise MissingError(f"report: {path} is not there; give a run folder that `plaudit run` has finished")
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"report: {path} is not JSON ({error}); run the pipeline again") from error
    return ReportData.from_dict(row)
