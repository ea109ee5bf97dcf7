"""`plaudit evaluate OUTPUTS --metric length-controlled-winrate`: both kinds of rows, judges, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from plaudit.cli.main import main
from plaudit.evaluation.ratings import length_controlled_winrate

METRIC = ["--metric", "length-controlled-winrate"]


def annotations(n=60, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        own, base = (int(x) for x in rng.integers(5, 200, 2))
        p = expit(1.5 * np.tanh((own - base) / 80) - 0.5 + 0.3 * rng.normal())
        rows.append({
            "instruction": f"question {i}", "index": i, "output_1": "b" * base, "output_2": "m" * own,
            "generator_1": "base", "generator_2": "mine", "preference": float(1 + p), "annotator": "judge",
        })  # fmt: skip
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def compared(rows):
    return [
        {"prompt": r["instruction"], "first": r["output_2"], "second": r["output_1"], "model": "mine",
         "baseline": "base", "probability": r["preference"] - 1}
        for r in rows
    ]  # fmt: skip


def numbers(tmp_path, *words):
    assert main(["evaluate", *words, *METRIC, "--json", str(tmp_path / "o.json")]) == 0
    return json.loads((tmp_path / "o.json").read_text())


def test_both_kinds_of_rows_say_what_the_function_says(tmp_path, capsys):
    rows = annotations()
    expected = length_controlled_winrate(
        [r["preference"] - 1 for r in rows], [len(r["output_2"]) for r in rows], [len(r["output_1"]) for r in rows]
    )
    for form in (rows, compared(rows)):
        found = numbers(tmp_path, write(tmp_path / "o.jsonl", form))
        assert found["mine/length_controlled_winrate"]["value"] == pytest.approx(expected.controlled.value, abs=1e-9)
        assert found["mine/winrate"]["value"] == pytest.approx(expected.plain.value, abs=1e-9)
        assert found["mine/length_weight"]["value"] < -0.5  # longer answers were preferred
    told = capsys.readouterr().out
    assert "without --gamed" in told
    assert "without instruction_difficulty" in told


def test_gamed_rows_bring_the_difficulties(tmp_path):
    rows, rng = annotations(), np.random.default_rng(1)
    lines = ["index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline"]
    difficulty = rng.normal(size=60)
    for i in list(range(60)) * 2:
        lines.append(f"{i},{rng.uniform():.4f},{rng.normal():.4f},{difficulty[i]:.6f},False")
    (tmp_path / "gamed.csv").write_text("\n".join(lines) + "\n")
    path = write(tmp_path / "o.jsonl", rows)
    with_rows = numbers(tmp_path, path, "--gamed", str(tmp_path / "gamed.csv"))
    assert with_rows["mine/length_controlled_winrate"] != numbers(tmp_path, path)["mine/length_controlled_winrate"]


def test_the_baseline_itself_and_rows_without_a_judgement(tmp_path, capsys):
    rows = annotations()
    rows[0]["preference"] = None
    rows += [{**r, "generator_2": "base"} for r in annotations(12, seed=2)]
    found = numbers(tmp_path, write(tmp_path / "o.jsonl", rows))
    assert found["base/length_controlled_winrate"]["value"] == 0.5
    assert "1 of 72 rows have no judgement" in capsys.readouterr().out


def test_a_reward_judges_what_has_no_judgement(tmp_path, model_folder):
    rows = [{k: v for k, v in r.items() if k != "probability"} for r in compared(annotations(20))]
    found = numbers(tmp_path, write(tmp_path / "o.jsonl", rows), "--reward", str(model_folder))
    assert 0 < found["mine/winrate"]["value"] < 1


FIRST = """
import numpy as np
from plaudit.rewards.base import PreferenceBatch

class First:
    name = fingerprint = "first"

    def __call__(self, first, second):
        return PreferenceBatch(np.full(len(first), 0.9), np.zeros(len(first), dtype=np.int8))

def judge():
    return First()
