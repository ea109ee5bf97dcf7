"""Which tokens count, and which characters they cover."""

import numpy as np
import pytest

from plaudit.engine.rendering import Encoder, Template
from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.rewards.likelihood.domains import Domain, read_domains, route
from plaudit.rewards.likelihood.spans import common_spans, locate_group, step_positions


def words(language, one):
    return language.tokenizer.decode(one.ids[one.counted])


def test_a_completion_is_counted_with_its_end_or_without(strong):
    sample = Sample("What is the capital of Peru?", "Lima, I say")
    (whole,), (bare,) = strong.locate([sample]), strong.locate([sample], end=False)
    # the plain template opens a turn with a space, part of the first word's token, and closes it with two lines
    assert words(strong, whole) == " Lima, I say\n\n"
    assert words(strong, bare) == " Lima, I say"
    assert "".join(sample.text[a:b] for a, b in bare.spans) == sample.text
    assert whole.spans[len(bare.spans) :].tolist() == [[11, 11]] * (len(whole.spans) - len(bare.spans))


def test_only_the_assistant_s_turns_of_a_completion_count(strong):
    turns = (Message("assistant", "hum"), Message("user", "Peru?"), Message("assistant", "ho ho"))
    sample = Sample((Message("system", "Be brief."), Message("user", "hi")), turns)
    (one,) = strong.locate([sample], end=False)
    assert words(strong, one).replace(" ", "") == "humhoho"
    assert "".join(sample.text[a:b] for a, b in one.spans) == "humho ho"
    assert one.spans[-1, 1] == len(sample.text) == 9  # the turns are joined by a line break
    (last,) = locate_group(strong.encoder, sample.prompt, [turns[:2]], end=False, last=True)
    assert words(strong, last).strip() == "Peru?"


def test_words_keep_their_places_where_a_template_changes_white_space(resetting):
    text = "  <think>rain?\n\nLima</think>\n<answer>ho  ho</answer>\n"
    sample = Sample("Peru?", text)
    whole, bare = resetting.locate([sample])[0], resetting.locate([sample], end=False)[0]
    assert words(resetting, bare).strip() == "<think>\nrain?\n\nLima\n</think>\n\n<answer>ho  ho</answer>"
    assert "[end]" in words(resetting, whole)
    # from the first letter on, every character of the completion is covered once, and in its order
    assert "".join(text[a:b] for a, b in bare.spans) == text[2:]
    assert whole.spans[len(bare.spans) :].tolist() == [[len(text)] * 2] * (len(whole.spans) - len(bare.spans))
    said = [(resetting.tokenizer.decode([i]), text[a:b]) for i, (a, b) in zip(
        bare.ids[bare.counted], bare.spans, strict=True
    )]  # fmt: skip
    assert all(token.split() == covered.split() for token, covered in said)


def test_a_turn_is_looked_for_where_it_stands(resetting):
    turns = (
        Message("assistant", "Lima\n\nrain "), Message("user", "say: Lima\n\nrain  again"), Message("assistant", "no"),
    )  # fmt: skip
    (bare,) = resetting.locate([Sample("hi", turns)], end=False)
    assert words(resetting, bare).split() == ["Lima", "rainno"]
    text = Sample("hi", turns).text
    assert "".join(text[a:b] for a, b in bare.spans) == "Lima\n\nrain no"
    # also where the template changes it, and a later turn quotes it as it was written
    thought = "<think>rain</think> Lima"
    turns = (Message("assistant", thought), Message("user", f"You said: x{thought}"), Message("assistant", "no"))
    (bare,) = resetting.locate([Sample("hi", turns)], end=False)
    assert words(resetting, bare).split() == ["<think>", "rain", "</think>", "Limano"]
    # nothing but white space has no token of its own
    (empty,) = resetting.locate([Sample("hi", "  \n")], end=False)
    assert empty.counted.size == 0


def test_words_keep_their_places_behind_a_broken_pad_token(strong):
    text = f"a {strong.tokenizer.pad_token} b"
    (one,) = strong.locate([Sample("hi", text)], end=False)
    assert "".join(text[a:b] for a, b in one.spans) == text
    assert text[slice(*one.spans[-1])].strip() == "b"


def test_an_appended_eos_counts_as_the_end(strong):
    encoder = Encoder(strong.tokenizer, Template(append_eos=True, max_length=64))
    (one,) = locate_group(encoder, (Message("user", "hi"),), ["ho"])
    assert one.ids[-1] == strong.tokenizer.eos_token_id
    assert one.counted[-1] == len(one.ids) - 1
    assert one.spans[-1].tolist() == [2, 2]


