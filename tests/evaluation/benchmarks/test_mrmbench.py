"""MRMBench's published layout, probed on a model's states; content-blind features beside them."""

import json
import math

import numpy as np
import pytest

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.evaluation.benchmarks import DIMENSIONS, benchmark, evaluate_benchmark, read_items
from plaudit.evaluation.benchmarks.judging import Judged
from small_benchmarks import Prefers, Scores, on, values, write


def rows(n, levels, start=0):
    """The level is the answer's first letter; its length says nothing."""
    return [
        {"input": f"question {i}", "output": "abc"[i % levels] * 3 + "x" * (i * 7 % 5), "label": i % levels}
        for i in range(start, start + n)
    ]


def mrmbench(tmp_path, sets=("easy", "hard"), dimensions=DIMENSIONS):
    for which in sets:
        for d in dimensions:
            levels = 2 if which == "easy" else 3
            for part, n, start in (("train", 30, 0), ("test", 12, 100)):
                path = tmp_path / "data" / f"mrm_{which}" / d / f"{part}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(rows(n, levels, start)))
    return tmp_path / "data"


def known(items, seen=DIMENSIONS):
    """States in which the level of some dimensions can be read, and of others cannot."""
    rng = np.random.default_rng(0)
    made = []
    for item in items:
        for sample in item.samples:
            read = item.subset in seen or item.meta["part"] == "pairs"
            made.append([*(12.0 * read * (sample.text[0] == letter) for letter in "abc"), *rng.normal(size=2)])
    rewards = tuple(
        np.array([len(s.text) for s in i.samples], np.float64) if i.meta["part"] == "pairs" else np.array([math.nan])
        for i in items
    )
    return Judged(rewards, outcomes=tuple(np.zeros(len(r), np.int8) for r in rewards), states=np.array(made))


def evaluated(source, seen=DIMENSIONS):
    chosen = benchmark("mrmbench")
    items = read_items(chosen, source if isinstance(source, list) else [source]).items
    return evaluate_benchmark(chosen, items, known(items, seen), resamples=50)


def test_the_mean_of_six_beside_what_never_reads_the_text(tmp_path):
    result = evaluated(mrmbench(tmp_path))
    found = values(result)
    assert found["easy/score"] == found["hard/score"] == found["centroids/hard/score"] == 1.0
    assert found["hard/coherence"] == 1.0
    # levels come in turn: the most frequent one of 12 rows has a half, or a third
    assert found["baseline/most frequent level/easy/score"] == 0.5
    assert found["baseline/most frequent level/hard/score"] == pytest.approx(1 / 3)
    assert found["advantage/most frequent level/hard/score"] == pytest.approx(2 / 3)
    assert found["baseline/length/easy/score"] < 1.0
    # 6 * 12 test rows of each set; probes are fitted on the others
    assert result.metrics["easy/score"].n == 12  # prompts, which the dimensions share
    assert result.notes[-1] == "360 of 504 items fit the probes and count in no number"
    assert math.isfinite(result.metrics["hard/score"].low)


def test_a_dimension_that_the_states_do_not_hold_is_seen(tmp_path):
    found = values(evaluated(mrmbench(tmp_path, ("easy",)), seen=DIMENSIONS[:3]))
    assert found["easy/harmlessness"] == 1.0
    assert found["easy/verbosity"] < 0.9
    assert found["easy/score"] == pytest.approx(np.mean([found[f"easy/{d}"] for d in DIMENSIONS]))


def test_missing_dimensions_have_no_score(tmp_path):
    result = evaluated(mrmbench(tmp_path, ("easy",), DIMENSIONS[:5]))
    assert math.isnan(values(result)["easy/score"])
    assert values(result)["easy/present_score"] == 1.0
    assert any("easy/missing subsets: verbosity" in note for note in result.notes)
    (tmp_path / "data" / "mrm_easy" / "coherence" / "test.json").unlink()
    less = evaluated(tmp_path / "data")
    assert "easy: coherence have training rows or test rows only, and are missing" in less.notes


