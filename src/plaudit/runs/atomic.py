"""Atomic files and folders: the primitive that records, logs, stages and models write with."""

from plaudit.records._atomic import atomic_folder, check_replaceable, explained, replacing, write_bytes, write_text

__all__ = ["atomic_folder", "check_replaceable", "explained", "replacing", "write_bytes", "write_text"]
