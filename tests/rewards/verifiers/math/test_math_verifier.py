"""`verify/math` as a reward: the contract, its options, its twins, published labels, threads and processes."""

import asyncio
import gzip
import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers import derived_twins
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.math import MathVerifier, gold_answers
from plaudit.testing.verifiers import VerifierContract

DATA = Path(__file__).resolve().parents[4] / "../shared/data"


class TestContract(VerifierContract):
    def make_reward(self):
        return MathVerifier(timeout=2.0)


def judge(text, reference, **options):
    return MathVerifier(**options).verdict(case("?", text, reference))


@pytest.mark.parametrize("extract", ["boxed,hashes,phrase,tag,last", "tag", "last", "hashes,boxed"])
def test_honest_answers_are_right(extract):
    reward = MathVerifier(extract=extract)
    assert list(reward(reward.honest()).reward) == [1.0] * len(reward.honest())


TWINS = [*MathVerifier().twins(), *derived_twins(MathVerifier().honest())]


@pytest.mark.parametrize("attack", sorted({t.attack for t in TWINS}))
def test_no_twin_passes(attack):
    twins = [t for t in TWINS if t.attack == attack]
    batch = MathVerifier(timeout=2.0)([t.sample for t in twins])
    passed = [t.sample.text[:60] for t, r in zip(twins, batch.reward, strict=True) if r != 0.0]
    assert passed == []


def test_the_detail_says_what_was_extracted_by_which_rule_and_why():
    found = judge("We add. \\boxed{0.5}", "\\frac12")
    assert dict(found.detail) == {
        "extracted": "0.5", "by": "boxed", "reference": "\\frac12", "reason": "equal", "path": "exact",
    }  # fmt: skip
    wrong = judge("The answer is 19.", "18")
    assert (wrong.outcome, wrong.reward, wrong.detail["reason"]) == (Outcome.SCORED, 0.0, "differs from the reference")
    none = judge("I do not know.", "18")
    assert (none.outcome, none.detail["reason"]) == (Outcome.POLICY_FAULT, "no answer found")


def test_any_of_several_references_is_right():
    assert judge("\\boxed{3}", ["2", 3, "\\text{none}"]).reward == 1.0
    assert judge("\\boxed{4}", ["2", "3"]).reward == 0.0
    # each is right alone, but they are two answers
    assert judge("\\boxed{2} or \\boxed{3}", ["2", "3"]).outcome is Outcome.POLICY_FAULT


