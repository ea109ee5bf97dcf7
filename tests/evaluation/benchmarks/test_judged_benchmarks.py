"""VL-RewardBench, UVE, Libra, WildBench and hybrid scores: aggregation of verdicts."""

import base64
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.benchmarks.judged.hybrid import hybrid_scores
from plaudit.evaluation.benchmarks.judged.verdicts import majority_accuracy, majority_vote
from plaudit.evaluation.benchmarks.judged.video import pick_tau, soft_score, uve_score
from plaudit.evaluation.benchmarks.judged.wildbench import wb_reward, wb_score
from plaudit.evaluation.benchmarks.judged.wildbench_tasks import WEIGHTS
from small_benchmarks import Prefers, Scores, by_text, on, values, write

VISION = [
    {"id": "RLAIF-V_1", "query": "<image>\nwhat?", "response": ["right", "wrong"], "human_ranking": [0, 1]},
    {"id": "RLHF-V-2", "query": "what?", "response": ["wrong", "right"], "human_ranking": [1, 0]},
    {"id": "mathverse_3", "query": "what?", "response": ["right", "wrong"], "human_ranking": [0, 1]},
    {"id": "wildvision-battle_4", "query": "what?", "response": ["right", "wrong"], "human_ranking": [0, 1]},
    {"id": "anything-5", "query": "what?", "response": ["right", "wrong"], "human_ranking": [0, 1]},
]


def vision(tmp_path, **more):
    return write(
        tmp_path / "data.jsonl", [row | {"image_path": f"images/{n}.png"} | more for n, row in enumerate(VISION)]
    )


def test_vl_rewardbench_groups_and_parts(tmp_path):
    seen = []

    def judge(sample):
        seen.append(sample.prompt[0])
        return float((sample.text == "right") == (sample.prompt[0].content[0].data["image_url"]["url"] < "images/2"))

    found = values(on("vl-rewardbench", vision(tmp_path), Scores(judge), baselines=False))
    # the first two, both hallucination, are right; reasoning 0 of 1, general 0 of 2
    assert found["overall"] == 2 / 5
    assert found["section/hallucination"] == 1.0
    assert found["macro"] == pytest.approx(1 / 3)
    chance = on("vl-rewardbench", vision(tmp_path), Scores(judge)).metrics
    assert chance["baseline/random/overall"].value == chance["baseline/random/macro"].value == 0.5
    assert chance["baseline/random/overall"].method.startswith("exact")
    # less a constant: the judge's own interval, moved
    assert chance["advantage/random/overall"].low == pytest.approx(chance["overall"].low - 0.5, abs=1e-12)
    assert [part.type for part in seen[0].content] == ["image_url", "text"]
    assert seen[0].text == "what?"


def test_vl_rewardbench_reads_image_bytes_from_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows = [row | {"image": {"bytes": b"\x89PNG\xff", "path": "x.png"}} for row in VISION]
    path = tmp_path / "test-00000.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    urls = set()

    def judge(sample):
        urls.add(sample.prompt[0].content[0].data["image_url"]["url"])
        return float(sample.text == "right")

    assert values(on("vl-rewardbench", path, Scores(judge)))["macro"] == 1.0
    assert urls == {"data:image;base64," + base64.b64encode(b"\x89PNG\xff").decode()}


def test_vl_rewardbench_missing_groups_and_errors(tmp_path):
    some = on("vl-rewardbench", write(tmp_path / "x.jsonl", [VISION[2] | {"image": "a.png"}]), by_text({"right": 1.0}))
    assert math.isnan(values(some)["macro"])
    assert values(some)["present_overall"] == 1.0
    with pytest.raises(InputError, match="neither image bytes nor an image_path"):
        on("vl-rewardbench", write(tmp_path / "y.jsonl", VISION[:1]), by_text({}))
    with pytest.raises(InputError, match="give the ranks 0 and 1"):
        on("vl-rewardbench", vision(tmp_path, human_ranking=[0, 0]), by_text({}))


def test_votes():
    votes = [[1, 1, 0], [0, math.nan, 0], [1, 0, math.nan], [math.nan] * 3]
    assert list(majority_vote(votes))[:3] == [1.0, 0.0, 0.5]
    assert math.isnan(majority_vote(votes)[3])
    assert list(majority_vote([[1], [0]])) == [1.0, 0.0]  # one vote is the verdict
    with pytest.raises(InputError, match="give \\(items, votes\\)"):
        majority_vote([1, 0])


