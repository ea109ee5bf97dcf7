import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.choices.rewardbench2 import SUBSETS, ties_score
from small_benchmarks import Prefers, Scores, by_text, on, values, write


def reference_ties(rows):
    """The Ties score in loops, from (kind, key, right, wrong), after the catalogued description."""
    stats = {}
    for kind, key, right, wrong in rows:
        spread = max(right) - min(right) if len(right) > 1 else None
        stats[kind, key] = (min(right) > max(wrong), spread, min(right) - max(wrong))
    ref = [s[0] for (kind, _), s in stats.items() if kind == "ref"]
    tied = [s[0] for (kind, _), s in stats.items() if kind == "tied"]
    easy, hard, bonus = [], [], []
    for kind, key in stats:
        if kind != "tied" or ("ref", key) not in stats:
            continue
        _, spread, margin = stats["tied", key]
        other = stats["ref", key][2]
        easy.append(margin > spread)
        hard.append(min(other, margin) > spread)
        if spread == 0:
            bonus.append(0.0 if min(other, margin) == 0 else math.copysign(1.0, min(other, margin)))
        else:
            bonus.append(math.tanh(min(other, margin) / spread - 1))
    mean = lambda xs: sum(xs) / len(xs)  # noqa: E731
    return 0.3 * mean(tied) + 0.3 * mean(ref) + 0.2 * mean(easy) + 0.2 * mean(hard) + 0.01 * mean(bonus)


def test_ties_by_hand():
    # ref ([1], [0]), tied ([1, 1.1], [0]): all right, d = .1, m = 1: tanh(1 / .1 - 1) = tanh 9 = 1 - 3e-8
    one = [(np.array([1.0]), np.array([0.0]))]
    assert ties_score(one, [(np.array([1.0, 1.1]), np.array([0.0]))]) == pytest.approx(1.01, abs=1e-9)
    # tied ([1, 3], [0]): right, but m = 1 is no more than d = 2: .6 + .01 tanh(1/2 - 1) = .6 - .00462117
    assert ties_score(one, [(np.array([1.0, 3.0]), np.array([0.0]))]) == pytest.approx(0.595379, abs=1e-6)


def rows_of(table):
    """Rows of Ties, and the rewards by text."""
    rows, rewards = [], {}
    for kind, key, right, wrong in table:
        texts = [[f"{kind}{key}{side}{i}" for i in range(len(v))] for side, v in (("r", right), ("w", wrong))]
        rewards.update(zip(texts[0] + texts[1], [*right, *wrong], strict=True))
        rows.append(
            {"id": f"{kind}:{key}", "prompt": f"q{key}", "chosen": texts[0], "rejected": texts[1], "subset": "Ties"}
        )
    return rows, rewards


rewards = st.integers(-3, 3).map(float)


several = st.lists(rewards, min_size=2, max_size=3)


@settings(max_examples=30)
@given(st.lists(st.tuples(rewards, several, several), min_size=1, max_size=6))
def test_ties_equal_a_reference_in_loops(tmp_path_factory, drawn):
    table = []
    for key, (right, tied, wrong) in enumerate(drawn):
        table += [("ref", key, [right], wrong), ("tied", key, tied, wrong[::-1])]
    rows, by = rows_of(table)
    path = write(tmp_path_factory.mktemp("ties") / "test.jsonl", rows)
    found = values(on("rewardbench2", path, by_text(by), baselines=False, resamples=2))
    assert found["subset/Ties"] == pytest.approx(reference_ties(table), abs=1e-12)


def test_half_a_pair_counts_in_its_accuracy_and_in_no_margin(tmp_path):
    table = [
        ("ref", 1, [2.0], [0.0]),
        ("tied", 1, [2.0, 2.5], [0.0]),
        ("tied", 2, [0.0, 1.0], [1.0]),
        ("ref", 3, [0.0], [1.0]),
    ]
    rows, by = rows_of(table)
    result = on("rewardbench2", write(tmp_path / "t.jsonl", rows), by_text(by))
    # tied accuracy 1/2, ref 1/2, the one pair: m = 2 > d = .5 in both, tanh(2 / .5 - 1) = tanh 3
    expected = 0.3 * 0.5 + 0.3 * 0.5 + 0.2 + 0.2 + 0.01 * math.tanh(3)
    assert values(result)["subset/Ties"] == pytest.approx(expected)
    assert any("2 prompts of Ties have only one of ref and tied" in n for n in result.notes)


def whole(tmp_path, rewards_of=None):
    """Two items of four in every plain subset, and one pair of Ties."""
    ties, by = rows_of([("ref", 1, [1.0], [0.0]), ("tied", 1, [1.0, 1.1], [0.0])])
    rows = [
        {
            "id": f"{s}{i}",
            "prompt": f"{s}{i}",
            "chosen": [f"{s}{i}c"],
            "rejected": [f"{s}{i}r{j}" for j in range(3)],
            "subset": s,
        }
        for s in SUBSETS[:-1]
        for i in range(2)
    ]
    return write(tmp_path / "test.jsonl", rows + ties), by


