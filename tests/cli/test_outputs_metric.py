"""`plaudit evaluate OUTPUTS --metric length-controlled-winrate`: both kinds of rows, judges, and what it refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.special import expit

from plaudit.cli.main import main
from plaudit.evaluation.ratings import GamedRows, length_controlled_winrate

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


def published_files(tmp_path, n=60):
    """Files as AlpacaEval publishes them: no index and no difficulty in the annotations, a gap in the gamed rows."""
    rng = np.random.default_rng(3)
    rows = [{k: v for k, v in r.items() if k != "index"} for r in annotations(n)]
    (tmp_path / "annotations.json").write_text(json.dumps(rows))
    difficulty, far, p = rng.normal(size=n), rng.normal(size=2 * n), rng.uniform(size=2 * n).round(4)
    p[5] = math.nan
    lines = ["model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline"]
    for i in range(2 * n):
        told = "" if math.isnan(p[i]) else f"{p[i]}"
        lines.append(f"gamed_{i // n},{i % n},{told},{float(far[i])!r},{float(difficulty[i % n])!r},False")
    (tmp_path / "df_gamed.csv").write_text("\n".join(lines) + "\n")
    return rows, difficulty, far, p


def test_published_annotations_have_the_difficulty_of_their_place(tmp_path, capsys):
    rows, difficulty, far, p = published_files(tmp_path)
    kept = ~np.isnan(p)
    expected = length_controlled_winrate(
        [r["preference"] - 1 for r in rows], [len(r["output_2"]) for r in rows], [len(r["output_1"]) for r in rows],
        difficulty=difficulty, gamed=GamedRows(p[kept], far[kept], np.tile(difficulty, 2)[kept]),
    )  # fmt: skip
    files = [str(tmp_path / "annotations.json"), "--gamed", str(tmp_path / "df_gamed.csv")]
    found = numbers(tmp_path, *files)
    assert found["mine/length_controlled_winrate"]["value"] == pytest.approx(expected.controlled.value, abs=1e-12)
    assert found["mine/length_weight"]["value"] == pytest.approx(expected.weights[0], abs=1e-12)
    told = capsys.readouterr().out
    assert "1 of 120 rows of --gamed have no preference: dropped, as published" in told
    assert "rows of mine have no index: each has the difficulty of its place in the file, as published" in told
    assert "is the file whole" not in told


def test_places_are_counted_by_model_and_have_to_be_whole(tmp_path, capsys):
    rows, *_ = published_files(tmp_path)
    gamed = ["--gamed", str(tmp_path / "df_gamed.csv")]
    alone = numbers(tmp_path, str(tmp_path / "annotations.json"), *gamed)["mine/length_controlled_winrate"]
    both = [r for row in rows for r in ({**row, "generator_2": "other"}, row)]
    found = numbers(tmp_path, write(tmp_path / "both.jsonl", both), *gamed)
    assert found["mine/length_controlled_winrate"] == found["other/length_controlled_winrate"] == alone
    assert "rows of 2 models have no index" in capsys.readouterr().out
    numbers(tmp_path, write(tmp_path / "few.jsonl", rows[:50]), *gamed)
    assert "--gamed has 60 instructions, mine has 50 rows: is the file whole?" in capsys.readouterr().out
    broken = write(tmp_path / "broken.jsonl", [{**rows[0], "preference": 7}, *rows[1:]])
    assert main(["evaluate", broken, *METRIC, *gamed, "--skip-broken", str(tmp_path / "b.jsonl")]) == 2
    assert "their places say nothing; give each row its index" in capsys.readouterr().err
    some = write(tmp_path / "some.jsonl", [{**r, "index": i} if i else r for i, r in enumerate(rows)])
    assert main(["evaluate", some, *METRIC, *gamed]) == 2
    assert "1 rows of mine have no instruction_difficulty" in capsys.readouterr().err


def test_indices_as_tables_with_gaps_store_them(tmp_path):
    rows, *_ = published_files(tmp_path)
    gamed = ["--gamed", str(tmp_path / "df_gamed.csv")]
    alone = numbers(tmp_path, str(tmp_path / "annotations.json"), *gamed)["mine/length_controlled_winrate"]
    turned = [{**r, "index": float(i)} for i, r in enumerate(rows)][::-1]
    found = numbers(tmp_path, write(tmp_path / "turned.jsonl", turned), *gamed)["mine/length_controlled_winrate"]
    assert found["value"] == pytest.approx(alone["value"], abs=0.02)  # the order of the rows is that of the folds


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0,0.5,,0.1", "row 3: std_delta_len: is no finite number"),
        ("0,0.5,0.1,nan", "row 3: instruction_difficulty = 'nan': is no finite number"),
        ("0,1.5,0.1,0.1", "row 3: preference = '1.5': is outside 0..1"),
        ("0,good,0.1,0.1", "row 3: preference = 'good': is no number"),
    ],
)
def test_gamed_rows_that_cannot_be_read(tmp_path, capsys, line, words):
    (tmp_path / "g.csv").write_text(f"index,preference,std_delta_len,instruction_difficulty\n0,NaN,0.1,0.1\n{line}\n")
    path = write(tmp_path / "o.jsonl", annotations(20))
    assert main(["evaluate", path, *METRIC, "--gamed", str(tmp_path / "g.csv")]) == 2
    assert words in capsys.readouterr().err
    (tmp_path / "g.csv").write_text("index,preference,std_delta_len,instruction_difficulty\n0,NaN,0.1,0.1\n")
    assert main(["evaluate", path, *METRIC, "--gamed", str(tmp_path / "g.csv")]) == 2
    assert "has no row with a preference" in capsys.readouterr().err


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
