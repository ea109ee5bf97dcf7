import errno
import os
import stat

import pytest

from plaudit.errors import InputError, PlauditError
from plaudit.runs import atomic_folder, replacing, write_bytes, write_text


def test_write_text_makes_the_folder_and_replaces_the_file(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "first")
    write_text(path, "sécond")
    assert path.read_bytes() == "sécond".encode()
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_a_new_file_gets_ordinary_permissions_and_an_old_one_keeps_its_own(tmp_path):
    path = tmp_path / "f"
    mask = os.umask(0o022)
    try:
        write_text(path, "x")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o600)
        write_text(path, "y")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_error_in_the_block_leaves_the_old_file_and_no_debris(tmp_path):
    path = tmp_path / "f"
    write_bytes(path, b"old")

    def half():
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line_and_the_old_file_is_untouched(tmp_path):
    path = tmp_path / "f"
    write_bytes(path, b"old")
    with (
        pytest.raises(PlauditError, match=r"no space left on the disk while writing .*untouched"),
        replacing(path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_truly_full_device_is_reported(tmp_path, monkeypatch):
    # the temporary file is opened on a device whose every write fails with ENOSPC
    real = os.fdopen

    def full(handle, mode):
        os.close(handle)
        return real(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(PlauditError, match="no space left"):
        write_bytes(tmp_path / "f", b"x" * 100_000)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder; name a file"):
        write_text(tmp_path, "x")


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as new:
        (new / "one").write_text("1")
    with atomic_folder(target) as new:
        assert (target / "one").read_text() == "1"  # the old one is there until the end
        (new / "two").write_text("2")
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_without_an_exchange_of_names_the_folder_is_still_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("plaudit.records._atomic._exchange", lambda first, second: False)
    target = tmp_path / "model"
    for name in ("one", "two"):
        with atomic_folder(target) as new:
            (new / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_error_while_a_folder_is_filled_leaves_the_old_one(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as new:
        (new / "one").write_text("1")

    def half():
        with atomic_folder(target) as new:
            (new / "two").write_text("2")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    assert [p.name for p in target.iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_is_no_folder_of_the_kind_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    monkeypatch.chdir(tmp_path / "mine")
    for target in (tmp_path / "mine", "."):
        with pytest.raises(InputError, match=r"it has no config.json\), and what it holds would be lost"):
            with atomic_folder(target, mark="config.json") as new:
                (new / "config.json").write_text("{}")
        assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"
    (tmp_path / "empty").mkdir()
    for _ in range(2):  # an empty one, and then one of its kind
        with atomic_folder(tmp_path / "empty", mark="config.json") as new:
            (new / "config.json").write_text("{}")
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["config.json"]
