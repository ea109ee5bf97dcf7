"""What can be wrong with files and judges."""

import gzip
import json

import numpy as np
import pytest

from plaudit.errors import InputError, MissingError, ShapeError
from plaudit.evaluation.benchmarks import benchmark, evaluate_benchmark, fixed, judge_items, listing, read_items
from plaudit.evaluation.benchmarks.registry import WHERE
from small_benchmarks import Prefers, Scores, by_text, on, values, write

ROWS = [{"prompt": f"q{n}", "chosen": "aa", "rejected": "b"} for n in range(4)]


@pytest.mark.parametrize("ending", ["json", "jsonl", "jsonl.gz", "json.gz", "csv", "parquet"])
def test_every_format_reads_the_same(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    if ending.startswith("json"):
        text = json.dumps(ROWS) if ending.startswith("json.") or ending == "json" else "\n".join(map(json.dumps, ROWS))
        path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    elif ending == "csv":
        path.write_text("prompt,chosen,rejected\n" + "".join(f"q{n},aa,b\n" for n in range(4)))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    result = on("own", path, Scores(lambda s: float(len(s.text))))
    assert values(result)["accuracy"] == 1.0
    assert (result.n_items, result.n_clusters) == (4, 4)


def test_a_truncated_gzip_is_one_line(tmp_path):
    whole = gzip.compress("\n".join(json.dumps(r) for r in ROWS * 500).encode())
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged gzip file"):
        on("own", path, by_text({}))
    short = tmp_path / "y.json.gz"
    short.write_bytes(gzip.compress(json.dumps(ROWS * 500).encode())[:200])
    with pytest.raises(InputError, match="damaged gzip file"):
        on("own", short, by_text({}))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("holds no row of own", ""),
        ("is not JSON", "{nothing}\n"),
        ("not an object with columns", "[1]\n"),
        ("own needs prompt with chosen and rejected", '{"a": 1}\n'),
    ],
)
def test_broken_files_are_one_line(tmp_path, words, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        on("own", path, by_text({}))
    assert "\n" not in str(error.value)


def test_broken_rows_can_be_set_aside(tmp_path):
    path = write(tmp_path / "x.jsonl", [*ROWS, {"prompt": "q"}])
    side = tmp_path / "broken.jsonl"
    data = read_items(benchmark("own"), [path], skip_broken=side)
    assert len(data.items) == 4
    assert len(data.broken) == 1
    written = json.loads(side.read_text())
    assert written["row"] == 5
    assert "chosen" in written["error"]


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(MissingError, match=r"no file or folder .*mine\.jsn"):
        read_items(benchmark("own"), [write(tmp_path / "mine.json", ROWS).with_suffix(".jsn")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of rows"):
        read_items(benchmark("own"), [tmp_path / "empty"])
    with pytest.raises(InputError, match="did you mean 'rm-bench'"):
        benchmark("rmbench")


def test_a_hub_id_reads_through_datasets(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load(name, data_dir=None):
        assert (name, data_dir) == ("someone/bench", None)
        return datasets.DatasetDict({"gpt": datasets.Dataset.from_list(ROWS)})

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = read_items(benchmark("own"), ["someone/bench#gpt"])
    assert len(data.items) == 4
    with pytest.raises(MissingError, match="no split 'claude'"):
        read_items(benchmark("own"), ["someone/bench#claude"])


def test_a_folder_of_datasets_is_one_source(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    assert len(read_items(benchmark("own"), [tmp_path / "saved"]).items) == 4


def test_the_hash_is_of_the_rows(tmp_path):
    one, two = (write(tmp_path / name / "x.jsonl", rows) for name, rows in (("a", ROWS), ("b", ROWS[::-1])))
    same = write(tmp_path / "c" / "x.jsonl", ROWS)
    hashes = [read_items(benchmark("own"), [p]).data_hash for p in (one, two, same)]
    assert hashes[0] == hashes[2] != hashes[1]


def test_rows_that_were_read_before_are_counted(tmp_path):
    write(tmp_path / "data" / "a.jsonl", ROWS)
    write(tmp_path / "data" / "b.jsonl", [*ROWS[:2], {"prompt": "other", "chosen": "a", "rejected": "b"}])
    data = read_items(benchmark("own"), [tmp_path / "data"])
    assert (len(data.items), data.repeated) == (7, 2)


def test_a_judge_that_cannot_serve_is_refused_before_it_is_paid_for():
    called = []
    with pytest.raises(InputError, match="need a threshold"):
        judge_items(Scores(called.append), [], benchmark=benchmark("libra"))
    with pytest.raises(InputError, match="are no log-odds"):
        judge_items(Scores(called.append), [], benchmark=benchmark("wildbench"))
    with pytest.raises(InputError, match="scores are 1 to 10"):
        judge_items(Scores(called.append), [], benchmark=benchmark("wildbench-score"))
    assert not called


def test_judges_that_misbehave(tmp_path):
    path = write(tmp_path / "x.jsonl", ROWS)
    with pytest.raises(InputError, match=r"gave the probability 1\.5"):
        on("own", path, Prefers(lambda a, b: 1.5))

    class Short(Prefers):
        def __call__(self, first, second):
            said = super().__call__(first, second)
            return type(said)(said.probability[1:], said.outcome[1:])

    with pytest.raises(ShapeError, match="gave 7 preferences for 8 pairs"):
        on("own", path, Short(lambda a, b: 0.5))
    items = read_items(benchmark("own"), [path]).items
    with pytest.raises(InputError, match="the log keeps rewards"):
        judge_items(Prefers(lambda a, b: 0.5), items, log=tmp_path / "log")
    with pytest.raises(InputError, match="there is no item"):
        evaluate_benchmark(benchmark("own"), [], fixed([]))


def test_a_reward_log_is_used(tmp_path):
    path, calls = write(tmp_path / "x.jsonl", ROWS), []

    def judge(sample):
        calls.append(sample)
        return float(len(sample.text))

    items = read_items(benchmark("own"), [path]).items
    for _ in range(2):
        judged = judge_items(Scores(judge, bounds=(0.0, 9.0)), items, log=tmp_path / "log")
    assert len(calls) == 8
    assert [list(r) for r in judged.rewards] == [[2.0, 1.0]] * 4


def test_half_abstaining_rewards_keep_their_other_half(tmp_path):
    path = write(tmp_path / "x.jsonl", ROWS)
    result = on("own", path, Scores(lambda s: None if s.prompt[0].text in ("q0", "q1") else float(len(s.text))))
    assert values(result)["accuracy"] == 1.0
    assert result.metrics["accuracy"].n == 2
    assert result.metrics["baseline/longer/accuracy"].n == 2  # rules on the items that the judge has judged
    assert result.outcomes["abstained"] == 4


def test_policy_faults_are_worth_the_floor_and_told(tmp_path):
    from plaudit.rewards.base import Outcome, RewardBatch

    class Faulty(Scores):
        def __call__(self, samples):
            outcome = np.array([Outcome.POLICY_FAULT if s.text == "aa" else Outcome.SCORED for s in samples], np.int8)
            return RewardBatch(np.where(outcome == Outcome.POLICY_FAULT, -5.0, 0.0), outcome)

    result = on("own", write(tmp_path / "x.jsonl", ROWS), Faulty(None, bounds=(-5.0, 1.0)))
    assert values(result)["accuracy"] == 0.0
    assert any("own faults and worth the floor" in n for n in result.notes)


def test_the_list_names_every_benchmark_with_its_columns():
    lines = listing()
    assert [line.split()[0] for line in lines] == [*WHERE]
    assert all("; columns: " in line for line in lines)
    assert all(benchmark(name).name == name and benchmark(name).quirks for name in WHERE)