def test_condorcet():
    # three votes at .6: .6^3 + 3 * .36 * .4
    assert majority_accuracy(0.6, 3) == pytest.approx(0.216 + 0.432)
    assert majority_accuracy(0.6, 2) == pytest.approx(0.36 + 0.5 * 0.48)
    up, down = ([majority_accuracy(p, k) for k in (1, 3, 5, 7)] for p in (0.6, 0.4))
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    with pytest.raises(InputError, match="at least one vote"):
        majority_accuracy(0.5, 0)


@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.floats(-50, 50))
def test_soft_scores_do_not_feel_a_constant(logits, shift):
    one, moved = (soft_score([np.array(logits) + c], [0, 1], [2])[0] for c in (0.0, shift))
    assert one == pytest.approx(moved, abs=1e-9)


def test_soft_score_by_hand():
    assert soft_score([[2.0, 2.0, 9.0]], [0], [1])[0] == 0.5
    # P(pos) = (e^0 + e^0), P(neg) = e^0: two thirds
    assert soft_score([[0.0, 0.0, 0.0]], [0, 1], [2])[0] == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="share nothing"):
        soft_score([[0.0, 1.0]], [0], [0])
    with pytest.raises(ShapeError, match="give \\(n, v\\)"):
        soft_score([0.0, 1.0], [0], [1])


@pytest.mark.parametrize(
    ("a", "b", "label", "value"),
    [
        (0.6, 0.5, "A is better", 1.0),
        (0.5, 0.5, "A is better", 0.0),  # strict
        (0.4, 0.5, "B is better", 1.0),
        (0.9, 0.8, "same good", 1.0),
        (0.7, 0.9, "same good", math.exp(-1)),  # exp(-10 * .1)
        (0.1, 0.4, "same bad", 1.0),
        (0.5, 0.6, "same bad", math.exp(-1) * math.exp(-2)),
    ],
)
def test_uve_score_by_hand(a, b, label, value):
    assert uve_score(a, b, label) == pytest.approx(value)


def test_uve_score_errors():
    with pytest.raises(InputError, match="both must lie in"):
        uve_score(1.5, 0.5, "same bad")
    with pytest.raises(InputError, match="is none of A is better"):
        uve_score(0.5, 0.5, "tie")


def test_pick_tau():
    # |d| = .1 is a tie, .5 is not: tau .1 gets all three right
    assert pick_tau([0.5, 0.9, 0.2], [0.4, 0.4, 0.7], [0, 1, -1]) == pytest.approx(0.1)
    assert pick_tau([0.5, 0.9], [0.4, 0.4], [1, 1]) == -1.0  # nothing is a tie
    with pytest.raises(InputError, match="no pair has two scores"):
        pick_tau([math.nan], [1.0], [0])


LABELS = ("A is better", "B is better", "same good", "same bad")


def uve(tmp_path):
    more = {"prompt": None, "aspect": "dynamic_degree", "subaspects": ["dynamic_degree"], "dataset": "movie"}
    rows = {
        f"{n}": {"video_a": f"{n}a.mp4", "video_b": f"{n}b.mp4", "preference": label, **more}
        for n, label in enumerate(LABELS)
    }
    path = tmp_path / "annotations.json"  # an object of rows by key, as published
    path.write_text(json.dumps(rows))
    return path


def video(sample):
    return sample.completion[0].content[0].data["video_url"]["url"].removeprefix("movie/")


def test_uve_single_mode(tmp_path):
    table = {
        "0a.mp4": 0.9,
        "0b.mp4": 0.5,
        "1a.mp4": 0.2,
        "1b.mp4": 0.6,
        "2a.mp4": 0.9,
        "2b.mp4": 0.9,
        "3a.mp4": 0.5,
        "3b.mp4": 0.3,
    }
    found = values(on("uve", uve(tmp_path), Scores(lambda s: table[video(s)], bounds=(0.0, 1.0))))
    assert found["score"] == pytest.approx((1 + 1 + 1 + math.exp(-1)) / 4)
    # the answers: A, B, same good, and for .5 against .3 A (they differ by more than .05)
    assert found["accuracy"] == 0.75
    assert found["baseline/always A/accuracy"] == 0.25
    assert found["baseline/always both good/score"] == pytest.approx((1 + math.exp(-6) ** 2) / 4)
    with pytest.raises(InputError, match="must lie in \\[0, 1\\], and scores reaches"):
        on("uve", tmp_path / "annotations.json", Scores(lambda s: 3.0))


