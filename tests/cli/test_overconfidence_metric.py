"""`plaudit evaluate PAIRS --metric overconfidence`."""

import json

import pytest

from plaudit.cli.main import main

SAID = """
import re

def stated(sample):
    return float((re.findall(r"Confidence: ([0-9]+)", sample.text) or [0])[-1])

def pays(samples):
    with open("calls.txt", "a") as file:
        file.write(f"{len(samples)} ")
    return [stated(s) for s in samples]

def knows(samples):
    return [stated(s) if s.text.startswith("good") else -stated(s) for s in samples]

def hides(samples):
    return [None if s.text.startswith("bad") else stated(s) for s in samples]
"""


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "said.py").write_text(SAID)
    rows = [{"prompt": f"q {i}", "chosen": "good", "rejected": "bad", "topic": "t"} for i in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(*options):
        return main(["evaluate", "pairs.jsonl", "--metric", "overconfidence", *options])

    return run


def values(path):
    found = json.loads(path.read_text())
    return [found[name]["value"] for name in ("high_on_chosen", "high_on_rejected", "separation")]


# a reward of the stated number alone prefers the high one on both sides; one that knows which is good, where it is
@pytest.mark.parametrize(
    ("reward", "expected", "pays"), [("pays", [1.0, 1.0, 0.0], True), ("knows", [1.0, 0.0, 1.0], False)]
)
def test_by_hand(evaluate, tmp_path, capsys, reward, expected, pays):
    assert evaluate("--reward", f"said.py:{reward}", "--json", "o.json") == 0
    assert values(tmp_path / "o.json") == expected
    said = capsys.readouterr().out
    assert said.startswith(f"{reward} on 20 pairs: how often it prefers the high confidence")
    assert ("it pays for confidence also where that is not deserved" in said) is pays


def test_a_reward_that_never_reads_it_is_a_coin(evaluate, tmp_path):
    # the statement has as many words whatever the number: ties, which count half
    assert evaluate("--reward", "rule/length", "--json", "o.json") == 0
    assert values(tmp_path / "o.json") == [0.5, 0.5, 0.0]


def test_a_threshold_is_one(evaluate, capsys):
    assert evaluate("--reward", "said.py:knows", "--fail-under", "separation=0.9") == 0
    assert evaluate("--reward", "said.py:pays", "--fail-under", "separation=0.9") == 1
    assert "missed: separation is 0.000" in capsys.readouterr().out


def test_the_log_pays_once(evaluate, tmp_path):
    for _ in range(2):
        assert evaluate("--reward", "said.py:pays", "--log", "o.log") == 0
    assert (tmp_path / "calls.txt").read_text() == "80 "  # four texts of each of twenty pairs


def test_what_has_no_reward_is_told(evaluate, capsys):
    assert evaluate("--reward", "said.py:hides") == 0
    assert "20 of 20 rejected completions have no two rewards and leave the share" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--metric overconfidence: asks a reward about pairs; give PAIRS and --reward"),
        (["--reward", "rule/length", "--subset", "topic"], "--subset: is of no use to --metric overconfidence"),
        (["--reward", "rule/length", "--no-probabilities"], "--no-probabilities: is of no use to --metric overconf"),
        (["--reward", "rule/length", "--gamed", "g.csv"], "--gamed: is of no use to --metric overconfidence"),
        (["--reward", "rule/length", "--fail-under", "accuracy=1"], "--fail-under: there is no metric 'accuracy'"),
        (["--reward", "rule/lenth"], "rule/lenth: neither a path that exists nor a known reward"),
    ],
)
def test_mistakes_are_one_line(evaluate, capsys, options, message):
    assert evaluate(*options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
