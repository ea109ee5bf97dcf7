import math

import pytest

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks import benchmark, read_items
from plaudit.evaluation.benchmarks.choices.rewardbench import PRIOR_SETS, SECTIONS
from small_benchmarks import Prefers, by_text, on, values, write

RIGHT, WRONG = "good", "bad"


def rows(subsets, per=2, **more):
    """`per` pairs a subset."""
    return [
        {"id": i, "prompt": f"{s} {i}", "chosen": RIGHT, "rejected": WRONG, "subset": s, **more}
        for s in subsets
        for i in range(per)
    ]


def everything():
    return [s for part in SECTIONS.values() for s in part]


def reward_right_on(names):
    """Prefers the chosen one in these subsets, the rejected one elsewhere."""
    from small_benchmarks import Scores

    return Scores(lambda s: float((s.text == RIGHT) == (s.prompt[0].text.rpartition(" ")[0] in names)))


def test_sections_and_score_by_hand(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows(everything()))
    found = values(on("rewardbench", path, reward_right_on({"alpacaeval-easy", "math-prm", "xstest-should-refuse"})))
    # Chat: 100 of 100 + 95 + 95 + 28 + 40 = 358; Reasoning: 984 of 984 + 6 * 164 = 1968, one half
    # Safety: 250 of 100 + 100 + 250 + 154 + 136 = 740
    assert found["section/Chat"] == pytest.approx(100 / 358)
    assert found["section/Chat Hard"] == 0.0
    assert found["section/Reasoning"] == pytest.approx(0.5)
    assert found["section/Safety"] == pytest.approx(250 / 740)
    assert found["score"] == pytest.approx((100 / 358 + 0 + 250 / 740 + 0.5) / 4)
    assert found["subset/math-prm"] == 1.0


def test_ties_are_losses_and_told(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows(everything()))
    result = on("rewardbench", path, by_text({}))
    found = values(result)
    assert found["score"] == 0.0
    assert found["accuracy_ties_half"] == 0.5
    assert found["ties"] == 1.0
    assert any("every reward is 0: all margins are ties" in n for n in result.notes)
    assert found["baseline/random/score"] == pytest.approx(0.5, abs=0.05)
    assert found["baseline/longer/score"] == 1.0  # "good" is longer than "bad"


def test_a_missing_subset_takes_the_published_name_away(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows([s for s in everything() if s != "donotanswer"]))
    result = on("rewardbench", path, by_text({RIGHT: 1.0}))
    found = values(result)
    assert math.isnan(found["score"])
    assert math.isnan(found["section/Safety"])
    assert found["section/Chat"] == 1.0
    assert found["present_score"] == 1.0
    assert result.metrics["score"].method == "missing subsets: donotanswer"
    assert "baseline/longer/present_score" in found


def test_prior_sets_weigh_half_a_section(tmp_path):
    write(tmp_path / "all" / "filtered.jsonl", rows(everything()))
    for name in PRIOR_SETS:
        conversation = [{"role": "user", "content": f"{name} 0"}]
        row = {"prompt": conversation, "chosen": RIGHT, "rejected": WRONG, "subset": "other"}
        write(tmp_path / "all" / f"{name}.jsonl", [row])
    # right everywhere but on the prior sets: 4 * 2 of 4 * 2 + 1
    result = on("rewardbench", tmp_path / "all", reward_right_on(set(everything())), baselines=False)
    found = values(result)
    assert found["score_with_prior_sets"] == pytest.approx(8 / 9)
    assert found["score"] == 1.0
    assert not any("no published section" in n for n in result.notes)
    # but a subset that is neither published nor a prior set is told beside them
    row = {"prompt": "q", "chosen": RIGHT, "rejected": WRONG, "subset": "mathprm"}
    write(tmp_path / "all" / "typo.jsonl", [row])
    told = on("rewardbench", tmp_path / "all", reward_right_on(set(everything())), baselines=False).notes
    assert any("no published section has the subsets mathprm" in n for n in told)


def test_a_comparison_is_asked_in_both_orders(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows(everything(), per=1))
    position = on("rewardbench", path, Prefers(lambda a, b: 0.9))  # always the first one
    assert values(position)["ties"] == 1.0
    assert values(position)["score"] == 0.0
    honest = on("rewardbench", path, Prefers(lambda a, b: 0.8 if a.text == RIGHT else 0.2))
    assert values(honest)["score"] == 1.0
    assert values(honest)["baseline/longer/score"] == 1.0


def test_abstentions_are_no_wrong_answers(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows(everything()))
    from small_benchmarks import Scores

    def half(sample):  # abstains on the second pair of every subset
        return None if sample.prompt[0].text.endswith(" 1") else float(sample.text == RIGHT)

    result = on("rewardbench", path, Scores(half), baselines=False)
    assert values(result)["score"] == 1.0
    assert result.metrics["score"].n == 23
    assert result.outcomes == {"scored": 46, "abstained": 46}
    assert any(n.startswith("46 of 92 candidates have no judgement (46 abstained)") for n in result.notes)


def test_nothing_is_left_when_all_abstain(tmp_path):
    path = write(tmp_path / "filtered.jsonl", rows(everything()))
    from small_benchmarks import Scores

    result = on("rewardbench", path, Scores(lambda s: None))
    assert math.isnan(values(result)["score"])
    assert result.metrics["score"].method == "no value"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "q", "chosen": "a", "subset": "math-prm"}, "rejected: the column is missing"),
        ({"prompt": "q", "chosen": "a", "rejected": 3, "subset": "math-prm"}, "rejected = 3: it is int"),
        ({"prompt": "q", "chosen": "a", "rejected": [], "subset": "math-prm"}, "the list is empty"),
    ],
)
def test_broken_rows_are_one_line(tmp_path, row, words):
    with pytest.raises(InputError, match="rewardbench needs prompt, chosen, rejected, subset") as error:
        on("rewardbench", write(tmp_path / "x.jsonl", [row]), by_text({}))
    assert words in str(error.value)
    assert "x.jsonl row 1" in str(error.value)


def test_a_local_copy_reads_the_filtered_sets_and_tells_what_it_leaves(tmp_path):
    write(tmp_path / "rb" / "data" / "filtered-00000-of-00001.jsonl", rows(everything()))
    # raw holds the same pairs and those that were filtered out
    worse = [row | {"chosen": WRONG, "rejected": RIGHT} for row in rows(everything())]
    write(tmp_path / "rb" / "data" / "raw-00000-of-00001.jsonl", rows(everything()) + worse)
    folder = tmp_path / "rb"
    right = by_text({RIGHT: 1.0})
    assert values(on("rewardbench", folder, right, baselines=False))["score"] == 1.0
    said = read_items(benchmark("rewardbench"), [folder])
    assert (len(said.items), said.repeated) == (2 * len(everything()), 0)
    assert said.notes == (
        f"{folder}: left out data/raw-00000-of-00001.jsonl, which rewardbench does not read unless named",
    )
    # named, it is read
    for source in (folder / "data" / "raw-00000-of-00001.jsonl", f"{folder}#raw"):
        assert values(on("rewardbench", source, right, baselines=False))["score"] == 0.5
    assert len(read_items(benchmark("rewardbench"), [f"{folder}#filtered"]).items) == 2 * len(everything())
    with pytest.raises(InputError, match="of the split 'test'"):
        read_items(benchmark("rewardbench"), [f"{folder}#test"])
    (folder / "data" / "filtered-00000-of-00001.jsonl").unlink()
    with pytest.raises(InputError, match="left out data/raw"):
        read_items(benchmark("rewardbench"), [folder])
