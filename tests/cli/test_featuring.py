"""A network over named features, fitted by the command."""

import json
import math

import pytest

import plaudit
from plaudit.cli.main import main
from plaudit.records import Message, Pair, Ranked, Sample, write

SAID = """
def shouts(samples):
    with open("calls.txt", "a") as file:
        file.write(f"{len(samples)} ")
    return [None if "cannot" in s.text else float(s.text.count("!")) for s in samples]
"""
SMALL = ["--width", "16", "--heads", "2", "--layers", "1", "--vocabulary", "300", "--max-length", "96"]
ROWS = [Pair((Message("user", f"q {i}"),), "a b c", "a") for i in range(4)]
"""Three words over one: at mean 2 and deviation 1 these are 1 and -1, and the difference is 2."""


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "said.py").write_text(SAID)

    def run(*options, rows=ROWS, out="run"):
        write(tmp_path / "pairs.jsonl", rows)
        return main(["train", "pairs.jsonl", "--out", out, *options])

    return run


WORDS = ("--feature", "words=rule/length")


def test_a_linear_reward_by_hand(train, tmp_path, capsys, elsewhere):
    # log(1 + exp(-2 w)) + l2 / 2 w^2 has its least value where 2 sigmoid(-2 w) = l2 w: at w = 1 for this l2
    l2 = 2 / (1 + math.exp(2))
    assert train(*WORDS, "--feature-width", "0", "--feature-l2", str(l2)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "fitted 1 features (words) to 4 pairs: linear",
        "loss 0.1269 (log 2 = 0.6931 is chance)",  # log(1 + exp(-2)) = 0.126928
        "saved run/model; next: plaudit evaluate HELD_OUT_PAIRS --reward run/model",
    ]
    reward = plaudit.load("run")
    named = plaudit.load("features/mlp?of=run/model")
    assert named.fingerprint == reward.fingerprint == plaudit.load("run/model").fingerprint
    assert reward.arrays["linear"] == pytest.approx([1.0], abs=1e-4)
    assert reward.log_odds_per_unit == pytest.approx(1.0, abs=1e-4)
    # in a process of its own: three words, one, and two, which stand between
    code = (
        "import sys, plaudit\n"
        "reward = plaudit.load(sys.argv[1])\n"
        "print(*reward([plaudit.Sample('q', text) for text in ('a b c', 'a', 'a b')]).reward)"
    )
    there = elsewhere(code, str(tmp_path / "run" / "model")).splitlines()[-1]
    assert [float(word) for word in there.split()] == pytest.approx([1, -1, 0], abs=1e-6)