def test_uve_pair_mode_averages_orders(tmp_path):
    def judge(a, b):  # right on the first two, but for a bias to the first place
        good = {"0a.mp4": 1, "1b.mp4": 1}
        return min(1.0, 0.5 + 0.3 * (good.get(video(a), 0) - good.get(video(b), 0)) + 0.1)

    found = values(on("uve", uve(tmp_path), Prefers(judge)))
    assert found["accuracy_without_ties"] == 1.0
    assert found["position_bias"] == pytest.approx(0.2)
    assert "accuracy_with_ties" not in found
    tied = values(on("uve", uve(tmp_path), Prefers(lambda a, b: 0.5, tie=lambda a, b: 0.8)))
    assert tied["accuracy_with_ties"] == 0.5  # both "same" labels
    assert tied["accuracy_without_ties"] == 0.0


def test_libra_constant_verdicts_are_balanced_at_one_half(tmp_path):
    rows = [{"index": n, "question": f"q{n}", "response": "r" * (n + 1), "label": int(n > 0)} for n in range(4)]
    path = write(tmp_path / "libra_bench.jsonl", rows)
    always = values(on("libra", path, Scores(lambda s: 1.0, bounds=(0.0, 1.0))))
    assert (always["accuracy"], always["balanced_accuracy"]) == (0.75, 0.5)
    # verdicts from 2.5 characters on: wrong on the second of the three right ones
    long = values(on("libra", path, Scores(lambda s: float(len(s.text))), threshold=2.5))
    assert long["accuracy"] == 0.75
    assert long["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert long["baseline/always wrong/accuracy"] == 0.25
    with pytest.raises(InputError, match="need a threshold"):
        on("libra", path, by_text({}))
    one = on("libra", write(tmp_path / "one.jsonl", rows[1:]), Scores(lambda s: 1.0, bounds=(0.0, 1.0)))
    assert math.isnan(values(one)["balanced_accuracy"])
    assert one.metrics["balanced_accuracy"].method == "all answers are correct: the other class is missing"


def test_wb_reward_by_hand():
    # (2 much better, 3 slightly, 2 ties, 2 slightly worse, 1 much worse) of 10: 2 + 1.5 - 1 - 1 = 1.5
    verdicts = [1] * 2 + [0.5] * 3 + [0] * 2 + [-0.5] * 2 + [-1]
    even = np.full((10, 2), 100)
    assert wb_reward(verdicts, even).mean() == pytest.approx(0.15)
    assert wb_reward([-v for v in verdicts], even).mean() == pytest.approx(-0.15)
    lengths = [[601, 100], [600, 100], [601, 100], [100, 601], [100, 601]]
    # more than 500 longer: a slight win of the longer one is a tie, much better is never touched
    assert list(wb_reward([0.5, 0.5, 1, -0.5, -1], lengths)) == [0.0, 0.5, 1.0, 0.0, -1.0]
    assert list(wb_reward([0.5, -0.5], lengths[:2], margin=-1)) == [0.5, -0.5]
    assert float(wb_score(7.3)) == pytest.approx(46)
    with pytest.raises(InputError, match="round it first"):
        wb_reward([0.3], [[1, 1]])
    with pytest.raises(ShapeError, match="give \\(n, 2\\)"):
        wb_reward([0.5], [1, 1])


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=20), st.integers(-1, 900))
def test_exchanging_the_models_negates_the_reward(verdicts, margin):
    rng = np.random.default_rng(len(verdicts))
    lengths = rng.integers(0, 2000, (len(verdicts), 2))
    forth = wb_reward(verdicts, lengths, margin=margin)
    back = wb_reward([-v for v in verdicts], lengths[:, ::-1], margin=margin)
    assert np.array_equal(forth, -back)


def wildbench(tmp_path, tags):
    rows = [
        {"session_id": str(n), "prompt": f"q{n}", "ref_model": "base", "primary_tag": tag, "secondary_tags": [],
         "model_outputs": {"base": "b", "mine": "m" * (700 if n == 0 else 2)}, "winner": "mine", "extent": 1 + n % 2}
        for n, tag in enumerate(tags)
    ]  # fmt: skip
    return write(tmp_path / "mine.jsonl", rows)


ALL_TAGS = ["Math", "Coding & Debugging", "Reasoning", "Editing", "Advice seeking"]


