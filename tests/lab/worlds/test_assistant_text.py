"""Lexicon, requests, tokenizer: text and tokens, and what a prompt asks for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.lab.worlds.assistant import World, build_tokenizer
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.policy import prompt_ids
from plaudit.lab.worlds.assistant.request import CONSTRAINTS, KINDS, draw_prompt
from plaudit.records.message import Message

WORLD = World.drawn(5)
words = st.lists(st.sampled_from(lx.WORDS[len(lx.SPECIALS) :]), min_size=1, max_size=30)


def test_vocabulary_has_about_512_words_each_with_one_id():
    assert 500 <= len(lx.WORDS) <= 520
    assert len(set(lx.WORDS)) == len(lx.WORDS)
    assert (lx.PAD, lx.EOS, lx.UNK) == (0, 1, 2)
    assert not any(" " in w for w in lx.WORDS)


@given(words)
def test_dialect_is_its_own_inverse(text):
    text = " ".join(text)
    assert lx.swap_dialect(lx.swap_dialect(text)) == text


def test_dialect_twins_are_words_of_their_own():
    assert set(lx.DIALECT) <= set(lx.WORDS)
    assert not set(lx.DIALECT.values()) & set(lx.DIALECT)
    assert len(set(lx.DIALECT.values())) == len(lx.DIALECT)
    assert lx.swap_dialect("please tell me") == "prithee recount me"


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_read_back(kind):
    rng, knowledge = np.random.default_rng(0), WORLD.knowledge
    for _ in range(150):
        prompt = draw_prompt(knowledge, rng, kind=kind)
        request = WORLD.request(prompt)
        assert request.kind == kind
        assert (request.constraint != "none") == (prompt[0].role == "system")
        length = sum(len(m.text.split()) for m in prompt) + len(prompt)  # words and role marks
        assert 8 <= length <= 40
        assert all(w in lx.ID for m in prompt for w in m.text.split())
        assert (len(prompt) >= 3) == (kind == "followup")


def test_every_constraint_is_read_back_with_its_word():
    seen = set()
    for prompt in WORLD.prompts(600, seed=3):
        request = WORLD.request(prompt)
        seen.add(request.constraint)
        if request.constraint in ("end", "address"):
            assert request.argument in prompt[0].text.split()
    assert seen == set(CONSTRAINTS)


def test_a_followup_is_about_the_topic_of_the_first_turn():
    topic, _ = next(iter(WORLD.knowledge.facts))
    prompt = (
        Message("user", f"what is the colour of the {topic} ?"),
        Message("assistant", "the colour is red ."),
        Message("user", "good , now tell me its origin ."),
    )
    request = WORLD.request(prompt)
    assert (request.kind, request.subject, request.attribute) == ("followup", topic, "origin")
    assert request.right == (WORLD.knowledge.facts[topic, "origin"],)


@pytest.mark.parametrize("text", ["", "hello there", "colour", "<|user|> river", "should i try reading"])
def test_reading_a_prompt_is_total(text):
    assert WORLD.request((Message("user", text),)).kind == "unclear"


def test_tokenizer_is_exact_and_serves_the_chat_template():
    tokenizer = build_tokenizer()
    for sample in WORLD.demonstrations(40, seed=2):
        ids = tokenizer(sample.text, add_special_tokens=False)["input_ids"]
        assert ids == lx.ids(sample.text.split()).tolist()
        assert tokenizer.decode(ids) == sample.text
        assert tokenizer.pad_token_id not in ids
        messages = [m.to_dict() for m in sample.messages]
        whole = tokenizer.apply_chat_template(messages, return_dict=False)
        assert whole == [*prompt_ids(sample.prompt), *ids, lx.EOS]
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert asked == prompt_ids(sample.prompt)


def test_demonstrations_keep_their_length_and_vary():
    lengths = [len(s.text.split()) for s in WORLD.demonstrations(500, seed=4)]
    assert min(lengths) >= 4
    assert max(lengths) <= 48
    assert np.std(lengths) > 5


def test_sides_share_no_prompt_and_seeds_reproduce():
    train, test = WORLD.prompts(300, seed=1), WORLD.prompts(100, seed=1, side="test", distinct=True)
    assert not {p for p in train} & {p for p in test}
    assert len(set(test)) == 100
    assert WORLD.prompts(300, seed=1) == train
    assert WORLD.prompts(300, seed=2) != train


def test_instances_differ():
    other = World.drawn(6)
    assert other.knowledge != WORLD.knowledge
    assert not np.allclose(other.utility.weights, WORLD.utility.weights)
    assert other.habits != WORLD.habits
