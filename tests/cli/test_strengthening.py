"""From several rewards and pairs to a fit with adaptive margins, by the command."""

import json

import numpy as np
import pytest
import torch

from plaudit.cli.main import main
from plaudit.records import Message, Pair, Ranked, read, write
from plaudit.rewards.registry import load
from plaudit.training.objectives.pairs.adaptive import adaptive_margin, strength_targets
from plaudit.training.objectives.pairs.soft import soft_bradley_terry

# two rewards that count a letter: of `aab` against `b` one says 2 - 0, the other (three times as steep) 3 - 3
REWARDS = """
def counts_a(samples):
    return [float(s.text.count("a")) for s in samples]

def counts_b(samples):
    return [3.0 * s.text.count("b") for s in samples]

def cannot_say(samples):
    return [float("nan") if "q" in s.text else 0.0 for s in samples]
"""
SMALL = ["--width", "16", "--heads", "2", "--layers", "1", "--vocabulary", "300", "--max-length", "96"]


def pair(i, chosen, rejected, **more):
    return Pair((Message("user", f"question {i}"),), chosen, rejected, **more)


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    (tmp_path / "said.py").write_text(REWARDS)
    by = [f"{tmp_path}/said.py:{name}" for name in ("counts_a", "counts_b")]

    def run(rows, *options, out="run", rewards=by):
        write(tmp_path / "pairs.jsonl", rows)
        words = ["train", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / out), *SMALL, "--batch-size", "8"]
        words += ["--learning-rate", "1e-9", *(w for r in rewards for w in ("--strength-by", r)), *options]
        return main(words), tmp_path / out

    return run


ROWS = [pair(0, "aab", "b"), pair(1, "b", "aaa"), pair(2, "ab", "ba"), pair(3, "bb", "b", margin=9.0)]
# by hand, margins of the two rewards: (2, 0), (-3, 3), (0, 0), (0, 3); their means are the strengths
STRENGTH = [1.0, 0.0, 0.0, 1.5]


def first_loss(out):
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"]


def scores(out, rows):
    """What the model, which has hardly moved, says of chosen and rejected."""
    reward = load(out / "model")
    return torch.tensor([d["score"] for row in rows for d in reward(row.samples()).detail])


def test_a_reward_named_twice_has_no_second_opinion(train, tmp_path, capsys):
    assert train(ROWS, "--use-margin", rewards=[f"{tmp_path}/said.py:counts_a"] * 2)[0] == 2
    assert "are the same reward, which agrees with itself on every pair" in capsys.readouterr().err


def test_a_later_fit_without_strengths_keeps_none(train):
    code, out = train(ROWS, "--use-margin")
    assert code == 0
    assert (out / "strengthened.jsonl").exists()
    assert train(ROWS, rewards=[])[0] == 0
    assert not (out / "strengthened.jsonl").exists()


def test_the_whole_path_is_the_pure_function(train, capsys):
    code, out = train(ROWS, "--use-margin")
    assert code == 0
    assert "strengths by 2 rewards: 0 pairs flipped, 0 left out, 0 that a reward could not judge" in (
        capsys.readouterr().out
    )
    kept = read(out / "strengthened.jsonl").rows
    assert [row.margin for row in kept] == pytest.approx(STRENGTH)
    index = torch.arange(8).reshape(4, 2)
    expected = adaptive_margin(scores(out, ROWS), index, strength=torch.tensor(STRENGTH)) / 4
    assert first_loss(out) == pytest.approx(float(expected), abs=1e-5)
    # the model's scores are near 0: by hand, the mean of log(1 + exp(strength)), far from log 2
    assert first_loss(out) == pytest.approx(np.mean(np.log1p(np.exp(STRENGTH))), abs=0.1)
    assert first_loss(out) > np.log(2) + 0.2


def test_soft_labels_of_the_same_rewards(train):
    code, out = train(ROWS, "--objective", "soft-bradley-terry")
    assert code == 0
    target = strength_targets(torch.tensor([[2.0, -3.0, 0.0, 0.0], [0.0, 3.0, 0.0, 3.0]]))
    expected = soft_bradley_terry(scores(out, ROWS), torch.arange(8).reshape(4, 2), target=target) / 4
    assert first_loss(out) == pytest.approx(float(expected), abs=1e-5)


