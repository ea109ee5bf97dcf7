"""One self-contained HTML page about a reward: what it may be used for, and why."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Change": "data",
        "Fact": "data",
        "ReportData": "data",
        "WrongPair": "data",
        "read_report": "folder",
        "render": "page",
        "write_report": "folder",
        "wrong_pairs": "data",
    },
)
