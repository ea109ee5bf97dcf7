"""RM-Bench on real slices; every expected value comes from plain loops over the files, or from a hand-made file."""

import gzip
import json
import math
from pathlib import Path

import pytest

from plaudit.errors import InputError
from plaudit.evaluation.baselines import markdown_marks
from small_benchmarks import Prefers, Scores, by_text, on, values, write

DATA = Path(__file__).resolve().parents[3] / "../shared/data/rmbench"
STYLES = ("concise", "plain", "markdown")
DOMAIN = {"chat_60": "chat", "code_40": "code", "safety_refuse_60": "safety", "safety_response_40": "safety"}
RULES = {"longer": len, "shorter": lambda t: -len(t), "more markdown": markdown_marks, "constant": lambda t: 0}


def loops(rule):
    """Counts of won cells by domain, and of rows, without any of the code under test."""
    counts = {}
    for name, domain in DOMAIN.items():
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as file:
            for line in file:
                row = json.loads(line)
                won = counts.setdefault(domain, [0, [[0] * 3 for _ in range(3)]])
                won[0] += 1
                for i in range(3):
                    for j in range(3):
                        if rule(row["chosen"][i]) > rule(row["rejected"][j]):
                            won[1][i][j] += 1
    return counts


@pytest.fixture(scope="module")
def slices():
    if not DATA.is_dir():
        pytest.skip("../shared/data/rmbench is not here")
    return DATA


@pytest.mark.parametrize("name", RULES)
def test_content_blind_rewards_equal_plain_loops(slices, name):
    rule = RULES[name]
    counts = loops(rule)
    found = values(on("rm-bench", slices, Scores(lambda s: float(rule(s.text))), baselines=False, resamples=2))
    level = {"hard": [], "normal": [], "easy": []}
    for domain, (n, won) in counts.items():
        hard = (won[0][1] + won[0][2] + won[1][2]) / 3 / n
        normal = (won[0][0] + won[1][1] + won[2][2]) / 3 / n
        easy = (won[1][0] + won[2][0] + won[2][1]) / 3 / n
        assert found[f"domain/{domain}/hard"] == pytest.approx(hard)
        assert found[f"domain/{domain}"] == pytest.approx((hard + normal + easy) / 3)
        for key, value in (("hard", hard), ("normal", normal), ("easy", easy)):
            level[key].append(value)
    for key, per_domain in level.items():
        assert found[f"present_{key}"] == pytest.approx(sum(per_domain) / 3)  # chat, code, safety; no mathematics
        assert math.isnan(found[key])
    assert found["present_overall"] == pytest.approx(sum(sum(v) for v in level.values()) / 9)
    rows = sum(n for n, _ in counts.values())
    for i in range(3):
        for j in range(3):
            total = sum(won[i][j] for _, won in counts.values())
            assert found[f"matrix/{STYLES[i]} beats {STYLES[j]}"] == pytest.approx(total / rows)


def test_numbers_that_were_counted_by_other_means(slices):
    """Cells of the longest rule on the chat slice, counted from the file with jq (lengths) and awk (comparisons)."""
    longest = values(
        on("rm-bench", slices / "chat_60.jsonl.gz", Scores(lambda s: float(len(s.text))), resamples=2, baselines=False)
    )
    assert longest["matrix/concise beats plain"] == 0 / 60
    assert longest["matrix/plain beats concise"] == 60 / 60
    assert longest["matrix/plain beats markdown"] == pytest.approx(1 / 60)
    assert longest["matrix/concise beats concise"] == pytest.approx(31 / 60)


def full(tmp_path):
    """One row a domain."""
    rows = [
        {
            "id": d,
            "prompt": d,
            "domain": d,
            "chosen": [f"{d}c{i}" for i in range(3)],
            "rejected": [f"{d}r{i}" for i in range(3)],
        }
        for d in ("chat", "code", "math", "safety-refuse", "safety-response")
    ]
    return write(tmp_path / "total_dataset.jsonl", rows)


def test_published_names_with_all_domains(tmp_path):
    path = full(tmp_path)
    # chosen styles score 1, 2, 3; rejected 1, 2, 3 too: strictly greater only below the diagonal; a tie is a loss
    rank = Scores(lambda s: float(s.text[-1]))
    found = values(on("rm-bench", path, rank, baselines=False))
    assert (found["hard"], found["normal"], found["easy"]) == (0.0, 0.0, 1.0)
    assert found["overall"] == pytest.approx(1 / 3)
    assert found["ties"] == pytest.approx(1 / 3)
    # one domain wholly right, safety half: its two halves are pooled: overall (1 + 0 + 0 + .5) / 4
    right = Scores(
        lambda s: float((s.text.startswith("chat") or s.text.startswith("safety-refuse")) == (s.text[-2] == "c"))
    )
    assert values(on("rm-bench", path, right, baselines=False))["overall"] == pytest.approx(0.375)
    assert values(on("rm-bench", path, right, baselines=False))["domain/safety"] == 0.5


def test_comparisons_are_asked_in_every_cell(tmp_path):
    judge = Prefers(lambda a, b: 0.7 if a.text[-2] == "c" else 0.3)
    result = on("rm-bench", full(tmp_path), judge, baselines=False)
    assert values(result)["overall"] == 1.0
    assert result.outcomes == {"scored": 5 * 9 * 2}


def test_a_missing_cell_takes_the_item_out_of_what_needs_it(tmp_path):
    judge = Scores(lambda s: None if s.text == "chatr2" else float(s.text[-2] == "c"))
    result = on("rm-bench", full(tmp_path), judge)
    assert math.isnan(values(result)["domain/chat/hard"])  # its only row lacks the cell
    assert math.isnan(values(result)["hard"])
    assert values(result)["matrix/concise beats plain"] == 1.0
    assert result.metrics["matrix/concise beats markdown"].n == 4


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"prompt": "q", "chosen": ["a", "b"], "rejected": ["c", "d", "e"], "domain": "chat"},
            "2 answers; three are needed",
        ),
        (
            {"prompt": "q", "chosen": list("abc"), "rejected": list("def")},
            "neither it nor the file's name says one of chat",
        ),
    ],
)
def test_errors(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        on("rm-bench", write(tmp_path / "x.jsonl", [row]), by_text({}))
