import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.structure import (
    NuggetsVerifier,
    PageVerifier,
    RankedListVerifier,
    RerankVerifier,
    dcg,
    gold_ranks,
    item_rewards,
    labels_reward,
    list_reward,
    ndcg,
    page_reward,
    reciprocal_recall,
    rubric_score,
)
from plaudit.rewards.verifiers.structure.listing import identifiers, ordered_items
from plaudit.rewards.verifiers.structure.page import Log


def reward(verifier, text, reference):
    verdict = verifier.verdict(case("q", text, reference))
    return verdict.reward if verdict.outcome is Outcome.SCORED else None


def test_ranks_of_gold_by_hand():
    # gold at ranks 1, 2 and nowhere: 1, 1/2, 0; what is repeated does not count twice; several golds: the best rank
    assert list_reward(gold_ranks(["a", "b"], [["a"]])) == 1.0
    assert list_reward(gold_ranks(["b", "a"], [["a"]])) == 0.5
    assert list_reward(gold_ranks(["b", "c"], [["a"]])) == 0.0
    assert list_reward(gold_ranks(["b", "b", "b", "a", "a"], [["a"]])) == 0.5
    assert list_reward(gold_ranks(["c", "b", "a"], [["a"], ["b"]])) == 0.5
    assert list_reward(gold_ranks(["c", "b", "a"], [["a"], ["z"]]), "recall") == 0.5
    assert list_reward(gold_ranks(["c", "b", "a"], [["a"], ["z"]]), "in") == 1.0


def test_ranked_lists():
    verifier = RankedListVerifier()
    assert reward(verifier, "<answer>1. Asthma\n2. **Pneumonia**</answer>", "pneumonia") == 0.5
    assert reward(verifier, '["Asthma", "Pneumonia"]', ["flu", "Pneumonia"]) == 0.5
    assert reward(verifier, "Pneumonia", {"pneumonia": ["lung infection"]}) == 1.0
    assert reward(verifier, "\n".join(f"- x{i}" for i in range(11)), "x0") is None
    # one gold, three items, a tenth each for two surplus ones: 0.8 of 1
    assert reward(RankedListVerifier(penalty=0.1), "a\nb\nc", "a") == pytest.approx(0.8)
    with pytest.raises(InputError, match="score is 'map'; give mrr, in or recall"):
        RankedListVerifier(score="map")


def test_lists_are_read_in_their_usual_forms():
    assert ordered_items("Here:\n1. One, or so\n2) Two\nDone.") == ["One, or so", "Two"]
    assert ordered_items("One\n\nTwo") == ["One", "Two"]
    for text in (
        "[2] > [1] > [3]",
        "2 > 1 > 3",
        "2, 1, 3",
        "2\n1\n3",
        "1. 2\n2. 1\n3. 3",
        "[2, 1, 3]",
        '["2", "1", "3"]',
    ):
        assert identifiers(text) == ["2", "1", "3"]


def test_gain_by_hand():
    # one relevant item at rank i: 1 / log2(i + 1)
    for rank in range(1, 6):
        gains = [float(i == rank) for i in range(1, 6)]
        assert ndcg(gains, gains) == pytest.approx(1 / math.log2(rank + 1))
    assert dcg([3.0, 2.0]) == pytest.approx(3 + 2 / math.log2(3))
    assert ndcg([0.0, 0.0], [0.0, 0.0]) == 0.0
    # relevant at ranks 1 and 3: (1 + 1/3) / (1 + 1/2)
    assert reciprocal_recall([1.0, 0.0, 1.0]) == pytest.approx((4 / 3) / 1.5)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8).filter(any), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_gain_is_scikit_learns(gains, k):
    order = np.arange(len(gains), 0, -1, dtype=float)[None]
    expected = ndcg_score(np.array([gains], dtype=float), order, k=k or None)
    assert ndcg([float(g) for g in gains], [float(g) for g in gains], k=k) == pytest.approx(expected, abs=1e-9)


def test_reranking():
    known = {"candidates": ["a", "b", "c"], "relevant": ["c"]}
    verifier = RerankVerifier()
    assert reward(verifier, "c > a > b", known) == 1.0
    assert reward(verifier, "<answer>a, c, b</answer>", known) == pytest.approx(1 / math.log2(3))
    assert reward(verifier, "c > a", known) is None
    assert reward(verifier, "c > a > a > b", known) is None
    formed = RerankVerifier(rank_weight=2.0, format_weight=1.0)
    assert formed.bounds == (0.0, 3.0)
    assert reward(formed, "<think>c fits, a and b do not</think><answer>c > a > b</answer>", known) == 3.0
    # a permutation, and nothing else of the format: 2 + 1/4
    assert reward(formed, "c > a > b", known) == 2.25
    # thinks, answers in tags, permutes, but does not name b: 2 + 3/4
    assert reward(formed, "<think>c fits, a not</think><answer>c > a > b</answer>", known) == 2.75
    with pytest.raises(InputError, match="one is relevant"):
        reward(verifier, "a", {"candidates": ["a"], "relevant": {"a": 0}})


LOG = Log({"a": 0.8, "b": 0.4, "c": 0.0}, 2, {})


