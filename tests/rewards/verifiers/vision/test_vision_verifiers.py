from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.vision import (
    ClassVerifier,
    DetectionVerifier,
    GroundingVerifier,
    InspectionVerifier,
    looking_reward,
    variance_map,
)
from plaudit.rewards.verifiers.vision.answers import UnreadableError, predicted_boxes
from plaudit.rewards.verifiers.vision.detection import confidence_reward
from plaudit.rewards.verifiers.vision.looking import coverage
from plaudit.testing import VerifierContract


class TestDetection(VerifierContract):
    def make_reward(self):
        return DetectionVerifier()


class TestDetectionWithConfidence(VerifierContract):
    def make_reward(self):
        return DetectionVerifier(confidence_weight=1.0, matching="optimal")


class TestGrounding(VerifierContract):
    def make_reward(self):
        return GroundingVerifier()


class TestGroundingByGiou(VerifierContract):
    def make_reward(self):
        return GroundingVerifier(metric="giou")


class TestClass(VerifierContract):
    def make_reward(self):
        return ClassVerifier()


class TestInspection(VerifierContract):
    def make_reward(self):
        return InspectionVerifier()


TWO = [[0, 0, 10, 10], [20, 20, 40, 30]]


def reward(verifier, text, reference, **options):
    return float(verifier([replace(case("q", text, reference), **options)]).reward[0])


def test_one_perfect_prediction_of_two_is_a_half():
    assert reward(DetectionVerifier(), "[[0, 0, 10, 10]]", TWO) == 0.5
    # with confidence 0.8 on the hit: (0.5 + 0.8) / 2
    said = '[{"bbox": [0, 0, 10, 10], "confidence": 0.8}]'
    assert reward(DetectionVerifier(confidence_weight=1.0), said, TWO) == pytest.approx(0.65)


def test_confidence_pays_for_honesty_once_something_is_found():
    # a hit at 0.9 and a miss at 0.2: (0.9 + 0.8) / 2
    assert confidence_reward(np.array([0.9, 0.2]), np.array([0.7, 0.0])) == pytest.approx(0.85)
    assert confidence_reward(np.array([0.0, 0.0]), np.zeros(2)) == 0.0  # ours: certain of nothing earns nothing


def test_the_more_confident_prediction_matches_first():
    said = '[{"bbox": [0, 2, 10, 12], "confidence": 0.1}, {"bbox": [0, 0, 10, 10], "confidence": 0.9}]'
    found = DetectionVerifier()([case("q", said, [[0, 0, 10, 10]])])
    assert found.reward[0] == pytest.approx(0.5)  # IoU 1 for the confident one, over two predictions
    assert found.detail[0]["matched"] == 1


def test_nothing_to_find_and_nothing_said():
    assert reward(DetectionVerifier(), "[]", []) == 1.0
    assert reward(DetectionVerifier(), "[[0, 0, 1, 1]]", []) == 0.0
    assert DetectionVerifier()([case("q", "", [])]).outcome[0] == Outcome.POLICY_FAULT


def test_the_order_of_boxes_does_not_matter_where_confidences_differ():
    a = '[{"bbox": [0, 0, 10, 10], "confidence": 0.5}, {"bbox": [1, 1, 10, 10], "confidence": 0.7}]'
    b = '[{"bbox": [1, 1, 10, 10], "confidence": 0.7}, {"bbox": [0, 0, 10, 10], "confidence": 0.5}]'
    assert reward(DetectionVerifier(), a, TWO) == reward(DetectionVerifier(), b, TWO)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no boxes", "no answer"),
        ("[[1, 2, 3]]", "four finite"),
        ("[[0, 0, true, 1]]", "four finite"),
        ('[{"bbox": [0, 0, 1, 1], "confidence": 3}]', "confidence"),
        ("[" * 40000, "no answer"),
        ("[" * 20000 + "]" * 20000, "neither"),
        ("[" + "1," * 60000 + "]", "over 50000"),
        ("][", "no answer"),
    ],
)
def test_answers_that_cannot_be_read_say_why(text, why):
    with pytest.raises(UnreadableError, match=why):
        predicted_boxes(text)


def test_references_and_options_are_checked():
    with pytest.raises(InputError, match=r"verify/detection: sample 0: reference is None"):
        DetectionVerifier()([case("q", "[]", None)])
    with pytest.raises(InputError, match="threshold is 1"):
        DetectionVerifier(threshold=1)
    with pytest.raises(InputError, match="metric is 'diou'"):
        GroundingVerifier(metric="diou")
    with pytest.raises(InputError, match="reference has width 0"):
        InspectionVerifier()([case("q", "", {"boxes": [], "width": 0, "height": 1})])
    with pytest.raises(InputError, match="must have a letter"):
        ClassVerifier()([case("q", "x", "--")])