def test_truncation_takes_the_conversation_and_never_the_completion(language):
    model = language(max_length=40)
    long = Sample("rain " * 60, "Lima")
    (one,), (whole,) = model.locate([long]), model.locate([Sample("rain", "Lima")])
    assert one.cut > 0
    assert len(one.ids) <= 40
    assert np.array_equal(one.ids[one.counted], whole.ids[whole.counted])
    assert np.array_equal(one.spans, whole.spans)
    flood = Sample("rain", "Lima " * 60)
    found = model.locate([flood, Sample("rain", "Lima")])
    assert found[0] is None
    assert found[1].cut == 0  # it did not lose its prompt to its neighbour


def test_steps_own_the_tokens_that_begin_in_them():
    spans = np.array([[0, 2], [2, 5], [5, 6], [6, 6]])
    assert step_positions(("ab", "cde", "f"), spans).tolist() == [1, 2, 4]
    assert step_positions(("abc", "def"), spans).tolist() == [2, 4]  # the second token begins in the first step
    assert step_positions(("", "abcdef"), spans).tolist() == [0, 4]


def test_common_spans_by_hand():
    # abc|de|f + end, and ab|c|def + two tokens of end: both end at 3 and at 6
    first, second = np.array([[0, 3], [3, 5], [5, 6], [6, 6]]), np.array([[0, 2], [2, 3], [3, 6], [6, 6], [6, 6]])
    spans, mine, theirs = common_spans(first, second)
    assert spans.tolist() == [[0, 3], [3, 6], [6, 6]]
    assert mine.tolist() == [1, 3, 4]
    assert theirs.tolist() == [2, 3, 5]


def test_domains_are_named_found_or_default(tmp_path):
    path = tmp_path / "d.yaml"
    path.write_text(
        "code:\n  instruction: Prefer code that runs.\n  words: [python]\n"
        "  exemplars: [{prompt: 'Add one.', completion: 'x + 1'}]\ndefault: {instruction: Be kind.}\n"
    )
    domains = read_domains(path)
    assert domains["code"] == Domain("Prefer code that runs.", (("Add one.", "x + 1"),), ("python",))
    assert route(Sample("Some Python, please", ""), domains) == "code"
    assert route(Sample("A poem, please", ""), domains) == "default"
    assert route(Sample("A poem", "", meta={"domain": "code"}), domains) == "code"
    assert route(Sample("A poem", ""), {"code": domains["code"]}) is None
    with pytest.raises(InputError, match="domain 'cod' is not known; did you mean 'code'"):
        route(Sample("A poem", "", meta={"domain": "cod"}), domains)
    before = domains["code"].before((Message("system", "Be brief."), Message("user", "hi")))
    assert [(m.role, m.text) for m in before] == [
        ("system", "Be brief.\n\nPrefer code that runs."), ("user", "Add one."), ("assistant", "x + 1"), ("user", "hi"),
    ]  # fmt: skip
    path.write_text("code: {instructions: x}\n")
    with pytest.raises(InputError, match="unknown key 'instructions'; did you mean 'instruction'"):
        read_domains(path)


@pytest.mark.parametrize("mode", ["tree", "padded"])
def test_logits_are_made_where_they_are_asked_for(mode, language, monkeypatch):
    """Wanted positions are entries of the whole; on trees, logits are made for these alone."""
    model = language(4, mode=mode)
    ids = [one.ids for one in model.locate([Sample("rain " * 20, c) for c in ("Lima", "I cannot", "")])]
    whole, wanted = model.logps(ids), [np.array([3, len(i) - 1]) for i in ids]
    kept = []
    forward = model.model.lm_head.forward
    monkeypatch.setattr(model.model.lm_head, "forward", lambda h: kept.append(h.shape[-2]) or forward(h))
    found = model.logps(ids, wanted)
    for row, part, at in zip(whole, found, wanted, strict=True):
        assert np.allclose(part, row[at - 1], atol=1e-6)
    if mode == "tree":
        assert sum(kept) <= 4  # position 3 is shared, and each has an end of its own


def test_a_model_counts_no_token_where_none_is_wanted(strong):
    assert [row.size for row in strong.logps([[3, 4], [3, 5]], [np.zeros(0, dtype=int)] * 2)] == [0, 0]