def test_the_score_is_the_mean_of_six(tmp_path):
    path, by = whole(tmp_path)
    # right on the first item of every subset, second: the right one shares the maximum with one wrong one, credit 1/2
    for s in SUBSETS[:-1]:
        by |= {f"{s}0c": 1.0, f"{s}1c": 1.0, f"{s}1r0": 1.0}
    found = values(on("rewardbench2", path, by_text(by)))
    assert found["subset/Factuality"] == 0.75
    assert found["score"] == pytest.approx((5 * 0.75 + 1.01) / 6, abs=1e-9)
    assert found["tied_maxima"] == 0.5


def test_a_constant_reward_reaches_a_quarter(tmp_path):
    path, _ = whole(tmp_path)
    found = values(on("rewardbench2", path, by_text({})))
    assert found["subset/Math"] == 0.25
    assert found["subset/Ties"] == 0.0  # d = 0 and m = 0: not above, and 0 / 0 counts 0
    # five subsets at 1/4 exactly; the Ties score feels distances, so that chance is drawn, with its interval
    chance = on("rewardbench2", path, by_text({})).metrics["baseline/random/score"]
    assert chance.low < chance.value < chance.high
    assert 5 * 0.25 / 6 < chance.value < (5 * 0.25 + 1.01) / 6
    assert "draws of random rewards" in chance.method
    # one prompt of Ties: many resamples lack it, so that neither the score nor what it is above chance has an interval
    told = on("rewardbench2", path, by_text({})).metrics
    assert math.isnan(told["score"].low)
    assert math.isnan(told["advantage/random/score"].low)
    assert told["score"].method == "no interval: resamples lack a part of it"


def test_rows_of_an_unknown_subset_are_told(tmp_path):
    path, by = whole(tmp_path)
    by |= {f"{s}{i}c": 1.0 for s in SUBSETS for i in range(2)}
    before = values(on("rewardbench2", path, by_text(by), baselines=False))["score"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    odd = [{"id": str(n), "prompt": f"odd {n}", "chosen": ["odd c"], "rejected": ["w0", "w1", "w2"], "subset": "Math "}
           for n in range(20)]  # fmt: skip
    by |= {"w0": 1.0}
    result = on("rewardbench2", write(tmp_path / "odd.jsonl", lines + odd), by_text(by), baselines=False)
    assert values(result)["score"] == before
    assert values(result)["subset/Math "] == 0.0
    assert "no published section has the subsets 'Math '; they count in no section" in result.notes


def test_monotone_transforms_keep_accuracies_and_change_ties(tmp_path):
    path, by = whole(tmp_path)
    rng = np.random.default_rng(0)
    for s in SUBSETS[:-1]:
        by |= {f"{s}{i}{x}": rng.normal() for i in range(2) for x in ("c", "r0", "r1", "r2")}
    by["tied1r1"] = 3.0
    plain, squeezed = (values(on("rewardbench2", path, Scores(lambda s, f=f: f(by[s.text])))) for f in (float, np.tanh))
    assert all(plain[f"subset/{s}"] == squeezed[f"subset/{s}"] for s in SUBSETS[:-1])
    assert plain["subset/Ties"] != squeezed["subset/Ties"]


def test_a_comparison_has_no_ties_score_and_no_published_score(tmp_path):
    path, _ = whole(tmp_path)
    result = on(
        "rewardbench2",
        path,
        Prefers(lambda a, b: 0.9 if a.text.endswith("c") else 0.1 if b.text.endswith("c") else 0.5),
    )
    found = values(result)
    assert found["subset/Focus"] == 1.0
    assert math.isnan(found["subset/Ties"])
    assert math.isnan(found["score"])
    assert found["present_score"] == 1.0
    assert found["baseline/random/present_score"] == 0.25


def test_an_item_with_an_unknown_candidate_leaves(tmp_path):
    path, by = whole(tmp_path)
    by |= {f"{s}{i}c": 1.0 for s in SUBSETS for i in range(2)}
    result = on(
        "rewardbench2", path, Scores(lambda s: None if s.text in ("Math0r1", "ref1w0") else by.get(s.text, 0.0))
    )
    assert values(result)["subset/Math"] == 1.0
    assert result.metrics["subset/Math"].n == 1
    # without its ref version the tied one has accuracy, and the mean over no ref is not defined
    assert math.isnan(values(result)["subset/Ties"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "7", "prompt": "q", "chosen": ["a"], "rejected": ["b"], "subset": "Ties"}, "ref:7 or tied:7"),
        ({"id": "7", "prompt": "q", "chosen": ["a", "b"], "rejected": ["c"], "subset": "Math"}, "exactly one"),
        ({"id": "7", "prompt": "q", "chosen": ["a"], "rejected": ["c"]}, "subset: the column is missing"),
    ],
)
def test_errors(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        on("rewardbench2", write(tmp_path / "x.jsonl", [row]), by_text({}))


def test_ids_of_ties_are_unique(tmp_path):
    rows, _ = rows_of([("ref", 1, [1.0], [0.0])] * 2)
    with pytest.raises(InputError, match="two rows of Ties have the id ref:1"):
        on("rewardbench2", write(tmp_path / "x.jsonl", rows), by_text({}))