def test_pairs_are_explained_by_the_nearest_dimension(tmp_path):
    # the longer one is preferred: right in the first and the third
    pairs = [{"prompt": "q1", "chosen": "bbbb", "rejected": "a"}, {"prompt": "q2", "chosen": "a", "rejected": "bb"},
             {"prompt": "q3", "chosen": "aaaa", "rejected": "bb"}]  # fmt: skip
    source = [mrmbench(tmp_path, ("easy",), DIMENSIONS[:1]), write(tmp_path / "pairs.jsonl", pairs)]
    result = evaluated(source)
    assert values(result)["pairs/accuracy"] == pytest.approx(2 / 3)
    assert values(result)["pairs/explained by harmlessness"] == 1.0
    # b is one level above a along harmlessness: the preferred one is above in q1 (right) and q2 (wrong), below in q3
    half = result.metrics["pairs/accuracy of the surer half"]
    assert (half.value, half.n) == (0.5, 2)
    # where no dimension but the first holds anything, the distances to its centroids are the smallest for their scale
    more = [mrmbench(tmp_path, ("easy",)), tmp_path / "pairs.jsonl"]
    found = values(evaluated(more, seen=DIMENSIONS[:1]))
    assert sum(found[f"pairs/explained by {d}"] for d in DIMENSIONS) == pytest.approx(1.0)
    assert found["pairs/explained by harmlessness"] > 0.5


def test_a_model_of_ours_is_probed_by_the_command(tmp_path, model_folder, capsys):
    pairs = write(tmp_path / "p.jsonl", [{"prompt": "q", "chosen": "a good answer", "rejected": "a bad answer"}] * 2)
    command = ["evaluate", "--benchmark", "mrmbench", "--reward", str(model_folder), "--json", str(tmp_path / "o.json")]
    data = ["--data", str(mrmbench(tmp_path)), "--data", str(pairs), "--out", str(tmp_path / "page")]
    assert main([*command, *data]) == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert 0 <= found["easy/score"]["value"] <= 1
    assert found["baseline/most frequent level/easy/score"]["value"] == 0.5
    assert "pairs/explained by harmlessness" in found
    assert "easy/score" in (tmp_path / "page" / "benchmark.html").read_text()
    assert main([*command, *data, "--log", str(tmp_path / "log")]) == 2
    assert "reads more than rewards" in capsys.readouterr().err


def test_states_are_those_at_the_last_token_each_text_once(tmp_path, model_folder):
    from plaudit.evaluation.benchmarks import judge_items
    from plaudit.rewards.people.states import last_states
    from plaudit.rewards.registry import load

    reward, chosen = load(str(model_folder)), benchmark("mrmbench")
    items = read_items(chosen, [mrmbench(tmp_path)]).items
    judged = judge_items(reward, items, benchmark=chosen)
    picked = [0, 41, 300, 503]
    alone = last_states(reward, [items[i].samples[0] for i in picked]).numpy()
    assert np.allclose(judged.states[picked], alone, atol=1e-5)


def test_judges_and_rows_that_cannot_be_read(tmp_path):
    folder = mrmbench(tmp_path, ("easy",))
    with pytest.raises(InputError, match="probes hidden states, and scores has none"):
        on("mrmbench", folder, Scores(lambda s: 1.0))
    with pytest.raises(InputError, match="needs a reward, and prefers is a comparison"):
        on("mrmbench", folder, Prefers(lambda a, b: 0.5))
    inner = folder / "mrm_easy" / "verbosity"
    # the set is read from the folders above the one that was named
    assert read_items(benchmark("mrmbench"), [inner]).items[0].meta["set"] == "easy"
    for path, row, words in (
        ("mrm_easy/tone/test.json", {}, "dimension = 'tone': name the file's folder"),
        ("easier/verbosity/test.json", {}, "set: name a folder above the dimension"),
        ("mrm_easy/verbosity/dev.json", {}, "split = 'dev': name the file"),
        ("mrm_easy/verbosity/test.json", {"label": 2}, "label = 2: mrm_easy has the levels 0 to 1"),
        ("mrm_easy/verbosity/test.json", {"output": None}, "output: the column is null"),
    ):
        bad = tmp_path / "bad" / path
        bad.parent.mkdir(parents=True, exist_ok=True)
        bad.write_text(json.dumps([rows(1, 2)[0] | row]))
        with pytest.raises(InputError, match=words):
            read_items(benchmark("mrmbench"), [bad])
