import csv
import errno
import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, MissingError, PlauditError
from plaudit.records import Pair, Sample, data_hash, read, scan, write
from plaudit.testing.strategies import pairs, samples

PAIRS = [
    {"prompt": f"q{i}", "chosen": "good\nline", "rejected": 'b"a,d', "margin": i + 0.5, "lang": "ü"} for i in range(5)
]
HH = Path(__file__).resolve().parents[2] / "../shared/data/hh_harmless/pairs_1800.jsonl.gz"


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def expected():
    return tuple(Pair((m,), "good\nline", 'b"a,d', i + 0.5, meta={"lang": "ü"}) for i, m in enumerate(_prompts()))


def _prompts():
    return [Sample(f"q{i}", "").prompt[0] for i in range(5)]


def _write_as(path, rows):
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        plain = path.with_name(name)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), plain)
        blob = plain.read_bytes()
    elif name.endswith((".csv", ".tsv")):
        plain = path.with_name("plain")
        with open(plain, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if "tsv" in name else ",")
            writer.writeheader()
            writer.writerows(rows)
        blob = plain.read_bytes()
    elif name.endswith(".json"):
        blob = json.dumps({"data": rows}).encode()
    else:
        blob = lines(rows).encode()
    path.write_bytes(gzip.compress(blob) if path.name.endswith(".gz") else blob)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, expected, ending, zipped):
    path = tmp_path / f"pairs.{ending}{zipped}"
    _write_as(path, PAIRS)
    found = read(path)
    assert found.rows == expected
    assert (found.kind, found.n_broken) == ("pairs", 0)
    assert found.data_hash == data_hash(expected, "pairs")


def test_json_may_be_a_list_or_lines(tmp_path, expected):
    (tmp_path / "a.json").write_text(json.dumps(PAIRS))
    (tmp_path / "b.json").write_text(lines(PAIRS))
    assert read(tmp_path / "a.json").rows == read(tmp_path / "b.json").rows == expected


def test_messages_in_cells_are_decoded_and_text_that_looks_like_json_is_not(tmp_path):
    messages = [{"role": "user", "content": "Hi"}]
    _write_as(
        tmp_path / "a.csv",
        [{"prompt": json.dumps(messages), "completions": '["a", "b"]', "scores": "[1, 2]"}],
    )
    row = read(tmp_path / "a.csv").rows[0]
    assert row.prompt[0].content == "Hi"
    assert (row.completions, row.scores) == (("a", "b"), (1.0, 2.0))
    _write_as(tmp_path / "b.csv", [{"prompt": "[1, 2] is a list?", "completion": '{"a": 1}'}])
    row = read(tmp_path / "b.csv").rows[0]
    assert (row.prompt[0].content, row.completion) == ("[1, 2] is a list?", '{"a": 1}')


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(samples(), min_size=1, max_size=4) | st.lists(pairs(), min_size=1, max_size=4))
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_what_is_written_is_read_back_exactly(tmp_path_factory, ending, rows):
    path = tmp_path_factory.mktemp("w") / f"rows.{ending}"
    assert write(path, rows) == len(rows)
    kind = "pairs" if isinstance(rows[0], Pair) else "samples"
    assert read(path, kind=kind).rows == tuple(rows)


def test_a_folder_of_datasets_and_its_splits(tmp_path, expected):
    datasets = pytest.importorskip("datasets")
    part = datasets.Dataset.from_list(PAIRS)
    part.save_to_disk(tmp_path / "one")
    assert read(tmp_path / "one").rows == expected
    datasets.DatasetDict({"train": part, "test": part.select([1])}).save_to_disk(tmp_path / "two")
    assert read(f"{tmp_path / 'two'}#test").rows == expected[1:2]
    with pytest.raises(InputError, match="has the splits train, test; name one"):
        read(tmp_path / "two")
    with pytest.raises(MissingError, match="no split 'tset'; did you mean 'test'"):
        read(tmp_path / "two", split="tset")


def test_one_broken_row_among_thousands_stops_with_one_line(tmp_path):
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b"} for _ in range(3000)]
    rows[1716]["chosen"] = 5
    (tmp_path / "p.jsonl").write_text(lines(rows))
    with pytest.raises(InputError) as error:
        read(tmp_path / "p.jsonl")
    message = str(error.value)
    assert "p.jsonl row 1717: chosen = 5: it is int" in message
    assert "--skip-broken FILE" in message
    assert "\n" not in message


def test_skipped_rows_are_written_aside_and_counted(tmp_path):
    text = lines(PAIRS[:2]) + "{broken\n" + '[1]\n\n{"prompt": "q", "chosen": "a"}\n' + lines(PAIRS[2:])
    (tmp_path / "p.jsonl").write_text(text)
    found = read(tmp_path / "p.jsonl", skip_broken=tmp_path / "aside.jsonl")
    assert (len(found), found.n_broken) == (5, 3)
    assert found.numbers == (1, 2, 7, 8, 9)  # lines, the blank one counted
    aside = [json.loads(line) for line in (tmp_path / "aside.jsonl").read_text().splitlines()]
    assert [row["row"] for row in aside] == [3, 4, 6]
    assert aside[0]["raw"] == "{broken"
    assert aside[2]["raw"] == {"prompt": "q", "chosen": "a"}
    assert "rejected: the column is missing" in aside[2]["error"]