"""


def test_a_judge_that_leans_to_the_first_makes_nobody_win(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lean.py").write_text(FIRST)
    rows = [{k: v for k, v in r.items() if k != "probability"} for r in compared(annotations(20))]
    found = numbers(tmp_path, write(tmp_path / "o.jsonl", rows), "--reward", "lean.py:judge")
    assert found["mine/winrate"]["value"] == pytest.approx(0.5)
    # one half in every row: the penalty leaves nothing, and no width is claimed for it
    assert found["mine/length_controlled_winrate"]["low"] is None
    assert "the penalty took every term away" in capsys.readouterr().out


def test_all_wins_are_no_certainty_and_a_fault_of_a_text_is_a_loss(tmp_path):
    rows = [{**r, "probability": 1.0} for r in compared(annotations(40))]
    found = numbers(tmp_path, write(tmp_path / "o.jsonl", rows))["mine/winrate"]
    # Wilson at 40 of 40: 40 / (40 + 1.96^2)
    assert (found["value"], found["high"]) == (1.0, 1.0)
    assert found["low"] == pytest.approx(40 / (40 + 1.959964**2), abs=1e-6)
    rows = [{**r, "probability": 0.0, "outcome": "policy_fault"} if i < 20 else r for i, r in enumerate(rows)]
    assert numbers(tmp_path, write(tmp_path / "o.jsonl", rows))["mine/winrate"]["value"] == 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"preference": 3}, "preference = 3: is outside 1..2"),
        ({"preference": "good"}, "preference = 'good': is no number"),
        ({"output_2": None}, "output_2: is no text"),
        ({"generator_2": None}, "generator_2: names no system"),
        ({"generator_1": " "}, "generator_1 = ' ': names no system"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, capsys, change, words):
    path = write(tmp_path / "o.jsonl", [{**annotations(1)[0], **change}, *annotations(20)])
    assert main(["evaluate", path, *METRIC]) == 2
    assert f"row 1: {words}" in capsys.readouterr().err
    assert main(["evaluate", path, *METRIC, "--skip-broken", str(tmp_path / "b.jsonl")]) == 0


def test_blank_prompts_are_not_one_prompt(tmp_path, capsys):
    rows = [{**r, "instruction": "" if i < 5 else r["instruction"]} for i, r in enumerate(annotations(20))]
    assert main(["evaluate", write(tmp_path / "o.jsonl", rows), *METRIC]) == 0
    told = capsys.readouterr().out
    assert "n=20" in told
    assert "5 rows have no prompt: each is resampled by itself" in told


def test_what_is_refused(tmp_path, capsys):
    path = write(tmp_path / "o.jsonl", annotations(20))
    assert main(["evaluate", path, "--metric", "winrate"]) == 2
    assert "'winrate' is not known" in capsys.readouterr().err
    assert main(["evaluate", path]) == 2
    assert "--reward is missing" in capsys.readouterr().err
    assert main(["evaluate", *METRIC]) == 2
    assert "evaluate: name the" in capsys.readouterr().err
    assert main(["evaluate", path, "--gamed", "x.csv"]) == 2
    assert "--gamed: goes with --metric" in capsys.readouterr().err
    assert main(["evaluate", path, *METRIC, "--subset", "kind"]) == 2
    assert "--subset: is of no use to --metric" in capsys.readouterr().err
    assert main(["evaluate", path, *METRIC, "--gamed", "x.csv"]) == 2
    assert "--gamed: there is no file x.csv" in capsys.readouterr().err
    assert main(["evaluate", path, *METRIC, "--reward", "rule/length"]) == 0
    assert "--reward was not used" in capsys.readouterr().out
    assert main(["evaluate", write(tmp_path / "few.jsonl", annotations(5)), *METRIC]) == 2
    assert "5 rows have a preference; at least 10" in capsys.readouterr().err
    mixed = [*annotations(20), {**annotations(1)[0], "generator_1": "another"}]
    assert main(["evaluate", write(tmp_path / "mixed.jsonl", mixed), *METRIC]) == 2
    assert "compared with several baselines" in capsys.readouterr().err
