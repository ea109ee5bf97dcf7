import itertools

import pytest
import torch
import transformers as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, MissingError
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import case
from plaudit.rewards.verifiers.text import CitationsVerifier, best_support, contrast, support
from plaudit.rewards.verifiers.text.citing import Claim, claims, sources
from plaudit.rewards.verifiers.text.entailment import entailment_label, load_entailment
from plaudit.rewards.verifiers.text.support_words import common_in_order, contradicts, together
from plaudit.rewards.verifiers.text.words import content_words

SOURCES = ["The bridge was opened in 1932. It carries eight lanes.", "Ferries did not stop. They run hourly."]


def judged(text, reference=SOURCES, **options):
    return CitationsVerifier(**options).verdict(case("q", text, reference))


def lcs(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, j in itertools.product(range(len(a)), range(len(b))):
        table[i + 1][j + 1] = table[i][j] + 1 if a[i] == b[j] else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


letters = st.lists(st.sampled_from("abcd"), max_size=12)


@given(letters, letters)
@settings(max_examples=200, deadline=None)
def test_common_subsequences_are_those_of_the_table(a, b):
    assert common_in_order(a, b) == lcs(a, b)


@given(letters, st.lists(letters, max_size=4), letters)
@settings(max_examples=100, deadline=None)
def test_more_passages_never_lower_support(claim, passages, another):
    before = best_support(claim, passages)
    assert before == max((support(claim, p) for p in passages), default=0.0)
    assert best_support(claim, [*passages, another]) >= before


def test_support_by_hand():
    source = content_words("Brazil beat France in the final of 1998 by three goals.")
    assert source == ["brazil", "beat", "france", "final", "1998", "three", "goals"]
    assert support(content_words("Brazil beat France in 1998"), source) == 1.0
    # france and brazil exchanged: 5 of 7 in order, 2 in another: (5 - 2) / 7
    assert support(["france", "beat", "brazil", *source[3:]], source) == pytest.approx(3 / 7)
    assert support(content_words("Brazil beat France in 1997"), source) == 0.0
    assert support(content_words("Brazil did not beat France"), source) == 0.0
    assert support([], source) == 0.0
    assert together(["a", "b", "c"], ["a", "b", "x", "c"]) == 0.5
    assert contradicts(["bridge", "opened", "1932"], ["bridge", "opened", "1931"])
    assert not contradicts(["bridge", "opened", "1932"], ["bridge", "opened", "1932", "and", "1931"])


def test_claims_and_marks():
    text = "It opened in 1932 [1]. Ferries run.[2, 3] Nobody [sic] said so [see below]. More [^a1]."
    assert claims(text, {"1", "2", "a1"}) == [
        Claim("It opened in 1932 .", ("1",)),
        Claim("Ferries run .", ("2", "3")),
        Claim("Nobody said so [see below].", ("sic",)),
        Claim("More .", ("a1",)),
    ]
    assert sources({"sources": [{"title": "T", "text": "x"}, "y"]}) == {"1": "T\n\nx", "2": "y"}


def test_rewards_by_hand():
    assert judged("The bridge was opened in 1932 [1]. Ferries did not stop [2].").reward == 1.0
    assert judged("The bridge was opened in 1932 [1]. Ferries did not stop.").reward == 0.5
    assert judged("The bridge was opened in 1932 [1]. Ferries did not stop.", uncited="ignore").reward == 1.0
    assert judged("The bridge was opened in 1932 [1][2].").reward == 0.5
    assert judged("The bridge was opened in 1932 [2].").reward == 0.0
    invented = judged("The bridge was opened in 1932 [3].")
    assert (invented.reward, invented.aspects["existing"]) == (0.0, 0.0)
    assert invented.detail["claims"][0]["missing"] == ["3"]
    assert judged("The bridge was opened in 1932.").outcome is Outcome.POLICY_FAULT
    assert judged("[1]").reward == 0.0


def test_contrast_by_hand():
    assert contrast({"a": 0.9, "b": 0.4}, ["a"]) == pytest.approx(0.5)
    assert contrast({"a": 0.9, "b": 0.4}, ["b"]) == pytest.approx(-0.5)
    assert contrast({"a": 0.9}, ["a"]) == 0.9
    assert contrast({"a": 0.9, "b": 0.5}, ["a", "b"]) == pytest.approx(0.7)
    assert contrast({"a": 0.9}, []) == -0.9
    right, swapped = (judged(f"The bridge was opened in 1932 [{i}].", contrast=True).reward for i in (1, 2))
    assert (right, swapped) == (1.0, -1.0)
    assert CitationsVerifier(contrast=True).bounds == (-1.0, 1.0)


@pytest.mark.parametrize("reference", [None, [], {}, [""], {"a": 3}, "text", {"sources": [{"title": ""}]}])
def test_references_that_cannot_be_used(reference):
    with pytest.raises(InputError, match="verify/citations: sample 0: reference"):
        CitationsVerifier()([case("q", "It is so [1].", reference)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny entailment model with random weights."""
    letters = [chr(c) for c in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
    tokenizer = tf.BertTokenizer(vocab={w: i for i, w in enumerate(words)}, model_max_length=96)
    torch.manual_seed(0)
    config = tf.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=128, num_labels=3, initializer_range=0.5,
        id2label={0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("entailment")
    tf.AutoModelForSequenceClassification.from_config(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def test_a_named_model_judges(model):
    judge = load_entailment(model)
    passage, claim = "It opened in 1932.", "It opened."
    alone = judge.probabilities([passage], claim)[0]
    with torch.inference_mode():  # the same pair, through the model as anyone would call it
        logits = judge.model(**judge.tokenizer(passage, claim, return_tensors="pt")).logits
    assert alone == pytest.approx(float(logits.softmax(-1)[0, 1]), abs=1e-5)
    # padding beside longer passages changes nothing, and a passage of several windows is read to its end
    several = judge.probabilities([passage, "x" * 40, "long words " * 40], claim)
    assert several[0] == pytest.approx(alone, abs=1e-5)
    read = [row for _, batch in judge._batches(["long words " * 40], claim) for row in batch["input_ids"]]
    assert len(read) > 1
    assert all(len(row) <= judge.longest for row in read)
    assert judge.probabilities([passage], "far too long " * 40) == [0.0]
    verdict = judged("It opened [1].", ["It opened in 1932."], model=model, threshold=max(0.01, round(alone - 0.01, 4)))
    assert verdict.reward == 1.0
    assert judged("It opened [1].", ["It opened in 1932."], model=model, threshold=min(1.0, alone + 0.01)).reward == 0.0
    assert CitationsVerifier(model=model).fingerprint != CitationsVerifier().fingerprint
    assert judged("It opened [2].", ["It opened in 1932."], model=model, threshold=0.01).reward == 0.0


def test_models_that_cannot_judge(tmp_path):
    with pytest.raises(MissingError, match=r"holds no config\.json"):
        load_entailment(str(tmp_path))
    with pytest.raises(InputError, match="one must begin with 'entail'"):
        entailment_label({0: "yes", 1: "no"}, "m")
    assert entailment_label({0: "not_entailment", 1: "entailment"}, "m") == 1
