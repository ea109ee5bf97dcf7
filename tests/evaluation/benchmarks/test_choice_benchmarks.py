"""RewardMATH, JudgeBench, LLMBar, M-RewardBench, RAG-RewardBench and the user's own file."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from plaudit.cli.main import main
from plaudit.errors import InputError
from plaudit.evaluation.benchmarks import benchmark, evaluate_benchmark, read_items
from plaudit.evaluation.benchmarks.choices.multilingual import cohen_kappa
from plaudit.evaluation.benchmarks.choices.rewardbench import SECTIONS
from plaudit.evaluation.benchmarks.credits import all_won, pair_credit
from plaudit.evaluation.benchmarks.process.aggregates import AGGREGATES, aggregate_steps
from plaudit.rewards.registry import load
from small_benchmarks import Prefers, Scores, by_text, on, values, write


def problem(key, wrong=9, steps=1):
    """A right solution and wrong ones, a row each."""
    made = [("chosen", f"p{key} right")] + [("rejected", f"p{key} wrong {i}") for i in range(wrong)]
    return [
        {"problem_id": key, "problem": f"p{key}", "eval_solution": [text] * steps, "solution_type": kind, "id": n}
        for n, (kind, text) in enumerate(made)
    ]


def test_rewardmath_by_hand(tmp_path):
    path = write(tmp_path / "RewardMATH_direct.jsonl", problem(0) + problem(1) + problem(2))
    # 0: above all; 1: tied with one wrong one; 2: below two and tied with a third
    table = {"p0 right": 1.0, "p1 right": 1.0, "p1 wrong 0": 1.0, "p2 right": 1.0}
    table |= {"p2 wrong 0": 2.0, "p2 wrong 1": 2.0, "p2 wrong 2": 1.0}
    found = values(on("rewardmath", path, by_text(table)))
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["accuracy_ties_allowed"] == pytest.approx(2 / 3)
    # ranks with ties against: 1, 2 (the tie ranks before it), 4
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)


def test_rewardmath_chance_and_comparisons(tmp_path):
    path = write(tmp_path / "x.jsonl", [row for key in range(60) for row in problem(key)])
    result = on("rewardmath", path, Prefers(lambda a, b: 0.9 if "right" in a.text else 0.1))
    assert values(result)["accuracy"] == 1.0
    assert values(result)["baseline/random/accuracy"] == 0.1
    harmonic = sum(1 / k for k in range(1, 11)) / 10  # the mean of 1 / rank over ten equally likely ranks
    assert values(result)["baseline/random/mrr"] == pytest.approx(harmonic, abs=1e-9)


def test_saturated_steps_tie_and_undefined_ones_win_nothing(tmp_path):
    path = write(tmp_path / "x.jsonl", problem(0, wrong=1, steps=2))
    # odds of (1, .9) and (1, .2) are infinite in the mean: inf > inf is false, a loss as in the published code
    both = Scores(lambda s: 0.0, steps=lambda s: (1.0, 0.9) if "right" in s.text else (1.0, 0.2))
    found = on("rewardmath", path, both).metrics
    assert (found["accuracy/mean_odd"].value, found["accuracy/mean_odd"].n) == (0.0, 1)
    assert found["accuracy/mean_logit"].value == 0.0  # both 1 after the sigmoid
    assert found["accuracy/prod"].value == 1.0
    one = Scores(lambda s: 0.0, steps=lambda s: (1.0, 0.1) if "right" in s.text else (0.9, 0.9))
    assert values(on("rewardmath", path, one))["accuracy/mean_odd"] == 1.0
    # logits of 0 and 1 have no mean: not above .5
    none = Scores(lambda s: 0.0, steps=lambda s: (1.0, 0.0) if "right" in s.text else (0.5, 0.5))
    assert values(on("rewardmath", path, none))["accuracy/mean_logit"] == 0.0
    # steps that are no probabilities have no odds: nothing is said
    outside = Scores(lambda s: 0.0, steps=lambda s: (3.0, 2.0) if "right" in s.text else (0.5, 0.5))
    assert math.isnan(values(on("rewardmath", path, outside))["accuracy/mean_odd"])


def test_rewardmath_by_steps(tmp_path):
    path = write(tmp_path / "x.jsonl", problem(0, wrong=1, steps=2))
    # right (.9, .6), wrong (.7, .65): the minimum is lower, the mean higher
    judge = Scores(lambda s: 0.0, steps=lambda s: (0.9, 0.6) if "right" in s.text else (0.7, 0.65))
    found = values(on("rewardmath", path, judge))
    assert found["accuracy/min"] == 0.0
    assert found["accuracy/mean"] == 1.0
    assert found["accuracy/last"] == 0.0
    assert found["accuracy"] == 0.0  # the reward itself ties


def stored(tmp_path, rows):
    items = read_items(benchmark("rewardmath"), [write(tmp_path / "reward.jsonl", rows)]).items
    return evaluate_benchmark(benchmark("rewardmath"), items, None, resamples=50)


def test_rewardmath_scores_its_result_files(tmp_path):
    sources = ["human_to_GPT-4", "modified_with_GPT-4", "google/gemma-7b-it"]
    # the right one above both; tied with the best wrong one; below both
    scores = [[0.9, 0.1, 0.2], [0.5, 0.5, 0.2], [0.1, 0.5, 0.4]]
    rows = [{"problem": f"p{n}", "solution_reference": sources, "score": s} for n, s in enumerate(scores)]
    result = stored(tmp_path, rows)
    found = values(result)
    assert found["stored/accuracy"] == pytest.approx(1 / 3)
    assert found["stored/accuracy_ties_allowed"] == pytest.approx(2 / 3)
    assert found["stored/mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert found["baseline/random/stored/accuracy"] == pytest.approx(1 / 3)  # one of three
    assert not any("longer" in name for name in found)  # no text, so no rule that measures it
    assert result.n_clusters == 3
    # steps: minima .6 and .1 against .5, .2; products .54, .09 against .5 and .2, .18
    steps = [[[0.9, 0.6], [0.5, 1.0], [0.2, 0.9]], [[0.9, 0.1], [0.5, 1.0], [0.2, 0.9]]]
    by = values(stored(tmp_path, [row | {"score": s} for row, s in zip(rows, steps, strict=False)]))
    assert by["stored/accuracy/min"] == 0.5
    assert by["stored/accuracy/prod"] == 0.5
    assert math.isnan(by["stored/accuracy"])
    with pytest.raises(InputError, match="6 answers have no prompt"):
        on("rewardmath", write(tmp_path / "x.jsonl", rows[:2]), by_text({}))


def test_rewardmath_letters_of_a_judge_that_compares(tmp_path):
    wrong = ["modified_with_GPT-4", "google/gemma-7b-it"]
    rows = [{"problem": f"p{n}", "solution_reference": wrong, "score": s, "chosen_position": ["A", "B"]}
            for n, s in enumerate((["A", "B"], ["A", "A"], ["B", "A"]))]  # fmt: skip
    found = values(stored(tmp_path, rows))
    # both won; one lost: rank 2; both lost: rank 3
    assert found["stored/accuracy"] == pytest.approx(1 / 3)
    assert found["stored/mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    write(tmp_path / "r" / "one.jsonl", rows)
    write(tmp_path / "r" / "two.jsonl", rows)
    items = read_items(benchmark("rewardmath"), [tmp_path / "r"]).items
    with pytest.raises(InputError, match="2 result files are of as many judges"):
        evaluate_benchmark(benchmark("rewardmath"), items, None)
    for row, words in (
        ({"score": ["A"]}, "1 of them for 2 solutions"),
        ({"chosen_position": ["A"]}, "give one for each wrong solution"),
        ({"chosen_position": None}, "one of several must be human_to_GPT-4"),
        ({"chosen_position": None, "solution_reference": ["human_to_GPT-4", "x"]}, "give numbers, lists"),
    ):
        with pytest.raises(InputError, match=words):
            stored(tmp_path, [rows[0] | row])


def test_aggregates_by_hand():
    p = (0.9, 0.6)
    # sqrt(.54); sigmoid((log 9 + log 1.5) / 2) = sigmoid(1.30135); (9 + 1.5) / 2
    expected = {"min": 0.6, "max": 0.9, "prod": 0.54, "geometric_mean": 0.734847, "mean": 0.75, "mean_logit": 0.786061}
    expected |= {"mean_odd": 5.25, "last": 0.6}
    assert set(expected) == set(AGGREGATES)
    for how, value in expected.items():
        assert aggregate_steps(p, how) == pytest.approx(value, abs=1e-6)
    assert math.isnan(aggregate_steps([2.0, 0.5], "prod"))
    with pytest.raises(InputError, match="did you mean"):
        aggregate_steps(p, "geometricmean")
    with pytest.raises(InputError, match="there is no step"):
        aggregate_steps([], "min")


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8))
def test_product_minimum_last_are_ordered(p):
    product, least, last = (aggregate_steps(p, how) for how in ("prod", "min", "last"))
    assert product <= least * (1 + 1e-12)
    assert least <= last


def test_rewardmath_refuses_a_problem_without_one_right_solution(tmp_path):
    rows = problem(0)[1:]
    with pytest.raises(InputError, match="problem 0 has 0 chosen and 9 rejected"):
        on("rewardmath", write(tmp_path / "x.jsonl", rows), by_text({}))
    result = on("rewardmath", write(tmp_path / "y.jsonl", problem(0, wrong=3)), by_text({"p0 right": 1.0}))
    assert any("1 of 1 problems have another number than 9" in n for n in result.notes)


JUDGE = [
    {"pair_id": f"{n}", "source": source, "question": f"q{n}", "response_A": a, "response_B": b, "label": label}
    for n, (source, a, b, label) in enumerate(
        [
            ("mmlu-pro-law", "right", "wrong", "A>B"),
            ("livebench-reasoning", "wrong", "right", "B>A"),
            ("livebench-math", "right", "wrong", "A>B"),
            ("livecodebench", "wrong", "right", "B>A"),
        ]
    )
]


def test_judgebench_calls_a_position_inconsistent_and_so_not_correct(tmp_path):
    path = write(tmp_path / "gpt.jsonl", JUDGE)
    first = values(on("judgebench", path, Prefers(lambda a, b: 0.9)))
    assert first["accuracy"] == 0.0
    assert first["consistent"] == 0.0
    assert first["accuracy/right first"] == 1.0
    assert first["accuracy/right second"] == 0.0
    good = values(on("judgebench", path, Prefers(lambda a, b: 0.9 if a.text == "right" else 0.1)))
    assert (good["accuracy"], good["consistent"]) == (1.0, 1.0)
    # right in one order and tied in the other counts: 1 + 0 > 0
    lenient = values(on("judgebench", path, Prefers(lambda a, b: 0.9 if a.text == "right" else 0.5)))
    assert lenient["accuracy"] == 1.0
    # tied twice does not
    assert values(on("judgebench", path, Prefers(lambda a, b: 0.5)))["accuracy"] == 0.0


def test_judgebench_rewards_and_abstentions(tmp_path):
    path = write(tmp_path / "gpt.jsonl", JUDGE)
    found = values(on("judgebench", path, by_text({"right": 1.0})))
    assert found["accuracy"] == 1.0
    assert found["subset/coding"] == 1.0
    assert found["baseline/first listed/accuracy"] == 0.5  # right is listed first in two of four
    assert found["baseline/random/accuracy"] == 0.5
    assert values(on("judgebench", path, by_text({})))["accuracy"] == 0.0  # a tie is not correct
    shy = on("judgebench", path, Prefers(lambda a, b: None if a.prompt[0].text == "q0" and a.text == "right" else 0.9))
    assert shy.metrics["accuracy"].n == 3
    assert shy.outcomes["abstained"] == 1
    some = on("judgebench", write(tmp_path / "one.jsonl", JUDGE[:1]), by_text({"right": 1.0}))
    assert "accuracy" not in some.metrics
    assert values(some)["present_accuracy"] == 1.0
    assert "missing categories: reasoning, math, coding" in some.notes[0]


def test_judgebench_labels(tmp_path):
    with pytest.raises(InputError, match="give A>B or B>A"):
        on("judgebench", write(tmp_path / "x.jsonl", [JUDGE[0] | {"label": "A"}]), by_text({}))


def judged(*decisions):
    return [None if d is None else {"judgment": {"judge_model": "j"}, "decision": d} for d in decisions]


def test_judgebench_scores_the_judgements_of_its_result_files(tmp_path, capsys):
    # B>A in the second order means that what stands first there, B, is worse: right for A>B
    said = [judged("A>B", "B>A"), judged("B>A", "B>A"), judged("A>B", None), [None, {"decision": None}]]
    # rows: A right in both orders; B right: +1 and, B shown first and called worse, -1; A right and null; two nulls
    path = write(tmp_path / "gpt.jsonl", [row | {"judgments": s} for row, s in zip(JUDGE, said, strict=True)])
    out = tmp_path / "out.json"
    assert main(["evaluate", "--benchmark", "judgebench", "--data", str(path), "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "stored judgements on judgebench: 4 items" in shown
    assert "3 of 8 ordered pairs have no judgement (3 abstained)" in shown
    found = json.loads(out.read_text())
    # ours: the two pairs without a judgement leave: 1 of 2; its code: the third is decided by one order, the fourth is
    # not correct, and all four count: 2 of 4
    assert (found["stored/accuracy"]["value"], found["stored/accuracy"]["n"]) == (0.5, 2)
    assert (found["stored/published/accuracy"]["value"], found["stored/published/accuracy"]["n"]) == (0.5, 4)
    assert found["stored/consistent"]["value"] == 0.5
    # A is shown first, and right, in rows 1 and 3; B in the second order of row 2, where it loses
    assert (found["stored/accuracy/right first"]["value"], found["stored/accuracy/right first"]["n"]) == (2 / 3, 3)
    wins = write(tmp_path / "w.jsonl", [row | {"judgments": judged(row["label"], None)} for row in JUDGE])
    three = evaluate_benchmark(benchmark("judgebench"), read_items(benchmark("judgebench"), [wins]).items, None)
    assert math.isnan(values(three)["stored/accuracy"])
    assert values(three)["stored/published/accuracy"] == 1.0


def test_judgebench_judgements_in_one_order(tmp_path):
    once = [row | {"judgments": judged(d)} for row, d in zip(JUDGE, ("A>B", "A>B", "A=B", None), strict=True)]
    path = write(tmp_path / "rm.jsonl", once)
    found = on("judgebench", path, by_text({"right": 1.0})).metrics
    assert found["accuracy"].value == 1.0
    # right, wrong, neither (not correct), null (leaves; in its code not correct)
    assert (found["stored/accuracy"].value, found["stored/accuracy"].n) == (1 / 3, 3)
    assert (found["stored/published/accuracy"].value, found["stored/published/accuracy"].n) == (0.25, 4)
    mixed = write(tmp_path / "m.jsonl", [once[0], JUDGE[1] | {"judgments": judged("A>B", "A>B")}])
    with pytest.raises(InputError, match="in one order and others in both"):
        on("judgebench", mixed, by_text({}))
    with pytest.raises(InputError, match="give an object with a decision, or null"):
        on("judgebench", write(tmp_path / "b.jsonl", [JUDGE[0] | {"judgments": ["A>B"]}]), by_text({}))
    with pytest.raises(InputError, match="judgebench: the files hold no judgement; give --reward"):
        evaluate_benchmark(
            benchmark("judgebench"),
            read_items(benchmark("judgebench"), [write(tmp_path / "n.jsonl", JUDGE)]).items,
            None,
        )


def test_judgebench_published_ties_and_missing_judgements(tmp_path):
    path = write(tmp_path / "gpt.jsonl", JUDGE)
    # every reward ties, and reads B, which is right in two of four
    tied = values(on("judgebench", path, by_text({})))
    assert (tied["accuracy"], tied["published/accuracy"]) == (0.0, 0.5)
    # q0 abstains where the right one is first, and is right in the other order; q1 in both
    shy = Prefers(
        lambda a, b: (
            None
            if a.prompt[0].text == "q1" or (a.prompt[0].text == "q0" and a.text == "right")
            else float(a.text == "right")
        )
    )
    found = on("judgebench", path, shy).metrics
    assert (found["accuracy"].value, found["accuracy"].n) == (1.0, 2)
    assert (found["published/accuracy"].value, found["published/accuracy"].n) == (0.75, 4)


def llmbar(tmp_path, sets):
    for name in sets:
        rows = [{"input": f"{name} {i}", "output_1": "right", "output_2": "wrong", "label": 1} for i in range(2)]
        target = tmp_path / "LLMBar" / ("Natural" if name == "Natural" else f"Adversarial/{name}") / "dataset.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(rows))
    return tmp_path / "LLMBar"


def test_llmbar_averages_orders_and_sets(tmp_path):
    folder = llmbar(tmp_path, ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual"))
    position = values(on("llmbar", folder, Prefers(lambda a, b: 0.9), baselines=False))
    assert position["subset/Natural"] == 0.5  # right in one of two orders
    assert position["agreement"] == 0.0
    # right on Natural and Neighbor: adversarial 1/4, the mean of both (1 + 1/4) / 2
    judge = Scores(lambda s: float((s.text == "right") == (s.prompt[0].text.split()[0] in ("Natural", "Neighbor"))))
    found = values(on("llmbar", folder, judge, baselines=False))
    assert found["section/natural"] == 1.0
    assert found["section/adversarial"] == 0.25
    assert found["mean_of_natural_and_adversarial"] == 0.625
    assert (
        values(on("llmbar", folder, by_text({}), baselines=False))["accuracy_of_pairs"] == 0.5
    )  # a tie of ratings is one half
    part = on("llmbar", llmbar(tmp_path / "less", ("Natural", "Manual")), judge, baselines=False)
    assert math.isnan(values(part)["section/adversarial"])
    assert "missing subsets: Neighbor, GPTInst, GPTOut" in part.notes[0]


def test_llmbar_counts_its_case_studies_in_no_number(tmp_path):
    folder = llmbar(tmp_path, ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual"))
    other = folder.parent / "CaseStudy" / "Base-10" / "dataset.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps([{"input": "q", "output_1": "wrong", "output_2": "right", "label": 1}] * 10))
    # every pair of the five sets is right, all ten case studies are wrong
    found = on("llmbar", tmp_path, Prefers(lambda a, b: float(a.text == "right")), baselines=False).metrics
    assert (found["accuracy_of_pairs"].value, found["accuracy_of_pairs"].n) == (1.0, 10)
    assert found["agreement"].n == 10
    assert found["subset/Base-10"].value == 0.0


def test_llmbar_reads_no_results_beside_the_data(tmp_path):
    folder = llmbar(tmp_path, ("Natural",))
    data = folder / "Natural" / "dataset.json"
    result = folder / "Natural" / "evaluators" / "GPT-4" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text(data.read_text())
    assert on("llmbar", folder, by_text({}), baselines=False).n_items == 2


def languages(tmp_path):
    """Every subset of RewardBench with two items, in three languages, a folder each."""
    subsets = [s for part in SECTIONS.values() for s in part]
    for language in ("eng_Latn", "deu_Latn", "jpn_Jpan"):
        rows = [
            {"id": i, "prompt": f"{language} {s} {i}", "chosen": "right", "rejected": "wrong", "source": s}
            for s in subsets
            for i in range(2)
        ]
        write(tmp_path / "data" / language / "test.jsonl", rows)
    return tmp_path / "data"


def test_m_rewardbench_by_language(tmp_path):
    def judge(sample):  # English: item 0 right; German: the same; Japanese: item 1 right instead
        language, _, item = sample.prompt[0].text.split()
        ok = item == ("1" if language == "jpn_Jpan" else "0")
        return float((sample.text == "right") == ok)

    result = on("m-rewardbench", languages(tmp_path), Scores(judge), baselines=False)
    found = values(result)
    assert found["eng_Latn/score"] == 0.5
    assert found["mean_over_languages"] == pytest.approx(0.5)
    assert found["gap_to_english/deu_Latn"] == 0.0
    assert found["kappa_with_english/deu_Latn"] == pytest.approx(1.0)
    # opposite decisions on every item: observed 0, chance 1/2: (0 - 1/2) / (1 - 1/2)
    assert found["kappa_with_english/jpn_Jpan"] == pytest.approx(-1.0)
    assert result.n_clusters == 46  # translations of an item stand together


def test_m_rewardbench_without_english_or_a_subset(tmp_path):
    folder = languages(tmp_path)
    (folder / "eng_Latn" / "test.jsonl").unlink()
    result = on("m-rewardbench", folder, by_text({"right": 1.0}), baselines=False)
    assert math.isnan(values(result)["gap_to_english"])
    lines = (folder / "deu_Latn" / "test.jsonl").read_text().splitlines()
    rows = [r for r in map(json.loads, lines) if r["source"] != "math-prm"]
    write(folder / "deu_Latn" / "test.jsonl", rows)
    lacking = on("m-rewardbench", folder, by_text({"right": 1.0}), baselines=False)
    assert math.isnan(values(lacking)["deu_Latn/score"])
    assert values(lacking)["jpn_Jpan/score"] == 1.0
    assert lacking.metrics["mean_over_languages"].method == "incomplete: deu_Latn"


def test_m_rewardbench_by_covariate(tmp_path):
    def rows(language, right, **more):
        return [
            {"id": i, "prompt": f"{language} {i} {more.get('translator', '')}", "chosen": "yes" if ok else "no",
             "rejected": "no" if ok else "yes", "source": "hep-cpp", "language": language, **more, **extra}
            for i, (ok, extra) in enumerate(right)
        ]  # fmt: skip

    none: dict = {}
    made = rows("eng_Latn", [(1, none)] * 4, resource="high")
    made += rows("deu_Latn", [(1, none)] * 3 + [(0, none)], resource="high", translator="x")
    made += rows("jpn_Jpan", [(1, none), (0, none), (0, none), (0, none)], resource="low", translator="y")
    found = values(on("m-rewardbench", write(tmp_path / "m.jsonl", made), by_text({"yes": 1.0}), baselines=False))
    # languages of a kind weigh alike: high is (1 + 3/4) / 2
    assert found["resource/high"] == pytest.approx(0.875)
    assert found["resource/low"] == 0.25
    assert found["script/Latn"] == pytest.approx(0.875)
    assert found["script/Jpan"] == 0.25
    assert not any(name.startswith(("family", "translation_quality")) for name in found)
    # the same two items by two translators: x right on both, y on the second
    twice = rows("deu_Latn", [(1, none)] * 2, translator="x") + rows("deu_Latn", [(0, none), (1, none)], translator="y")
    gap = values(on("m-rewardbench", write(tmp_path / "t.jsonl", twice), by_text({"yes": 1.0}), baselines=False))
    assert gap["translator_gap/x - y"] == 0.5
    graded = [(ok, {"translation_quality": q}) for ok, q in [(0, 1), (0, 2), (1, 3), (0, 4), (1, 5), (1, 6)]]
    path = write(tmp_path / "q.jsonl", rows("deu_Latn", graded))
    by = values(on("m-rewardbench", path, by_text({"yes": 1.0}), baselines=False))
    thirds = [by[f"translation_quality/{t} third"] for t in ("lowest", "middle", "highest")]
    assert thirds == [0.0, 0.5, 1.0]
    # deviations of quality -2.5 .. 2.5, of right -+1/2: (1.25 + .75 - .25 - .25 + .75 + 1.25) / sqrt(17.5 * 1.5)
    assert by["translation_quality/correlation"] == pytest.approx(3.5 / math.sqrt(17.5 * 1.5))
    bad = write(tmp_path / "b.jsonl", rows("deu_Latn", [(1, {"translation_quality": "good"})]))
    with pytest.raises(InputError, match="translation_quality = 'good': is no number"):
        on("m-rewardbench", bad, by_text({}))


def test_m_rewardbench_tells_unknown_subsets(tmp_path):
    folder = languages(tmp_path)
    odd = [{"id": 9, "prompt": "q", "chosen": "right", "rejected": "wrong", "source": s}
           for s in ("math-prm ", "translation-hard")]  # fmt: skip
    write(folder / "deu_Latn" / "more.jsonl", odd)
    notes = on("m-rewardbench", folder, by_text({"right": 1.0}), baselines=False).notes
    assert "no published section has the subsets 'math-prm '; they count in no score" in notes


def test_m_rewardbench_takes_no_item_twice(tmp_path):
    folder = languages(tmp_path)
    data = (folder / "deu_Latn" / "test.jsonl").read_text()
    (folder / "deu_Latn" / "raw.jsonl").write_text(data)  # what the filter left out is not read
    assert on("m-rewardbench", folder, by_text({}), baselines=False).n_items == 3 * 46
    (folder / "deu_Latn" / "filtered.jsonl").write_text(data)
    with pytest.raises(InputError, match="name one file a language"):
        on("m-rewardbench", folder, by_text({}))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_kappa_equals_scikit_learn(rows):
    a, b = ([float(x[i]) for x in rows] for i in (0, 1))
    if len(set(a) | set(b)) == 1:
        assert cohen_kappa(a, b) == 1.0
    else:
        assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)


def test_kappa_degenerate_cases():
    assert cohen_kappa([1, 1, 1], [1, 0, 1]) == 0.0  # a constant side agrees by chance only
    assert cohen_kappa([1, 1], [1, 1]) == 1.0
    assert math.isnan(cohen_kappa([math.nan], [1]))


def test_rag_rewardbench_scenarios_and_passages(tmp_path):
    for name in ("helpful", "reason", "citation", "harmless", "abstain", "conflict"):
        row = {"question": name, "passages": ["one", "two"], "chosen": "right", "rejected": "wrong"}
        write(tmp_path / "Dataset" / f"{name}.jsonl", [row] * (3 if name == "helpful" else 1))
    seen = []

    def judge(sample):
        seen.append(sample.prompt[-1].text)
        return float((sample.text == "right") == sample.prompt[-1].text.endswith("helpful"))

    found = values(on("rag-rewardbench", tmp_path / "Dataset", Scores(judge)))
    assert found["accuracy"] == 3 / 8  # pooled
    assert found["section/helpfulness"] == pytest.approx(1 / 3)
    assert found["mean_of_scenarios"] == pytest.approx(1 / 6)
    assert "[1] one\n\n[2] two\n\nhelpful" in seen


def test_own_file_hands_references_to_verifiers(tmp_path):
    answers = [r"\boxed{2}", r"\boxed{3}"]
    path = write(
        tmp_path / "own.jsonl",
        [
            {"prompt": "1 + 1?", "chosen": answers[0], "rejected": answers[1], "reference": "2"},
            {"prompt": "1 + 2?", "completions": answers, "scores": [0, 1], "reference": "3"},
        ],
    )
    assert values(on("own", path, load("verify/math")))["accuracy_strict"] == 1.0


def test_own_file_pairs_rankings_and_best_of_k(tmp_path):
    rows = [
        {"prompt": "a", "chosen": "good", "rejected": ["bad", "bad2"], "subset": "x"},
        {"prompt": "b", "completions": ["good", "mid", "bad"], "scores": [3, 2, 1], "subset": "y"},
        {"prompt": "c", "completions": ["bad", "good"], "ranks": [2, 1], "subset": "y"},
    ]
    # a: beats bad, ties bad2: 1/2 + 1/4; b: good > bad, mid = bad, good = mid: (1 + 1/2 + 1/2) / 3; c: right
    judge = Scores(lambda s: {"a": {"good": 1.0, "bad": 0.0, "bad2": 1.0}, "b": {"good": 1.0, "mid": 1.0, "bad": 1.0},
                              "c": {"good": 1.0, "bad": 0.0}}[s.prompt[0].text][s.text])  # fmt: skip
    found = values(on("own", write(tmp_path / "mine.jsonl", rows), judge))
    assert found["accuracy"] == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found["accuracy_strict"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found["accuracy_all"] == pytest.approx(1 / 3)  # c alone has every pair won: a ties one, and b all
    assert found["best"] == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    assert found["subset/y"] == pytest.approx(0.75)
    assert found["mean_over_subsets"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "q", "completions": ["a"], "scores": [1]}, "at least two completions of different scores"),
        ({"prompt": "q", "completions": ["a", "b"], "scores": [1, 1]}, "nothing can be chosen"),
        ({"prompt": "q", "completions": ["a", "b"], "scores": [1]}, "1 of them for 2 completions"),
        ({"prompt": "q", "completions": ["a", "b"], "scores": [1, "x"]}, "is not a number"),
        ({"prompt": "q", "completions": ["a", "b"]}, "none of scores, ranks"),
        ({"chosen": "a", "rejected": "b"}, "prompt: the column is missing"),
    ],
)
def test_own_file_errors(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        on("own", write(tmp_path / "x.jsonl", [row]), by_text({}))


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_best_credit_is_equal_under_permutation_of_candidates(order, given_scores):
    from plaudit.evaluation.benchmarks import Item, best_credit, fixed
    from plaudit.records.sample import Sample

    scores = np.array(given_scores, np.float64)
    good = np.array([True, False, False, False])
    samples = tuple(Sample("q", str(i)) for i in range(4))
    plain = best_credit([Item("1", "", samples, tuple(good.tolist()))], fixed([scores]))
    moved = Item("1", "", tuple(samples[i] for i in order), tuple(bool(good[i]) for i in order))
    assert best_credit([moved], fixed([scores[list(order)]]))[0] == plain[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, np.nan]), max_size=4), min_size=1, max_size=6))
def test_every_pair_is_won_no_more_often_than_a_pair(margins):
    """Entry 77: ACC+ <= ACC, of each item and so of their mean; both are unknown for the same items."""
    said = [np.array(m, dtype=np.float64) for m in margins]
    whole, share = all_won(said), pair_credit(said, tie=0.0)
    assert (np.isnan(whole) == np.isnan(share)).all()
    known = ~np.isnan(share)
    assert (whole[known] <= share[known]).all()
    assert (whole[known] == (share[known] == 1)).all()