def test_a_reference_may_be_a_whole_solution():
    assert gold_answers("She has 16 - 3 = <<16-3=13>>13.\n#### 13") == ("13",)
    assert gold_answers("so \\boxed{\\frac{1}{2}}.") == ("\\frac{1}{2}",)
    assert gold_answers("She sells 9.\nA: 18") == ("18",)
    assert judge("\\boxed{13}", "She has 16 - 3.\n#### 13").reward == 1.0


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (None, "reference is missing"),
        ([], "reference is missing"),
        ("", "reference is '.*', which holds no answer"),
        ({"a": 1}, "reference is dict"),
        (True, "reference is bool"),
        (float("nan"), "reference is nan"),
        (["1", None], "reference is NoneType"),
        ("  ", "reference is '.*', which holds no answer"),
    ],
)
def test_a_reference_that_cannot_be_used_is_an_error_with_the_samples_number(reference, words):
    with pytest.raises(InputError, match=rf"verify/math: sample 1: {words}"):
        MathVerifier()([case("?", "1", "1"), case("?", "1", reference)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extract": "bx"}, "extract names 'bx'"),
        ({"several": "first"}, "several is 'first'"),
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"memory_mb": 10}, "memory_mb is 10"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(InputError, match=f"verify/math: {words}"):
        MathVerifier(**options)


CONTRADICTIONS = ["\\boxed{17} ... \\boxed{18}", "\\boxed{18} ... \\boxed{17}", "The answer is 17. So \\boxed{18}."]


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_contradicting_answers_are_the_candidates_fault(text):
    found = judge(text, "18")
    assert (found.outcome, found.detail["reason"]) == (Outcome.POLICY_FAULT, "contradicts itself")
    assert set(found.detail["answers"]) == {"17", "18"}


def test_where_the_last_of_several_counts_an_honest_correction_passes():
    assert judge("\\boxed{17}. Wait, no: \\boxed{18}", "18", several="last").reward == 1.0
    assert judge("\\boxed{18}. Wait, no: \\boxed{17}", "18", several="last").reward == 0.0


def test_boxes_that_agree_and_boxes_of_a_list_are_no_contradiction():
    assert judge("\\boxed{\\frac12}, that is \\boxed{0.5}", "0.5").reward == 1.0
    assert judge("\\boxed{1} and \\boxed{-2}", "1,-2").reward == 1.0
    assert judge("\\boxed{x=1} and \\boxed{x=-2}", "-2, 1").reward == 1.0
    assert judge("\\boxed{1} and \\boxed{-3}", "1,-2").reward in (None, 0.0)


def test_more_answers_than_are_compared_contradict_each_other():
    text = "".join(f"\\boxed{{{i}}}" for i in range(9))
    assert judge(text, "8").detail["reason"] == "declares 9 different answers"


def test_an_answer_that_is_not_worked_out_fails_where_that_is_asked_for():
    assert judge("\\boxed{17+25}", "42").reward == 1.0
    assert judge("\\boxed{17+25}", "42", evaluated=True).reward == 0.0
    assert judge("\\boxed{42.0}", "42", evaluated=True).reward == 1.0
    assert judge("\\boxed{\\sqrt{8}}", "2\\sqrt{2}", evaluated=True).reward == 1.0


def test_every_option_that_changes_rewards_changes_the_fingerprint():
    base = MathVerifier()
    changed = [
        MathVerifier(extract="boxed"),
        MathVerifier(several="last"),
        MathVerifier(rounded=True),
        MathVerifier(evaluated=True),
        MathVerifier(timeout=1.0),
        MathVerifier(memory_mb=1024),
    ]
    assert len({r.fingerprint for r in [base, *changed]}) == 7
    assert MathVerifier(workers=1).fingerprint == base.fingerprint  # how many children work changes nothing
    assert judge("about 1.41", "1.414").reward == 0.0
    assert judge("\\boxed{1.4142}", "1.41", rounded=True).reward == 1.0
    assert MathVerifier(workers=1)([case("?", "\\boxed{x+1}", "1+x")]).reward[0] == 1.0


def test_an_unreadable_reference_leaves_the_reward_open():
    found = judge("\\boxed{x+1}", "\\frac{x}{")
    assert found.outcome is Outcome.ABSTAINED
    assert judge("\\boxed{5}", ["\\frac{x}{", "5"]).reward == 1.0


def test_conversations_are_judged_by_the_assistants_words():
    turns = (
        Message("assistant", "\\boxed{17}?"),
        Message("user", "Sure? \\boxed{18}"),
        Message("assistant", "\\boxed{17}"),
    )
    assert judge(turns, "17").reward == 1.0
    assert judge(turns, "18").reward == 0.0


def _mixed():
    samples = list(MathVerifier().honest())
    wrong = [Sample(s.prompt, "\\boxed{\\sqrt{977} + x}", s.reference) for s in samples]
    return samples + wrong


def _rewards(_=None):
    batch = MathVerifier()(_mixed())
    return [*map(float, batch.reward)], [*map(int, batch.outcome)]


def test_the_same_verdicts_from_a_thread_an_event_loop_a_forked_worker_and_four_processes():
    expected = _rewards()
    assert expected[0] == [1.0] * 13 + [0.0] * 13
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(_rewards, range(8))) == [expected] * 8

    async def inside():
        return _rewards(), await asyncio.to_thread(_rewards)

    assert asyncio.run(inside()) == (expected, expected)
    with multiprocessing.get_context("forkserver").Pool(4) as processes:
        assert processes.map(_rewards, range(4), chunksize=1) == [expected] * 4


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_same_verdicts_from_a_fork_of_a_process_with_warm_children():
    expected = json.dumps(_rewards())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # no test code may run past this block
        try:
            from plaudit.rewards.verifiers.math import equivalence

            equivalence.forget()  # so that it must ask children of its own
            os.write(writer, json.dumps(_rewards()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    assert found == expected


def _rows(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_published_labels_of_1600_gsm8k_solutions():
    rows = _rows("gsm8k/model_solutions_first_400.jsonl.gz")
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    samples = [Sample(r["question"], r[m]["solution"], r["ground_truth"]) for r in rows for m in models]
    labels = [r[m]["is_correct"] for r in rows for m in models]
    found = MathVerifier()(samples).reward == 1.0
    assert len(labels) == 1600
    assert sum(a == b for a, b in zip(found, labels, strict=True)) >= 0.995 * len(labels)


def test_gsm8k_references_against_themselves_and_against_the_next():
    rows = _rows("gsm8k/train_2000.jsonl.gz")
    own = [Sample(r["question"], r["answer"], r["answer"]) for r in rows]
    assert MathVerifier()(own).reward.all()
    gold = [r["answer"].rpartition("#### ")[2] for r in rows]
    pairs = [(a, b) for a, b in zip(rows, gold[1:], strict=False) if a["answer"].rpartition("#### ")[2] != b]
    assert not MathVerifier()([Sample(a["question"], a["answer"], b) for a, b in pairs]).reward.any()


def test_math500_references_against_their_own_solutions():
    rows = _rows("math500_first_150.jsonl.gz")
    batch = MathVerifier()([Sample(r["problem"], r["solution"], r["answer"]) for r in rows])
    assert batch.reward.sum() == len(rows) == 150


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("42", "答案是42。"),
        ("42", "答えは42です。"),
        ("42", "답은 42입니다."),
        ("42", "Ответ: 42"),
        ("-5", "The answer is –5."),  # an en dash
        ("-5", "So we get −5 in total."),  # a typographic minus within a sentence
        ("1,2", "The solutions are $x=1$ and $x=2$."),
        ("12", "\\boxed{12\\degree}"),
        ("90", "\\boxed{\\frac{180\\degree}{2}}"),
        ("42", "The answer is 42</s>"),
        ("42", "= 42"),
        ("42", "I think the answer is 42, not 41."),
    ],
)
def test_what_models_write_around_a_right_answer(reference, text):
    assert judge(text, reference).reward == 1.0


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("41", "I think the answer is 42, not 41."),
        ("5", "So we get −5 in total."),
        ("3", "答案是3万。"),  # thirty thousand
        ("19", "17 или 18 или 19"),
        ("18", "17 oder 18"),
        ("18", "<think>So the answer is 18"),  # a thought that was cut off declares nothing
    ],
)
def test_what_only_looks_right_around_it(reference, text):
    assert judge(text, reference).reward != 1.0


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 18. The answer is 17.",
        "Answer: 18 Answer: 17 Answer: 19",
        "The answer is 18, the answer is 17",
        "The answer is 18. Or the answer is 17. Or the answer is 16.",
    ],
)
def test_declarations_on_one_line_contradict_each_other(text):
    verdict = judge(text, "18")
    assert verdict.outcome is Outcome.POLICY_FAULT
    assert verdict.detail["reason"] == "contradicts itself"