def test_weak_ones_are_flipped_or_left_out(train, capsys):
    weak = [*ROWS[:3], pair(3, "b", "aaaab")]  # margins (-4, 0): of strength -2, the weakest of four
    code, out = train(weak, "--flip-weakest", "0.25")
    assert code == 0
    assert "1 pairs flipped, 0 left out" in capsys.readouterr().out
    last = read(out / "strengthened.jsonl").rows[3]
    assert (last.chosen, last.rejected, last.margin) == ("aaaab", "b", 2.0)
    code, out = train(weak, "--drop-weakest", "0.25", out="dropped")
    assert code == 0
    assert "0 pairs flipped, 1 left out" in capsys.readouterr().out
    assert [row.chosen for row in read(out / "strengthened.jsonl").rows] == ["aab", "b", "ab"]


def test_a_pair_that_cannot_be_judged_has_margin_zero(train, tmp_path, capsys):
    rows = [ROWS[0], pair(1, "q", "a", chosen_score=5.0, rejected_score=1.0)]
    rewards = [f"{tmp_path}/said.py:{name}" for name in ("counts_a", "cannot_say")]
    code, out = train(rows, "--use-margin", rewards=rewards)
    assert code == 0
    assert "1 that a reward could not judge" in capsys.readouterr().out
    # not 4, the difference of its scores: margins (2, 0) of the first row give a strength of 1
    assert [row.margin for row in read(out / "strengthened.jsonl").rows] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("objective", "column"),
    [
        ("margin-regression", "strength"), ("combined-strength", "strength"), ("scaled-bradley-terry", "strength"),
        ("soft-bradley-terry", "preference"),
    ],
)  # fmt: skip
def test_a_pair_that_cannot_be_judged_is_no_label(objective, column, train, tmp_path, capsys):
    """Its own scores and its own preference are another judge's, and 0 would say that the two are equally good."""
    told = pair(1, "q", "a", chosen_score=5.0, rejected_score=1.0, meta={"preference": 0.9})
    rewards = [f"{tmp_path}/said.py:{name}" for name in ("counts_a", "cannot_say")]
    code, out = train([ROWS[0], told, ROWS[2]], "--objective", objective, rewards=rewards)
    assert code == 0
    printed = capsys.readouterr().out
    assert (
        "strengths by 2 rewards: 0 pairs flipped, 0 left out, 1 that a reward could not judge, left out too, for "
        f"{objective} learns the {column} itself; see"
    ) in printed
    assert "trained on 2 preferences" in printed
    # by hand: the first has margins 2 and 0, the last 0 and 0; sigmoid(2) = 0.880797
    kept = read(out / "strengthened.jsonl").rows
    assert [(row.chosen, row.margin) for row in kept] == [("aab", 1.0), ("ab", 0.0)]
    assert [row.meta["preference"] for row in kept] == pytest.approx([(0.880797 + 0.5) / 2, 0.5], abs=1e-6)


@pytest.mark.parametrize(("options", "left"), [([], 2), (["--drop-weakest", "1"], 2)])
def test_where_no_pair_can_be_judged_there_is_no_label(options, left, train, tmp_path, capsys):
    rows = [pair(0, "q", "a"), pair(1, "b", "q"), *([ROWS[0]] if options else [])]
    rewards = [f"{tmp_path}/said.py:{name}" for name in ("counts_a", "cannot_say")]
    code, out = train(rows, "--objective", "margin-regression", *options, rewards=rewards)
    assert code == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            f"--strength-by: {left} of {len(rows)} pairs have a completion that a reward could not judge, and no other "
            "is left for margin-regression; give rewards that score them"
        )
    )
    assert not (out / "strengthened.jsonl").exists()
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    ("rows", "options", "rewards", "message"),
    [
        (ROWS, [], ["rule/length", "rule/length"], "--strength-by: bradley-terry would not read the strengths; add"),
        (ROWS, ["--flip-weakest", "0.1"], [], "--flip-weakest and --drop-weakest need rewards that say which are weak"),
        (ROWS, ["--use-margin"], ["rule/length"], "strengths: 1 reward cannot agree with another; give two"),
        (ROWS, ["--flip-weakest", "0.1", "--drop-weakest", "0.1"], ["rule/length"] * 2, "flip is 0.1 and drop 0.1; gi"),
        ([Ranked(ROWS[0].prompt, ("a", "b"), (1.0, 0.0))], ["--use-margin"], ["rule/length"] * 2,
         "--strength-by: row 1 is no pair; convert the rows first"),
    ],
)  # fmt: skip
def test_refusals(rows, options, rewards, message, train, capsys):
    assert train(rows, *options, rewards=rewards)[0] == 2
    assert message in capsys.readouterr().err
