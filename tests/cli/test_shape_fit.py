"""`plaudit shape fit`: a state from samples, which a reference then names."""

import json

import numpy as np
import pytest

from plaudit import load
from plaudit.cli.main import main
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.shaping import ConfidenceShaping
from plaudit.shaping.transforms import MinMax, Quantile, Rank, Standardise


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = ["one", "one two three", "one two\n**Confidence: 9**"]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps({"prompt": "p", "completion": t}) + "\n" for t in texts))
    return tmp_path


def fit(*arguments):
    return main(["shape", "fit", *arguments, "--reward", "rule/length"])


@pytest.mark.parametrize(
    ("name", "state", "shaped"),
    [
        # words 1, 3 and 4 (the statement is two): mean 8/3, squares 25/9 + 1/9 + 16/9 = 42/9, variance 14/9
        ("standardise?epsilon=0", {"n": 3, "low": 1.0, "high": 4.0}, (2 - 8 / 3) / (14 / 9) ** 0.5),
        ("running-clip?width=0.1", {"n": 3, "low": 1.0, "high": 4.0}, 8 / 3 - 0.1 * (14 / 9) ** 0.5),
        ("min-max", {"n": 3, "low": 1.0, "high": 4.0}, 1 / 3),
        ("quantile", {"references": [1.0, 3.0, 4.0]}, 1 / 3),
        # without the statement 1, 3 and 2: mean 2, and two words are at it
        ("confidence", {"mean": 2.0}, 2.0),
    ],
)
def test_a_state_is_fitted_and_named(here, capsys, name, state, shaped):
    assert fit(name, "s.jsonl", "--out", "state.json") == 0
    kind, _, options = name.partition("?")
    assert capsys.readouterr().out == (
        f"shape: state.json holds shape/{kind} after 3 rewards; name it as its option state\n"
    )
    row = json.loads((here / "state.json").read_text())
    assert row["transform"] == kind
    assert state.items() <= row["state"].items()
    reward = load(f"shape/{kind}?of=rule/length&state=state.json{'&' if options else ''}{options}")
    assert reward([Sample("q", "x y")]).reward[0] == pytest.approx(shaped)


def test_what_was_seen_before_is_left_out_and_what_does_not_count_too():
    batch = RewardBatch(np.array([1.0, np.nan, 3.0]), np.array([0, Outcome.TIMED_OUT, 0], np.int8))
    samples = [Sample("a", "b")] * 3
    old = RewardBatch(np.array([100.0, 200.0, 300.0]))
    for by in (Standardise(rate=0.5), MinMax(), ConfidenceShaping(rate=0.5), Quantile([7.0, 8.0])):
        assert by.updated(old, samples).fitted(batch, samples) == by.fitted(batch, samples)
    assert Standardise().fitted(batch, samples).seen.mean == 2.0
    assert ConfidenceShaping(rate=0.5).fitted(batch, samples) == ConfidenceShaping(rate=0.5, mean=2.0)
    assert Quantile([7.0, 8.0]).fitted(batch, samples) == Quantile([1.0, 3.0])
    assert Rank().fitted(batch, samples) == Rank()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip?low=1", "s.jsonl"], "shape fit: clip has no state; its options are all of it (with one: quantile, "),
        (["par", "s.jsonl"], "shape fit: par has no state"),
        (["standardize", "s.jsonl"], "shape: 'standardize' is not known; did you mean 'standardise'"),
        (
            ["quantile?references=s.jsonl", "s.jsonl"],
            "references are not read here, there are others; leave references",
        ),
        (["quantile", "one.jsonl"], "quantile: 1 references [1.0]; give at least two rewards, all finite"),
        (["min-max", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(here, capsys, arguments, message):
    (here / "one.jsonl").write_text(json.dumps({"prompt": "p", "completion": "one"}) + "\n")
    assert fit(*arguments, "--out", "state.json") == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]
    assert not (here / "state.json").exists()


def test_a_folder_is_no_state(here, capsys):
    (here / "state").mkdir()
    assert fit("min-max", "s.jsonl", "--out", "state") == 2
    assert "shape fit: state is a folder; name a file" in capsys.readouterr().err
