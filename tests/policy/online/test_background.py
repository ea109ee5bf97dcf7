"""What runs beside the main thread: in order, told of errors, and in nobody's way when a run is interrupted."""

import threading
import time

import pytest

from plaudit.policy.online.background import Background


def test_calls_run_in_order_and_results_come_back():
    seen = []
    with Background() as beside:
        told = [beside.submit(lambda i=i: seen.append(i) or i * i) for i in range(5)]
        assert [future.result() for future in told] == [0, 1, 4, 9, 16]
    assert seen == [0, 1, 2, 3, 4]


def test_who_waits_for_a_result_is_told_of_the_error():
    def broken():
        raise ValueError("no")

    with Background() as beside:
        future = beside.submit(broken)
        with pytest.raises(ValueError, match="no"):
            future.result()
        assert beside.submit(lambda: 1).result() == 1


def test_after_an_error_what_was_begun_is_finished_and_the_rest_dropped():
    begun, go, seen = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go.wait(10)
        seen.append("first")

    with pytest.raises(KeyError), Background() as beside:  # noqa: PT012
        beside.submit(first)
        beside.submit(lambda: seen.append("second"))
        begun.wait(10)
        threading.Timer(0.05, go.set).start()
        raise KeyError
    assert seen == ["first"]


def test_an_interruption_waits_for_nothing():
    hang = threading.Event()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Background() as beside:  # noqa: PT012
        beside.submit(lambda: hang.wait(30))
        raise KeyboardInterrupt
    assert time.monotonic() - start < 5
    hang.set()