def test_wildbench_verdicts_of_a_comparison(tmp_path):
    path = wildbench(tmp_path, ALL_TAGS)
    # 2p - 1 = .5: slightly better on all; the first answer is 699 characters longer and so a tie
    slight = Prefers(lambda a, b: 0.75 if a.text[0] == "m" else 0.25)
    found = values(on("wildbench", path, slight))
    assert found["wb_reward"] == pytest.approx(0.4)
    assert found["wb_reward/no length rule"] == 0.5
    # mathematics is worth 0 there; weights add to 4.75
    assert found["wb_reward/by task"] == pytest.approx(0.5 * (sum(WEIGHTS.values()) - 1.0) / 4.75)
    # stored: extents 1, 2, 1, 2, 1, the first a tie by its length: (0 + 1 + .5 + 1 + .5) / 5
    assert found["stored/wb_reward"] == pytest.approx(0.6)
    assert found["agreement_with_stored"] == 1.0
    # longer slightly better: every answer of mine is longer, but the first too much so
    assert found["baseline/longer slightly better/wb_reward"] == pytest.approx(0.4)
    position = values(on("wildbench", path, Prefers(lambda a, b: 0.9)))
    assert position["wb_reward"] == 0.0


def test_wildbench_rewards_need_log_odds(tmp_path):
    path = wildbench(tmp_path, ALL_TAGS)
    with pytest.raises(InputError, match="are no log-odds"):
        on("wildbench", path, by_text({}))
    # a difference of 4 log-odds: 2 sigmoid(4) - 1 = .964, much better
    sure = Scores(lambda s: 2.0 if s.text[0] == "m" else -2.0, scale=1.0)
    assert values(on("wildbench", path, sure))["wb_reward"] == 1.0


def test_wildbench_takes_the_baseline_from_the_folder_and_never_guesses(tmp_path):
    rows = [json.loads(line) for line in wildbench(tmp_path, ALL_TAGS).read_text().splitlines()]
    for row in rows:
        del row["ref_model"]
    worse = Prefers(lambda a, b: 0.75 if a.text[0] == "m" else 0.25)
    write(tmp_path / "eval" / "ref=mine" / "x.jsonl", rows)
    assert values(on("wildbench", tmp_path / "eval", worse))["wb_reward/no length rule"] == -0.5
    with pytest.raises(InputError, match="give which of base, mine is the baseline"):
        on("wildbench", write(tmp_path / "y.jsonl", rows), worse)


def test_wildbench_leaves_out_empty_answers_and_names_missing_tasks(tmp_path):
    path = wildbench(tmp_path, ["Math", "Math"])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["model_outputs"]["mine"] = "half an answer... (truncated)"
    result = on(
        "wildbench", write(tmp_path / "x.jsonl", rows), Prefers(lambda a, b: 0.75 if a.text[0] == "m" else 0.25)
    )
    assert result.metrics["wb_reward"].n == 1
    assert "1 of 2 rows have an empty or truncated answer" in result.notes[1]
    assert math.isnan(values(result)["wb_reward/by task"])
    with pytest.raises(InputError, match="no published task"):
        on("wildbench", wildbench(tmp_path, ["Cooking"]), by_text({}))


def test_wildbench_scores(tmp_path):
    rows = [{"id": n, "prompt": f"q{n}", "model_output": str(n), "primary_tag": "Math"} for n in range(2)]
    path = write(tmp_path / "score.jsonl", rows)
    judge = Scores(lambda s: 6.0 + 2.6 * int(s.text), bounds=(1.0, 10.0))  # 6 and 8.6, mean 7.3
    assert values(on("wildbench-score", path, judge))["wb_score"] == pytest.approx(46)
    with pytest.raises(InputError, match="scores are 1 to 10"):
        on("wildbench-score", path, by_text({}))


