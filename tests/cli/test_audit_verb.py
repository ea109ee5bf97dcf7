import argparse
import json

import pytest

from plaudit.cli.inputs import open_reward
from plaudit.cli.main import main


@pytest.fixture
def verifiers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from small_verifiers import Same, Substring\n")
    return "mine.py"


def test_a_sound_verifier_exits_with_0_and_writes_its_numbers(verifiers, capsys, tmp_path):
    assert main(["audit", "--reward", f"{verifiers}:Same", "--json", "a.json"]) == 0
    out = capsys.readouterr().out
    assert "attacks were refused and all 1 right answers accepted" in out
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["refused/empty answer"]["value"] == 1.0
    assert written["configuration"]["fingerprint"]


def test_a_careless_one_exits_with_1_and_names_what_passed(verifiers, capsys):
    assert main(["audit", "--reward", f"{verifiers}:Substring"]) == 1
    out = capsys.readouterr().out
    assert "every candidate listed: '3 or 4'" in out
    assert "scored, reward 1" in out


def test_a_reward_without_attacks_is_refused_in_one_line(capsys):
    assert main(["audit", "--reward", "rule/length"]) == 2
    assert "carries no attacks of its own" in capsys.readouterr().err


def test_unsafe_is_for_rewards_that_run_programs(capsys):
    assert main(["audit", "--reward", "verify/math", "--unsafe"]) == 2
    assert "--unsafe: verify/math runs no candidate's program" in capsys.readouterr().err


def test_unsafe_is_taken_by_program_agreement_too(monkeypatch):
    monkeypatch.setattr("plaudit.rewards.registry.load", lambda reference: reference)
    given = argparse.Namespace(reward="verify/program-agreement?timeout=2", unsafe=True)
    assert open_reward(given) == "verify/program-agreement?timeout=2&unsafe=true"
