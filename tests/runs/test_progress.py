import io
import time

import pytest

from plaudit.runs import Progress
from plaudit.runs.progress import sparkline


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_stalled_job_says_that_it_is_still_there():
    out = io.StringIO()
    with Progress("scoring", 3000, heartbeat=0.05, stream=out) as bar:
        bar.advance(120)
        time.sleep(0.4)
    assert "scoring: still at 120/3000 after 0 s without advance\n" in out.getvalue()


def test_an_advancing_job_speaks_at_most_every_few_seconds():
    out, start = io.StringIO(), time.monotonic()
    with Progress("training", 100, every=0.2, stream=out) as bar:
        for _ in range(100):
            bar.advance(note="loss 0.412")
            time.sleep(0.005)
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) <= (time.monotonic() - start) / 0.2 + 1  # a line each 0.2 s, and the last
    assert lines[-1].startswith("training: 100/100 after")
    assert lines[-1].endswith("loss 0.412 done")


def test_a_short_job_and_a_quiet_one_say_nothing(monkeypatch):
    out = io.StringIO()
    with Progress("scoring", 2, stream=out) as bar:
        bar.advance(2)
    with Progress("scoring", 2, every=0.0, quiet=True, stream=out) as bar:
        bar.advance(2)
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    with Progress("scoring", 2, every=0.0, stream=out) as bar:
        bar.advance(2)
    assert out.getvalue() == ""
    assert bar.done == 2


def test_a_terminal_gets_a_bar():
    out = Terminal()
    with Progress("scoring", 4, stream=out) as bar:
        bar.advance(2, "x")
    assert "scoring" in out.getvalue()
    assert "2/4" in out.getvalue()


def test_a_terminal_gets_a_table_of_a_jobs_own_figures_and_a_file_does_not():
    out, file = Terminal(), io.StringIO()
    for stream in (out, file):
        with Progress("training", 4, stream=stream, every=0.0) as bar:
            bar.advance(note="x")
            bar.table({"reward": [0.1, 0.2, 0.4], "nothing": []})
    assert "reward" in out.getvalue()
    assert "0.4" in out.getvalue()
    assert "nothing" not in out.getvalue()
    assert "reward" not in file.getvalue()


def test_sparklines_are_means_between_the_lowest_and_the_highest():
    assert sparkline([0.0, 1.0]) == "▁█"
    assert sparkline([1.0, 1.0, 1.0]) == "▄▄▄"
    # pairs: means 0.5, 2.5, 4.5 of 0..5, so lowest, middle, highest
    assert sparkline([0, 1, 2, 3, 4, 5], width=3) in ("▁▄█", "▁▅█")
    assert sparkline([float("nan")]) == sparkline([]) == ""


def test_the_count_can_start_where_a_killed_job_stopped():
    with Progress("scoring", 10, quiet=True) as bar:
        bar.update(7)
        bar.advance()
    assert bar.done == 8


def test_a_failing_job_is_not_called_done():
    out = io.StringIO()

    def failing():
        with Progress("scoring", None, every=0.0, stream=out) as bar:
            bar.advance()
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        failing()
    assert out.getvalue().splitlines()[-1].endswith("stopped")
