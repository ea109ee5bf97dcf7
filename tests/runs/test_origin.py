import json
import os
import platform
import signal
import subprocess

import pytest

from plaudit.runs import provenance, terminable
from plaudit.runs.origin import command_line, commit


def test_it_is_json_and_has_what_makes_a_number_again():
    found = json.loads(json.dumps(provenance(seed=3, data={"train": "abc"}, configuration={"lr": 1e-4})))
    assert found["seed"] == 3
    assert found["data"] == {"train": "abc"}
    assert found["configuration"] == {"lr": 1e-4}
    assert found["versions"]["python"] == platform.python_version()
    assert "torch" in found["versions"]


def test_the_command_has_no_path_of_the_machine_in_it():
    assert command_line(["/home/somebody/.venv/bin/plaudit", "run", "a b.yaml"]) == "plaudit run 'a b.yaml'"


def test_commit_is_none_outside_a_repository_and_marks_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]

    def git(*arguments):
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "f").write_text("1")
    git("add", "f")
    git("commit", "-m", "x")
    clean = commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "f").write_text("2")
    assert commit(tmp_path) == clean + "+changes"


def test_sigterm_ends_a_block_as_ctrl_c_does():
    before = signal.getsignal(signal.SIGTERM)

    def terminated():
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(KeyboardInterrupt):
        terminated()
    assert signal.getsignal(signal.SIGTERM) == before
