import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, IntegrityError, PlauditError
from plaudit.runs import DurableLog, read_log


def test_what_was_put_is_there_after_opening_again(tmp_path):
    path = tmp_path / "deep" / "log.jsonl"
    with DurableLog(path, fingerprint="f") as log:
        log.put("a", {"reward": 1.5, "detail": "ü\ud800"})
        log.put("b", None)
        assert "a" in log
        assert "c" not in log
    with DurableLog(path, fingerprint="f") as log:
        assert log["a"] == {"reward": 1.5, "detail": "ü\ud800"}
        assert log.get("b", "default") is None
        assert "b" in log
        assert log.get("c", "default") == "default"
        assert sorted(log) == ["a", "b"]
        assert len(log) == 2
        assert log.torn == 0


def test_the_later_value_of_a_key_counts(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        log.put("a", 1)
        log.put("a", 2)
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        assert log["a"] == 2


@settings(max_examples=60, deadline=None)
@given(
    values=st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False) | st.none(), max_size=5),
    data=st.data(),
)
def test_a_log_cut_at_any_byte_keeps_its_whole_records_and_goes_on(tmp_path_factory, values, data):
    path = tmp_path_factory.mktemp("log") / "l"
    with DurableLog(path, fingerprint="f") as log:
        for key, value in values.items():
            log.put(key, value)
    blob = path.read_bytes()
    cut = data.draw(st.integers(0, len(blob)))
    path.write_bytes(blob[:cut])
    whole = blob[:cut].count(b"\n")
    with DurableLog(path, fingerprint="f") as log:
        assert {key: log[key] for key in log} == dict(list(values.items())[:whole])
        assert log.torn == cut - len(b"".join(blob.splitlines(keepends=True)[:whole]))
        log.put("next", 1)
    with DurableLog(path, fingerprint="f") as log:
        assert log["next"] == 1
        assert log.torn == 0


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.dictionaries(st.text(), st.text() | st.none(), max_size=4), max_size=4),
    data=st.data(),
)
def test_of_what_was_put_together_a_cut_at_any_byte_leaves_all_or_nothing(tmp_path_factory, batches, data):
    path = tmp_path_factory.mktemp("log") / "l"
    ends, after = [0], [{}]
    with DurableLog(path, fingerprint="f") as log:
        for batch in batches:
            log.put_together(batch)
            ends.append(path.stat().st_size)
            after.append(after[-1] | batch)
            assert dict(zip(log, map(log.get, log), strict=True)) == after[-1]
    cut = data.draw(st.integers(0, ends[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    expected = next(held for end, held in reversed(list(zip(ends, after, strict=True))) if end <= cut)
    assert read_log(path, fingerprint="f") == expected


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(
        st.dictionaries(st.text(), st.text() | st.integers() | st.none(), min_size=1, max_size=4), max_size=9
    ),
    again=st.booleans(),
)
def test_values_that_are_not_held_are_those_that_were_put(tmp_path_factory, batches, again):
    path = tmp_path_factory.mktemp("log") / "l"
    expected = {}
    log = DurableLog(path, fingerprint="f", in_memory=False)
    for k, batch in enumerate(batches):
        if k % 2:
            log.put_together(batch)
        else:
            for key, value in batch.items():
                log.put(key, value)
        expected |= batch
    if again:
        log.close()
        log = DurableLog(path, fingerprint="f", in_memory=False)
    with log:
        for _ in range(2):
            assert {key: log[key] for key in log} == expected
        assert len(log) == len(expected)
        assert log.get("not there \0", 7) == 7
        with pytest.raises(KeyError):
            log["not there \0"]


def test_a_closed_log_whose_values_are_not_held_says_so(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f", in_memory=False) as log:
        log.put("a", 1)
    with pytest.raises(PlauditError, match="closed, so nothing can be read"):
        log["a"]
    with DurableLog(tmp_path / "l", fingerprint="f", in_memory=False) as log:
        (tmp_path / "l").write_bytes(b"x" * (tmp_path / "l").stat().st_size)
        with pytest.raises(IntegrityError, match="was changed while it was in use"):
            log["a"]


def test_values_that_are_not_held_take_no_memory(tmp_path):
    import tracemalloc

    held = {}
    for in_memory in (True, False):
        with DurableLog(tmp_path / str(in_memory), fingerprint="f", in_memory=in_memory) as log:
            tracemalloc.start()
            for k in range(200):
                log.put_together({f"{k}-{i}": list(range(k, k + 500)) for i in range(4)})
            held[in_memory] = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            assert log["150-2"] == list(range(150, 650))
    assert held[False] < held[True] / 10


def test_what_cannot_be_written_together_changes_nothing(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        log.put("a", 1)
        with pytest.raises(InputError, match="the value of key 'b', 'c' is no JSON"):
            log.put_together({"b": 1, "c": object()})
        assert list(log) == ["a"]
        log.put_together({})
    assert (tmp_path / "l").read_text().count("\n") == 1


def test_a_damaged_record_in_the_middle_is_not_passed_over(tmp_path):
    path = tmp_path / "l"
    with DurableLog(path, fingerprint="f") as log:
        for key in "abc":
            log.put(key, 1.25)
    path.write_bytes(path.read_bytes().replace(b"1.25", b"9.25", 1))  # one edited reward
    with pytest.raises(IntegrityError, match="line 1 is damaged and is not the last"):
        DurableLog(path, fingerprint="f")


@pytest.mark.parametrize("text", ['{"prompt":"a","completion":"b"}\n', "a,b\nc,d\n", "{}\n"])
def test_a_file_that_is_no_log_is_left_as_it_was(tmp_path, text):
    path = tmp_path / "samples.jsonl"  # one line would look like a torn last record, and be cut off
    path.write_text(text)
    with pytest.raises(IntegrityError, match=r"samples\.jsonl: is there already and is no log; name another file"):
        DurableLog(path, fingerprint="f")
    assert path.read_text() == text


def test_what_a_power_cut_left_of_a_first_record_is_cut_off(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(bytes(40))
    with DurableLog(path, fingerprint="f") as log:
        assert (len(log), log.torn) == (0, 40)


def test_another_fingerprint_is_refused_and_both_are_named(tmp_path):
    path = tmp_path / "l"
    with DurableLog(path, fingerprint="old") as log:
        log.put("a", 1)
    with pytest.raises(IntegrityError, match=r"line 1 was written under fingerprint 'old', .* is 'new'"):
        DurableLog(path, fingerprint="new")
    assert len(DurableLog(path, fingerprint="old")) == 1


def test_two_holders_of_one_log_are_refused(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f"):
        with pytest.raises(PlauditError, match="another process is writing it"):
            DurableLog(tmp_path / "l", fingerprint="f")
    DurableLog(tmp_path / "l", fingerprint="f").close()  # free again


def _try(path, queue):
    try:
        DurableLog(path, fingerprint="f").close()
        queue.put("opened")
    except PlauditError as error:
        queue.put(str(error))


def test_a_second_process_is_refused(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with DurableLog(tmp_path / "l", fingerprint="f"):
        process = context.Process(target=_try, args=(tmp_path / "l", queue))
        process.start()
        assert "another process is writing it" in queue.get(timeout=30)
        process.join()


def test_no_json_is_refused_and_nothing_is_written(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        with pytest.raises(InputError, match="the value of key 'a' is no JSON"):
            log.put("a", {1, 2})
        assert "a" not in log
    assert (tmp_path / "l").read_bytes() == b""


def test_a_full_disk_in_the_middle_of_a_record_leaves_no_half_of_it(tmp_path, monkeypatch):
    log = DurableLog(tmp_path / "l", fingerprint="f")
    log.put("a", 1)
    before = (tmp_path / "l").read_bytes()
    real, calls = os.write, []

    def full(handle, data):
        calls.append(1)
        if len(calls) == 1:
            return real(handle, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(PlauditError, match="no space left"):
        log.put("b", 2)
    monkeypatch.undo()
    assert (tmp_path / "l").read_bytes() == before
    assert "b" not in log
    log.put("b", 2)
    log.close()
    assert len(DurableLog(tmp_path / "l", fingerprint="f")) == 2


def test_a_closed_log_takes_nothing(tmp_path):
    log = DurableLog(tmp_path / "l", fingerprint="f")
    log.close()
    log.close()
    with pytest.raises(PlauditError, match="closed"):
        log.put("a", 1)


def test_flushes_are_batched(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    log = DurableLog(tmp_path / "l", fingerprint="f", sync_every=10, sync_seconds=1e9)
    for i in range(25):
        log.put(str(i), i)
    assert len(calls) == 2  # after the 10th and the 20th
    log.flush()
    assert len(calls) == 3
    log.flush()  # nothing pending
    assert len(calls) == 3
    log.close()


def test_sigkill_loses_no_record_that_put_returned_for(tmp_path):
    program = (
        "import sys\nfrom plaudit.runs.log import DurableLog\n"
        f"log = DurableLog({str(tmp_path / 'l')!r}, fingerprint='f')\n"
        "i = 0\nwhile True:\n    log.put(str(i), 'x' * 200)\n    i += 1\n    print(i, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = [int(line) for line in process.stdout.read().split()]
    process.stdout.close()
    process.wait()
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        assert len(log) >= max([50, *told])
        assert set(log) == {str(i) for i in range(len(log))}


def test_a_line_holds_what_it_promises(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        log.put("k", [1])
    record = json.loads((tmp_path / "l").read_text())
    assert (record["key"], record["fingerprint"], record["value"]) == ("k", "f", [1])
    assert len(record["sum"]) == 16


def test_opening_twenty_thousand_records_takes_under_two_seconds(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f" * 32, sync_every=10**9, sync_seconds=1e9) as log:
        for i in range(20_000):
            log.put(f"{i:032d}", {"reward": 0.25})
    clock = time.monotonic()
    with DurableLog(tmp_path / "l", fingerprint="f" * 32) as log:
        assert len(log) == 20_000
    assert time.monotonic() - clock < 2.0


def test_a_log_can_be_read_while_it_is_written(tmp_path):
    with DurableLog(tmp_path / "l", fingerprint="f") as log:
        log.put("a", 1)
        assert read_log(tmp_path / "l", fingerprint="f") == {"a": 1}
        log.put("a", 2)
        with (tmp_path / "l").open("ab") as file:
            file.write(b'{"sum":"torn')
        assert read_log(tmp_path / "l", fingerprint="f") == {"a": 2}
    with pytest.raises(IntegrityError, match="written under fingerprint 'f'"):
        read_log(tmp_path / "l", fingerprint="g")