def test_grounding_metrics_by_hand():
    text, gold = "[0, 5, 10, 15]", [0, 0, 10, 10]
    assert reward(GroundingVerifier(), text, gold) == pytest.approx(1 / 3)
    # the box around is 10 x 15 = the union: GIoU = IoU
    assert reward(GroundingVerifier(metric="giou"), text, gold) == pytest.approx((1 / 3 + 1) / 2)
    assert reward(GroundingVerifier(metric="hit", threshold=0.3), text, gold) == 1.0
    assert reward(GroundingVerifier(metric="hit"), text, gold) == 0.0
    assert reward(GroundingVerifier(), text, [[50, 50, 60, 60], [0, 5, 10, 15]]) == 1.0  # any of several


def test_a_class_in_a_sentence_needs_the_list_of_classes():
    gold = {"label": "cat", "classes": ["cat", "cat flap", "dog"]}
    assert reward(ClassVerifier(), "I see a cat.", gold) == 1.0
    assert reward(ClassVerifier(), "I see a cat flap.", gold) == 0.0  # the longer name is what is named
    assert reward(ClassVerifier(), "concatenate", gold) == 0.0
    assert reward(ClassVerifier(), "I see a cat.", "cat") == 0.0
    assert reward(ClassVerifier(), "CAT", ["cat", "kitty"]) == 1.0


def test_what_a_naive_two_way_substring_check_accepts_is_refused():
    def naive(answer, gold):
        return answer in gold or gold in answer

    for answer in ("", "c", "cat dog bird"):
        assert naive(answer, "cat")
        assert reward(ClassVerifier(), answer, "cat") == 0.0


def test_coverage_and_variance_by_hand():
    # a 2x2 grid over 4x4: the box covers the upper left cell, and half of the one below it
    covered = coverage(np.array([[0.0, 0, 2, 3]]), grid=2, width=4, height=4)
    assert covered.tolist() == [[1.0, 0.0], [0.5, 0.0]]
    same = [np.array([[0.0, 0, 2, 2]])] * 3
    assert not variance_map(same, grid=2, width=4, height=4).any()
    # one of two rollouts covers the upper left cell: variance 1/4 there
    split = [np.array([[0.0, 0, 2, 2]]), np.zeros((0, 4))]
    assert variance_map(split, grid=2, width=4, height=4).tolist() == [[0.25, 0.0], [0.0, 0.0]]


def test_looking_pays_for_the_disputed_cell_and_not_for_everywhere():
    disputed = np.array([[0.25, 0.0], [0.0, 0.0]])

    def looked(box):
        return looking_reward(np.array([box], dtype=float), disputed, width=4, height=4)

    assert looked([0, 0, 2, 2]) == pytest.approx(0.75)  # 1 there, minus a mean of 1/4
    assert looked([0, 0, 4, 4]) == 0.0
    assert looked([2, 2, 4, 4]) == 0.0
    assert looking_reward(np.zeros((1, 4)), np.zeros((2, 2)), width=4, height=4) == 0.0


def test_inspection_weighs_precision_and_recall_and_uses_the_group():
    reference = {"boxes": TWO, "width": 40, "height": 40}
    wrap = "<reason>r</reason><observe>{}</observe><answer>{}</answer>"
    one = wrap.format("[[20, 20, 40, 30]]", "[[0, 0, 10, 10]]")
    both = wrap.format("[]", str(TWO))
    samples = [replace(case("q", text, reference), group="g") for text in (one, both)]
    plain = InspectionVerifier()(samples)
    assert plain.reward.tolist() == [0.75, 1.0]  # precision 1, recall 1/2
    looking = InspectionVerifier(looking_weight=1.0)(samples)
    # the two rollouts disagree on the second box alone, where the first one looked
    assert looking.aspects["looking"][0] > 0.8
    assert looking.aspects["looking"][1] == 0.0
    assert looking.reward[0] == pytest.approx((looking.aspects["looking"][0] + 1 + 0.5) / 3)


@pytest.mark.parametrize("verifier", [DetectionVerifier(), GroundingVerifier(), ClassVerifier(), InspectionVerifier()])
def test_ten_thousand_random_answers(verifier):
    from plaudit.testing import check_fuzzed

    check_fuzzed(verifier, verifier.honest(), count=10_000, deadline=60)


def test_thinking_and_end_tokens_are_no_part_of_an_answer():
    box = case("Where?", "<think>perhaps [0, 0, 5, 5]</think>[1, 2, 30, 40]<|im_end|>", [1, 2, 30, 40])
    assert GroundingVerifier().verdict(box).reward == 1.0
    known = {"label": "cat", "classes": ["cat", "dog"]}
    named = case("Which?", "<think>It might be a dog.</think>It is a cat.</s>", known)
    assert ClassVerifier().verdict(named).reward == 1.0
    cut = [
        case("Which?", "<think><answer>cat</answer>", known),
        case("Where?", "<think>[1, 2, 30, 40]", [1, 2, 30, 40]),
    ]
    assert ClassVerifier().verdict(cut[0]).outcome is Outcome.POLICY_FAULT
    assert GroundingVerifier().verdict(cut[1]).outcome is Outcome.POLICY_FAULT