def test_truncated_answers_count_in_the_score_and_not_in_its_mean_by_task(tmp_path):
    # as in the published code: scores 10 (truncated) and 6 have mean 8, shown as (8 - 5) * 20 = 60. By task the
    # truncated one leaves: every other answer has 6, shown as 20
    tags = [*ALL_TAGS, "Math"]
    rows = [{"session_id": str(n), "prompt": f"q{n}", "model_output": "m", "primary_tag": t, "score": "4"}
            for n, t in enumerate(tags)]  # fmt: skip
    rows[-1] |= {"model_output": "m... (truncated)", "score": 9}
    judge = Scores(lambda s: 10.0 if s.text.endswith("(truncated)") else 6.0, bounds=(1.0, 10.0))
    two = on("wildbench-score", write(tmp_path / "two.jsonl", rows[-2:]), judge)
    assert values(two)["wb_score"] == pytest.approx(60)
    assert "they count in wb_score and leave the mean by task" in two.notes[0]
    whole = values(on("wildbench-score", write(tmp_path / "x.jsonl", rows), judge))
    assert whole["wb_score/by task"] == pytest.approx(20)
    # stored: five of 4 and a truncated 9: mean 29/6; by task 4 everywhere, shown as -20
    assert whole["stored/wb_score"] == pytest.approx((29 / 6 - 5) * 20)
    assert whole["stored/wb_score/by task"] == pytest.approx(-20)
    parsed = [r | {"score": None, "parsed_result": {"score": "7"}} for r in rows]
    for row in parsed:
        del row["score"]
    assert values(on("wildbench-score", write(tmp_path / "p.jsonl", parsed), judge))["stored/wb_score"] == 40
    with pytest.raises(InputError, match="score = 'N/A': give the judge's score, 1 to 10"):
        on("wildbench-score", write(tmp_path / "b.jsonl", [rows[0] | {"score": "N/A"}]), judge)


def test_wildbench_takes_tasks_from_the_data_set_by_session(tmp_path):
    rows = [json.loads(line) for line in wildbench(tmp_path, ALL_TAGS).read_text().splitlines()]
    for row in rows:
        del row["primary_tag"], row["secondary_tags"]
    bare = write(tmp_path / "bare.jsonl", rows)
    slight = Prefers(lambda a, b: 0.75 if a.text[0] == "m" else 0.25)
    without = on("wildbench", bare, slight)
    assert without.metrics["wb_reward/by task"].method == "no row has a primary_tag"
    assert any("5 of 5 rows have no primary_tag" in note and "--data" in note for note in without.notes)
    data = [
        {"id": f"x{n}", "session_id": str(n), "conversation_input": "q", "primary_tag": t, "secondary_tags": []}
        for n, t in enumerate(ALL_TAGS)
    ]
    with_tags = on("wildbench", [bare, write(tmp_path / "v2.jsonl", data)], slight)
    assert with_tags.n_items == 5
    # as with the tags in the rows: mathematics is a tie by its length, the rest one half
    assert values(with_tags)["wb_reward/by task"] == pytest.approx(0.5 * (sum(WEIGHTS.values()) - 1.0) / 4.75)
    assert not any("primary_tag" in note for note in with_tags.notes)
    with pytest.raises(InputError, match="rows of the data set, with tasks and no answers"):
        on("wildbench", tmp_path / "v2.jsonl", slight)


def test_three_much_better_are_no_certainty(tmp_path):
    # Wilson's lower end at 3 of 3 on the scale -1 to 1: 6 / (3 + z^2) - 1
    found = on("wildbench", wildbench(tmp_path, ["Math"] * 3), Prefers(lambda a, b: 1.0 if a.text[0] == "m" else 0.0))
    assert found.metrics["wb_reward"].value == 1.0
    assert found.metrics["wb_reward"].low == pytest.approx(6 / (3 + 1.959964**2) - 1, abs=1e-6)


def test_hybrid_scores_by_hand(tmp_path):
    rec, rea, cot = hybrid_scores([1, 0], [[1, 0], []])
    assert (rec[0], rea[0], cot[0]) == (1.0, 0.5, 0.75)
    assert (rea[1], cot[1]) == (0.0, 0.0)
    with pytest.raises(ShapeError, match="2 answers for 1 items"):
        hybrid_scores([1, 0], [[1]])
    rows = [
        {"prompt": "q", "answer": "joy", "reference": "joy", "steps": ["she smiles", "wrong"], "clues": "she smiles"},
        {
            "prompt": "r",
            "answer": "anger",
            "reference": "joy",
            "steps": ["she smiles", "she smiles"],
            "clues": "she smiles",
        },
    ]
    judge = Scores(lambda s: float(s.text == s.reference), bounds=(0.0, 1.0))
    found = values(on("hybrid", write(tmp_path / "emotions.jsonl", rows), judge))
    assert found["answer"] == 0.5
    assert found["reasoning"] == 0.75
    assert found["cot"] == pytest.approx((0.75 + 0.5) / 2)
    assert found["baseline/always right/cot"] == 1.0