@pytest.mark.parametrize(
    ("name", "blob", "text"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.json", b"[]", "is empty"),
        ("a.csv", b"prompt,chosen\n", "is empty"),
        ("a.jsonl", b'{"question": "q", "response": "a"}\n', "columns question, response fit no format"),
        ("a.jsonl", b'{"question": "q", "response": "a"}\n', "rename 'question' to 'prompt', 'response' to"),
        ("a.jsonl", b'{"prompt": "q", "response": "a"}\n', "rename 'response' to 'completion'"),
        ("a.jsonl", b'{"prompt": "q\xff"}\n', "is not UTF-8 at byte 13"),
        ("a.jsonl", b"[1]\n", "is a JSON list, not an object"),
        ("a.jsonl", b"{bad\n", "row 1: (line) = '{bad': is not JSON"),
        ("a.json", b"[1, 2", "is not JSON"),
        ("a.json", b"3", "holds a JSON int"),
        ("a.csv", b"prompt,completion\nq\n", "has 1 cells for 2 columns"),
        ("a.csv", b"prompt,prompt\nq,r\n", "has the column 'prompt' more than once"),
        ("a.csv", b"prompt,completion\nq,\xff\n", "not UTF-8"),
        ("a.parquet", b"no parquet", "is no Parquet file"),
        ("a.jsonl.gz", gzip.compress(lines(PAIRS).encode(), mtime=0)[:60], "damaged gzip"),
        ("a.jsonl.gz", b"plain text", "damaged gzip"),
        ("a.txt", b"x", "ends in none of .jsonl"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why_in_one_line(tmp_path, name, blob, text):
    (tmp_path / name).write_bytes(blob)
    with pytest.raises(InputError) as error:
        read(tmp_path / name)
    assert text in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_all_rows_broken_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "q", "chosen": 1, "rejected": 2}\n')
    with pytest.raises(InputError, match=r"all 1 rows are broken; row 1: chosen = 1"):
        read(tmp_path / "p.jsonl", skip_broken=tmp_path / "aside")
    assert len((tmp_path / "aside").read_text().splitlines()) == 1


def test_a_missing_file_names_its_neighbour_and_is_no_hub_id(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("")
    with pytest.raises(MissingError, match=r"there is no file .*; did you mean 'pairs.jsonl'"):
        read(tmp_path / "pair.jsonl")


def test_a_hub_id_without_network_is_one_line(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def offline(*_arguments, **_options):
        raise ConnectionError("Couldn't reach the Hub\nmany lines")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(
        MissingError, match=r"the hub did not give it .ConnectionError: Couldn't reach the Hub.; check"
    ) as error:
        read("owner/name")
    assert "\n" not in str(error.value)


def test_the_kind_can_be_given_and_is_checked(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "q", "completion": "a", "label": true}\n')
    assert read(tmp_path / "p.jsonl").kind == "unpaired"
    assert read(tmp_path / "p.jsonl", kind="samples").rows[0].meta == {"label": True}
    with pytest.raises(InputError, match=r"kind 'smaples' is not known; did you mean 'samples'"):
        read(tmp_path / "p.jsonl", kind="smaples")


def test_scan_keeps_broken_rows(tmp_path):
    (tmp_path / "p.jsonl").write_text(lines(PAIRS) + '{"prompt": 1, "chosen": "a", "rejected": "b"}\n')
    broken = scan(tmp_path / "p.jsonl").broken
    assert [(b.row, b.field, b.value) for b in broken] == [(6, "prompt", "1")]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    write(path, [Sample("q", "a")])
    before = path.read_bytes()

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PlauditError, match=r"no space left on the disk while writing .*rows.jsonl"):
        write(path, [Sample("q", "b")] * 100)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_to_write_and_unknown_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match="no row to write"):
        write(tmp_path / "a.jsonl", [])
    with pytest.raises(InputError, match=r"ends in none of .jsonl"):
        write(tmp_path / "a.txt", [Sample("q", "a")])
    with pytest.raises(InputError, match=r"what JSON cannot"):
        write(tmp_path / "a.jsonl", [{"prompt": {1, 2}}])
    assert list(tmp_path.iterdir()) == []


def test_real_transcripts():
    if not HH.exists():
        pytest.skip("../shared/data/hh_harmless is not here")
    found = read(HH)
    assert (found.kind, len(found), found.n_broken) == ("pairs", 1800, 0)
    assert all(row.prompt[-1].role == "user" and row.chosen[0].role == "assistant" for row in found.rows)
    # an independent reading: without the speakers' marks, every word of the file is in the messages, in order
    with gzip.open(HH, "rt", encoding="utf-8") as file:
        for line, row in zip(file, found.rows, strict=True):
            words = re.sub(r"\n\n(Human|Assistant):", " ", json.loads(line)["chosen"]).split()
            assert " ".join(m.text for m in (*row.prompt, *row.chosen)).split() == words
