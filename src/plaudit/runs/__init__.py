"""What must not be lost: atomic files, the durable log, stages, progress, provenance."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "write_text": "atomic",
        "write_bytes": "atomic",
        "replacing": "atomic",
        "atomic_folder": "atomic",
        "DurableLog": "log",
        "read_log": "log",
        "Progress": "progress",
        "provenance": "origin",
        "versions": "origin",
        "Stages": "stages",
        "StageResult": "stages",
        "terminable": "interrupt",
    },
)
