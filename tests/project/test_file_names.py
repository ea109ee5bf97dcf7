"""A worker that collects two test files of one name takes them for one, and only a run of all files has both."""

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_test_file_has_a_name_of_its_own():
    counts = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert len(counts) > 100
    assert [name for name, count in counts.items() if count > 1] == []