def test_it_scores_and_is_measured(train, tmp_path, capsys):
    assert train(*WORDS) == 0
    reference = "features/mlp?of=run/model"
    assert main(["score", "pairs.jsonl", "--reward", reference, "--out", "scored.jsonl"]) == 0
    first = json.loads((tmp_path / "scored.jsonl").read_text().splitlines()[0])
    # of eight completions half have three words and half one: normalised scores are 1 and -1, whatever the weights
    assert (first["reward"], first["aspects"]) == (pytest.approx(1.0), {"words": 3.0})
    assert main(["evaluate", "pairs.jsonl", "--reward", reference, "--json", "e.json"]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["accuracy"]["value"] == 1.0
    # the run's prompts are remembered, as those of a model are
    assert len((tmp_path / "run" / "prompts.txt").read_text().split()) == 4


def test_hidden_units_find_a_middle(train, capsys):
    texts = ["w " * n for n in range(1, 10)]
    rows = [
        Pair((Message("user", f"q {i} {j}"),), *sorted((a, b), key=lambda t: abs(len(t.split()) - 5)))
        for i, a in enumerate(texts) for j, b in enumerate(texts) if abs(i - 4) != abs(j - 4)
    ]  # fmt: skip
    for width, middle in (("0", False), ("8", True)):
        assert train(*WORDS, "--feature-width", width, "--feature-l2", "0.001", rows=rows) == 0
        one, five, nine = plaudit.load("features/mlp?of=run/model")([Sample("q", "w " * n) for n in (1, 5, 9)]).reward
        assert bool(five > max(one, nine)) is middle
    assert "8 hidden units beside a linear part" in capsys.readouterr().out


def test_what_a_feature_cannot_judge_is_told_and_paid_for_once(train, tmp_path, capsys):
    rows = [*ROWS, Pair((Message("user", "q"),), "I cannot", "a!"), Pair((Message("user", "r"),), "a!", "a")]
    assert train(*WORDS, "--feature", "shouts=said.py:shouts", rows=rows) == 0
    said = capsys.readouterr().out
    assert "fitted 2 features (words, shouts) to 5 pairs: 8 hidden units" in said
    assert "1 of 6 pairs were left out: shouts cannot judge 1 completions" in said
    assert (tmp_path / "calls.txt").read_text() == "12 "
    assert train(*WORDS, "--feature", "shouts=said.py:shouts", "--feature-width", "0", rows=rows) == 0
    assert (tmp_path / "calls.txt").read_text() == "12 "
    assert capsys.readouterr().out.splitlines()[0].endswith("to 5 pairs: linear")


def test_strengths_and_features(train, capsys):
    """The weakest pair by two other rewards is left out before the fit."""
    rows = [*ROWS, Pair((Message("user", "r"),), "a", "a b c d")]
    by = [word for ref in ("rule/length", "rule/length?target=3") for word in ("--strength-by", ref)]
    assert train(*WORDS, *by, "--drop-weakest", "0.2", rows=rows) == 0
    assert "fitted 1 features (words) to 4 pairs" in capsys.readouterr().out


def test_neither_kind_of_model_takes_the_others_place(train, tmp_path, capsys):
    assert train(*WORDS) == 0
    kept = (tmp_path / "run" / "model" / "features.safetensors").read_bytes()
    assert train(*SMALL) == 2
    assert "run/model is no such folder as is to be written there (it has no config.json)" in capsys.readouterr().err
    assert (tmp_path / "run" / "model" / "features.safetensors").read_bytes() == kept
    assert train(*SMALL, out="other") == 0
    assert train(*WORDS, out="other") == 2
    assert "other/model is no such folder as is to be written there (it has no features" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--feature", "rule/length?target=5"], "--feature: 'rule/length?target=5' is not NAME=REF"),
        (["--feature", "words="], "--feature: 'words=' is not NAME=REF"),
        ([*WORDS, *WORDS], "--feature: two are called 'words'"),
        ([*WORDS, "--feature", "length=rule/length"], "--feature: words and length are the same reward"),
        (["--feature", "words=rule/lenth"], "rule/lenth: neither a path that exists nor a known reward; did you mean"),
        (["--feature", "right=verify/math"], "verify/math: sample 0: reference is missing"),
        ([*WORDS, "--feature-l2", "0"], "--feature-l2 is 0; give a number above 0"),
        ([*WORDS, "--feature-width", "-1"], "--feature-width is -1; give 0 or more hidden units"),
        (["--feature-width", "2"], "--feature-width and --feature-l2 are of a network over features; give --feature"),
        ([*WORDS, "--epochs", "2"], "--feature: --epochs has no effect on a network over features"),
        ([*WORDS, "--use-margin"], "--feature: --use-margin has no effect"),
        ([*WORDS, "--objective", "plackett-luce"], "--feature: --objective has no effect"),
        ([*WORDS, "--width", "16"], "--feature: --width has no effect"),
        ([*WORDS, "--model", "some/model"], "--feature: --model has no effect"),
        ([*WORDS, "--shifted", "s.jsonl"], "--feature: --shifted has no effect"),
    ],
)
def test_mistakes_are_one_line(train, tmp_path, capsys, options, message):
    assert train(*options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_rows_that_hold_nothing_to_fit(train, tmp_path, capsys):
    assert train(*WORDS, rows=[Ranked(ROWS[0].prompt, ("a", "b"), (1.0, 0.0))]) == 2
    assert "--feature: row 1 is no pair; convert the rows first" in capsys.readouterr().err
    assert train("--feature", "s=said.py:shouts", rows=[Pair(ROWS[0].prompt, "I cannot", "a")]) == 2
    assert "features: none of 1 pairs can be judged by all of ['s']" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()


def test_several_processes_are_refused(train, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train(*WORDS) == 2
    assert "train: --feature works in one process" in capsys.readouterr().err