def test_pages_by_hand():
    best = page_reward(["a", "b"], LOG)
    assert best["page"] == 1.0
    # the same item twice: relevance 0.8/1.2; ranking 0.8/(0.8 + 0.4/log2 3); diversity 1; distinct 1/2
    ranking = 0.8 / (0.8 + 0.4 / math.log2(3))
    assert page_reward(["a", "a"], LOG)["page"] == pytest.approx((0.8 / 1.2) * (ranking + 1.0 + 0.5) / 3)
    # each item on its right side; turned round none is
    assert item_rewards(["a", "b"], LOG) == [0.8, 0.4]
    assert item_rewards(["b", "a"], LOG) == [0.0, 0.0]
    assert item_rewards(["a", "c", "b"], LOG) == pytest.approx([0.8, 0.0, 0.4 * 0.5])


def test_pages():
    known = {"items": {"a": 0.8, "b": 0.4, "c": 0.0}, "length": 2}
    assert reward(PageVerifier(), "a, b", known) == 1.0
    assert reward(PageVerifier(), "a, b, c", known) is None
    assert reward(PageVerifier(), "c, c", known) == 0.0
    alone = reward(PageVerifier(item_weight=0.0), "b, a", known)
    assert alone == pytest.approx(page_reward(["b", "a"], LOG)["page"])
    assert reward(PageVerifier(), "b, a", known) == pytest.approx(alone / 2)  # no item stands on its right side
    topics = {**known, "topics": {"a": "x", "b": "y", "c": "x"}}
    # relevance 0.8/1.2, ranking 0.8/ideal, one topic of two, two different items
    ideal = 0.8 + 0.4 / math.log2(3)
    expected = (0.8 / 1.2) * (0.8 / ideal + 0.5 + 1.0) / 3
    assert reward(PageVerifier(item_weight=0.0), "a, c", topics) == pytest.approx(expected)


@given(st.permutations(["a", "b", "c", "d"]))
@settings(max_examples=24, deadline=None)
def test_a_duplicate_never_helps_a_page(order):
    log = Log({"a": 0.9, "b": 0.5, "c": 0.3, "d": 0.1}, 4, {})
    doubled = [order[0], *order[:3]]
    assert page_reward(doubled, log)["page"] < page_reward(list(order), log)["page"]


def test_rubrics_by_hand():
    assert rubric_score(["support", "partial_support", "not_support"], [1, 1, 2]) == pytest.approx(1.5 / 4)
    assert rubric_score(["support", "partial_support"], [1, 1], strict=True) == 0.5
    # support: F1 = 2/3; partial: neither uses it: 1; not: 0; mean 0.5556; 0.35 * 0.5556 + 0.2 + 0.1 = 0.4944
    gold, predicted = ["support", "not_support"], ["support", "support"]
    assert labels_reward(predicted, gold) == pytest.approx(0.4944, abs=5e-5)
    assert labels_reward(gold, gold) == pytest.approx(1.0)
    assert labels_reward(gold, gold, repeated=True) == pytest.approx(0.1)
    assert labels_reward(["support"], gold) == 0.0
    assert labels_reward(["not_support", "support"], gold) == 0.0


@given(
    st.permutations(range(4)),
    st.lists(st.sampled_from(["support", "partial_support", "not_support"]), min_size=4, max_size=4),
)
@settings(max_examples=30, deadline=None)
def test_rubrics_know_no_order(order, labels):
    weights = [1.0, 0.5, 2.0, 1.0]
    turned = rubric_score([labels[i] for i in order], [weights[i] for i in order])
    assert turned == pytest.approx(rubric_score(labels, weights))


def test_nuggets_by_words_and_by_labels():
    nuggets = ["the bridge opened in 1932", {"text": "it carries eight lanes", "importance": "okay"}]
    verifier = NuggetsVerifier()
    assert reward(verifier, "The bridge opened in 1932. It carries eight lanes.", nuggets) == 1.0
    assert reward(verifier, "The bridge opened in 1932.", nuggets) == pytest.approx(1 / 1.5)
    assert reward(
        verifier, "The bridge opened in 1932, or rather: the bridge opened in 1931.", nuggets
    ) == pytest.approx(1 / 1.5)
    assert reward(verifier, "The bridge opened in 1932. The bridge opened in 1931.", nuggets) == 0.0
    assert reward(verifier, "The bridge never opened in 1932.", nuggets) == 0.0
    judged = {"nuggets": nuggets, "labels": ["partial_support", "support"]}
    assert reward(verifier, "anything", judged) == pytest.approx((0.5 + 0.5) / 1.5)
    with pytest.raises(InputError, match="one of support, partial_support, not_support"):
        reward(verifier, "x", {"nuggets": nuggets, "labels": ["yes", "no"]})
    with pytest.raises(InputError, match="all weigh 0"):
        reward(verifier, "x", [{"text": "a", "weight": 0}])


def test_adding_a_right_fact_never_lowers_the_rubric():
    nuggets = ["the bridge opened in 1932", "it carries eight lanes of traffic", "ferries still run every hour"]
    text, before = "Well now.", 0.0
    for fact in nuggets:
        text += f" {fact[0].upper()}{fact[1:]}."
        now = reward(NuggetsVerifier(), text, nuggets)
        assert now > before
        before = now
    assert before == 1.0


def test_blanks_between_identifiers_are_read_once():
    start = time.process_time()
    assert identifiers("a" + " " * 200_000 + "b , c  >\t d;\n\n e,,f") == ["a" + " " * 200_000 + "b", *"cdef"]
    assert time.process_time() - start < 1.0
