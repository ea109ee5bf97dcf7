"""ProcessBench, step diagnostics and path credit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.process.diagnostics import (
    MASKS,
    mask_inputs,
    mask_table,
    minimum_at_end,
    right_answer_wrong_process,
)
from plaudit.evaluation.benchmarks.process.paths import path_reward, too_many
from plaudit.evaluation.benchmarks.process.processbench import PARTS, first_error
from small_benchmarks import Prefers, Scores, by_text, on, values, write


def test_first_error():
    assert first_error([0.9, 0.4, 0.1], 0.5) == 1
    assert first_error([0.9, 0.5], 0.5) == -1
    assert first_error([], 0.5) == -1


def processbench(tmp_path, parts=PARTS):
    """In every part two erroneous solutions (first error 1) and two correct ones, of three steps."""
    for part in parts:
        rows = [
            {"id": f"{part}-{n}", "problem": f"{part} {n}", "steps": ["a", "b", "c"], "label": 1 if n < 2 else -1}
            for n in range(4)
        ]
        write(tmp_path / "pb" / f"{part}.jsonl", rows)
    return tmp_path / "pb"


def steps_of(sample):
    """gsm8k: one of two errors hit, all correct ones kept; elsewhere nothing is right."""
    part, n = sample.prompt[0].text.split()
    if part == "gsm8k":
        return {"0": (0.9, 0.1, 0.9), "1": (0.9, 0.9, 0.1)}.get(n, (0.9, 0.9, 0.9))
    return (0.1, 0.9, 0.9)


def test_f1_is_the_harmonic_mean_and_the_score_their_mean(tmp_path):
    found = values(on("processbench", processbench(tmp_path), Scores(lambda s: 0.0, steps=steps_of)))
    assert found["accuracy/gsm8k/error"] == 0.5
    assert found["accuracy/gsm8k/correct"] == 1.0
    assert found["f1/gsm8k"] == pytest.approx(2 * 0.5 * 1 / 1.5)  # .667, as catalogued
    assert found["f1/math"] == 0.0  # both accuracies 0
    assert found["f1"] == pytest.approx((2 / 3) / 4)
    assert found["baseline/no error/f1"] == 0.0
    assert found["baseline/first step/f1"] == 0.0


def test_processbench_thresholds_missing_parts_and_named_steps(tmp_path):
    folder = processbench(tmp_path, ("gsm8k",))
    logits = Scores(lambda s: 0.0, steps=lambda s: 10 * (np.array(steps_of(s)) - 0.5))
    result = on("processbench", folder, logits)
    assert values(result)["f1/gsm8k"] == pytest.approx(2 / 3)
    assert math.isnan(values(result)["f1"])
    assert values(result)["present_f1"] == pytest.approx(2 / 3)
    assert any("below 0; --threshold sets another" in n for n in result.notes)
    strict = values(on("processbench", folder, logits, threshold=5.0))
    assert strict["accuracy/gsm8k/correct"] == 0.0
    critic = Scores(lambda s: 0.0, detail=lambda s: {"first_error": 1 if int(s.prompt[0].text.split()[1]) < 2 else -1})
    f1 = on("processbench", folder, critic).metrics["present_f1"]
    # two of two and two of two: both accuracies have Wilson's lower end 2 / (2 + z^2), and so has their harmonic mean
    assert (f1.value, f1.high) == (1.0, 1.0)
    assert f1.low == pytest.approx(2 / (2 + 1.959964**2), abs=1e-6)


def test_processbench_abstentions_leave(tmp_path):
    shy = Scores(lambda s: None if s.prompt[0].text == "gsm8k 1" else 0.0, steps=steps_of)
    result = on("processbench", processbench(tmp_path), shy)
    assert values(result)["accuracy/gsm8k/error"] == 1.0
    assert values(result)["f1/gsm8k"] == 1.0


def test_processbench_refuses(tmp_path):
    folder = processbench(tmp_path)
    with pytest.raises(InputError, match="gives no reward a step"):
        on("processbench", folder, by_text({}))
    with pytest.raises(InputError, match="needs a reward, and prefers is a comparison"):
        on("processbench", folder, Prefers(lambda a, b: 0.5))
    with pytest.raises(InputError, match="has 3 steps and got 2 step rewards"):
        on("processbench", folder, Scores(lambda s: 0.0, steps=lambda s: (0.1, 0.2)))
    row = {"id": "x", "problem": "q", "steps": ["a"], "label": 1}
    with pytest.raises(InputError, match="index of the first wrong step of 1"):
        on("processbench", write(tmp_path / "x.jsonl", [row]), by_text({}))


STEPS = [("think one", "1+1=2"), ("think two", "2+2=4"), ("think three", "4+4=8")]


def test_masks_by_hand():
    assert mask_inputs(STEPS[:2], "FC", joiner="|") == "think one|1+1=2|think two|2+2=4"
    assert mask_inputs(STEPS[:2], "MO", joiner="|") == "1+1=2|2+2=4"
    assert mask_inputs(STEPS[:2], "SSMO", joiner="|") == "2+2=4"
    assert mask_inputs(STEPS[:2], "NT", joiner="|") == "think one|1+1=2|think two"
    with pytest.raises(InputError, match="known: FC, MO, NT, SSMO"):
        mask_inputs(STEPS, "ALL")


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=3, max_size=3))
def test_what_masks_do_not_see(thoughts):
    other = [(t, e) for t, (_, e) in zip(thoughts, STEPS, strict=True)]
    assert mask_inputs(other, "MO") == mask_inputs(STEPS, "MO")
    assert mask_inputs(other[1:], "SSMO") == mask_inputs(STEPS, "SSMO")
    assert all(mask_inputs(STEPS, kind) for kind in MASKS)


def test_mask_table_is_paired():
    table = mask_table({"FC": [1, 1, -1, 1], "MO": [1, 1, -1, -1], "SSMO": [0, math.nan, 1, 1]}, range(4))
    assert table.accuracy["FC"].value == 0.75
    assert table.against_full["MO"].value == -0.25
    # SSMO: .5, -, 1, 1 against 1, -, 0, 1: mean of -.5, 1, 0
    assert table.against_full["SSMO"].value == pytest.approx(1 / 6)
    with pytest.raises(InputError, match="the full context FC is missing"):
        mask_table({"MO": [1.0]})


def test_minimum_at_end_and_inflation_by_hand():
    # last lowest; first lowest; both tied lowest counts half; one step and a NaN leave
    found = minimum_at_end([(0.9, 0.1), (0.1, 0.9), (0.5, 0.5), (0.2,), (math.nan, 1.0)])
    assert found.value == pytest.approx(0.5)
    assert found.n == 3
    # problem 0 selects a right answer by a wrong process, problem 1 a right one in all, problem 2 has no reward
    shares = right_answer_wrong_process(
        [(2.0, 1.0), (0.0, 1.0), (math.nan, 1.0)], [(1, 1), (0, 1), (1, 1)], [(0, 1), (0, 1), (1, 1)]
    )
    assert shares["answer"].value == 1.0
    assert shares["process"].value == 0.5
    assert shares["inflation"].value == 0.5


@pytest.mark.parametrize(
    ("found", "answered", "value"),
    [
        ((True, True, True, False), False, 0.4 + 0.16 + 0.064),
        ((False, False, True, False), False, 0.4),
        ((True, False, False, False), False, 0.064),
        ((False, False, False, False), False, 0.0),
        ((False, False, False, True), True, 1.0),
        ((True,), False, 0.0),  # the answer alone gives no partial credit
    ],
)
def test_path_reward_by_hand(found, answered, value):
    assert path_reward(found, answered=answered) == pytest.approx(value)


def test_path_reward_is_capped_and_checked():
    assert path_reward([True] * 9, gamma=0.9) == 1.0
    with pytest.raises(InputError, match="gamma is 0"):
        path_reward([True], gamma=0)


@given(st.lists(st.booleans(), min_size=2, max_size=8), st.integers(0, 6))
def test_finding_more_never_costs(found, at):
    more = list(found)
    more[at % len(more)] = True
    assert path_reward(more) >= path_reward(found)


def test_path_credit_on_file(tmp_path):
    rows = [
        {"question": "q0", "answer": "end", "solution": ["one", "two", "end"], "submitted": "it was end"},
        {"question": "q1", "answer": "end", "solution": ["one", "two", "end"], "submitted": "one and two"},
        {"question": "q2", "answer": "end", "solution": ["one", "two", "end"], "submitted": ", ".join(["end"] * 16)},
    ]
    matches = Scores(lambda s: float(str(s.reference) in s.text), bounds=(0.0, 1.0))
    result = on("path-credit", write(tmp_path / "qa.jsonl", rows), matches)
    assert values(result)["reward"] == pytest.approx((1 + 0.4 + 0.16 + 0) / 3)
    assert values(result)["answered"] == pytest.approx(1 / 3)
    assert values(result)["baseline/all steps but the answer/reward"] == pytest.approx(0.56)
    assert any("1 of 3 answers enumerate more than 15" in n for n in result.notes)
    assert any("0.5 or more counts as the verdict 'right'" in n for n in result.notes)
    with pytest.raises(InputError, match="give one with --threshold"):
        on("path-credit", tmp_path / "qa.jsonl", by_text({}))


def test_enumerations():
    assert not too_many("a, b; c")
    assert too_many("\n".join("abcdefghijklmnop"))
