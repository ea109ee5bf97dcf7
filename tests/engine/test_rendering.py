import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForSequenceClassification, BertTokenizer, PreTrainedTokenizerFast

from plaudit.engine.engine import Engine, install_head
from plaudit.engine.rendering import (
    ENCODER_TEMPLATE,
    END,
    PLAIN_TEMPLATE,
    Encoder,
    Template,
    ensure_pad,
    well_formed,
)
from plaudit.errors import InputError
from plaudit.records.message import Message, Part

SPECIALS = {"pad_token": "<|pad|>", "eos_token": "<|end|>", "bos_token": "<|begin|>"}
CHATML = (
    "{% if tools %}<|tools|>{% for t in tools %}{{ t.name }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SYSTEM, USER = Message("system", "BE BRIEF."), Message("user", "one two three")


def characters(template=None, **specials):
    """A tokenizer with one token a byte, so that lengths can be counted by eye."""
    specials = specials or SPECIALS
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **specials)
    tokenizer.chat_template = template
    return tokenizer


def encoder(template=None, *, max_length=200, kwargs=None, **specials):
    tokenizer = characters(template, **specials)
    return Encoder(tokenizer, Template.of(tokenizer, max_length=max_length, kwargs=kwargs))


def read(e, ids):
    return e.tokenizer.decode(ids)


def test_eos_is_written_into_a_template_that_does_not_end_with_it():
    e = encoder(PLAIN_TEMPLATE)
    assert not e.template.append_eos
    assert read(e, e.encode((USER,), "four").ids) == "user: one two three\n\nassistant: four\n\n<|end|>"
    # so that plain transformers, which knows no policy, reads the same end
    messages = [USER.to_dict(), {"role": "assistant", "content": "four"}]
    plain = e.tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    assert plain == e.encode((USER,), "four").ids.tolist()
    # and a prompt that waits for its completion has no end
    asked = e.tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=False)
    assert asked == "user: one two three\n\nassistant: "


def test_eos_is_appended_to_the_ids_where_the_template_cannot_hold_it(monkeypatch):
    tokenizer = characters({"default": PLAIN_TEMPLATE, "rag": "-"})  # several templates: none of ours to change
    e = Encoder(tokenizer, Template.of(tokenizer, max_length=99))
    assert e.template.append_eos
    assert e.tokenizer.chat_template == {"default": PLAIN_TEMPLATE, "rag": "-"}
    assert read(e, e.encode((USER,), "four").ids) == "user: one two three\n\nassistant: four\n\n<|end|>"


def test_a_model_from_elsewhere_is_read_as_its_makers_do():
    own = characters("{% for m in messages %}{{ m['content'] }}{% endfor %}.")
    e = Encoder(own, Template.foreign(own, max_length=99))
    assert read(e, e.encode((USER,), "four").ids) == "one two threefour."
    none = characters(None)
    assert Template.foreign(none, max_length=99) == Template.of(characters(None), max_length=99)
    assert none.chat_template == PLAIN_TEMPLATE + END


@pytest.mark.parametrize("end", ["<|end|>", "<|end|>\n"])
def test_eos_is_left_alone_where_the_template_ends_by_itself(end):
    e = encoder(CHATML.replace("<|end|>\n", end.replace("\n", "\\n")))
    assert not e.template.append_eos
    text = read(e, e.encode((USER,), "four").ids)
    assert text == f"<user>one two three{end}<assistant>four{end}"
    assert text.count("<|end|>") == 2  # one a turn, none besides


def test_a_tokenizer_without_a_chat_template_gets_a_plain_one():
    e = encoder(None)
    assert e.tokenizer.chat_template == PLAIN_TEMPLATE + END
    parts = Message(
        "user", (Part("text", {"text": "one "}), Part("image", {"url": "x"}), Part("text", {"text": "two"}))
    )
    assert read(e, e.encode((SYSTEM, parts), "b").ids) == (
        "system: BE BRIEF.\n\nuser: one two\n\nassistant: b\n\n<|end|>"
    )


def test_an_encoder_gets_what_its_tokenizer_makes_of_two_texts():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two", "three", "yes", "no"]
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(words)})
    e = Encoder(tokenizer, Template.of(tokenizer, max_length=64))
    assert tokenizer.chat_template == ENCODER_TEMPLATE
    assert not e.template.append_eos
    encoded = e.encode((Message("user", "one two"),), "yes")
    assert encoded.ids.tolist() == tokenizer("one two", "yes")["input_ids"]
    assert encoded.prompt_length == 4  # [CLS] one two [SEP]


def test_a_tokenizer_without_an_end_is_refused():
    with pytest.raises(InputError, match=r"template: tokenizer '.*' has no EOS token; set tokenizer\.eos_token"):
        Template.of(characters(None, pad_token="<|pad|>"), max_length=99)


def test_the_policy_comes_back_from_its_file_and_says_what_it_lacks():
    template = Template(False, 77, (("a", True), ("b", 2)))
    assert Template.from_dict(template.to_dict()) == template
    with pytest.raises(InputError, match="the manifest's template has no 'max_length'; save the model again"):
        Template.from_dict({"append_eos": True})


def test_template_arguments_and_tools_arrive():
    tokenizer = characters("{% if loud %}LOUD{% endif %}" + CHATML)
    e = Encoder(tokenizer, Template.of(tokenizer, max_length=200, kwargs={"loud": True}))
    assert not read(e, e.encode((USER,), "b", kwargs={"loud": False}).ids).startswith("LOUD")  # a row's own
    text = read(e, e.encode((USER,), "b", tools=[{"name": "search", "type": "function"}]).ids)
    assert text.startswith("LOUD<|tools|>search<user>")
    assert read(e, e.encode((USER,), "b").ids).startswith("LOUD<user>")


def test_a_template_that_refuses_says_so_in_one_line():
    strict = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    e = encoder(strict)
    with pytest.raises(InputError) as error:
        e.encode((SYSTEM, USER), "b")
    assert "refuses the roles system, user" in str(error.value)
    assert "System role not supported" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("template", [PLAIN_TEMPLATE, CHATML])
def test_the_prompt_ends_where_the_completions_begin(template):
    e = encoder(template)
    for encoded, completion in zip(e.encode_group((SYSTEM, USER), ["four", "five"]), ["four", "five"], strict=True):
        head = read(e, encoded.ids[: encoded.prompt_length])
        assert head.endswith(("assistant: ", "<assistant>"))
        assert read(e, encoded.ids[encoded.prompt_length :]).startswith(completion)
    assert e.encode((), "four").prompt_length == 0


def test_the_prompt_length_is_that_of_the_prompt_alone():
    e = encoder(CHATML)
    encoded = e.encode((USER,), "four")
    assert read(e, encoded.ids[: encoded.prompt_length]) == "<user>one two three<|end|>\n<assistant>"


texts = st.text(st.sampled_from("ab <|pad|>\u200bé"), max_size=20) | st.just("<|pad|>") | st.just("x<|pad|><|pad|>y")


@settings(max_examples=60, deadline=None)
@given(texts, texts, texts)
def test_no_text_ever_contains_the_pad_id(system, user, completion):
    e = encoder(CHATML, max_length=2000)
    call = {"function": {"name": user, "arguments": {"q": completion}}}
    prompt = (
        Message("system", system), Message("user", (Part("text", {"text": user}),)),
        Message("assistant", "", (call,)), Message("tool", user, extra=(("name", system),)),
    )  # fmt: skip
    e.tokenizer.chat_template = (
        "{% for m in messages %}{{ m | tojson }}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{{ m['content'][0]['text'] }}{% endif %}{{ m.name or '' }}<|end|>{% endfor %}"
        "{{ (tools or '') | tojson }}<|end|>"
    )
    ids = e.encode(prompt, completion, tools=[{"name": system, "description": user}]).ids
    assert e.tokenizer.pad_token_id not in ids.tolist()


def test_a_text_without_the_pad_is_left_as_it_is():
    e = encoder(PLAIN_TEMPLATE)
    assert read(e, e.encode((USER,), "a < |pad| > b").ids).count("\u200b") == 0
    assert e.text((Message("user", "a<|pad|>b"),)) == "user: a<\u200b|pad|>b\n\n<|end|>"


def test_lone_surrogates_are_read_as_the_replacement_character():
    assert well_formed("a\ud800b") == "a\ufffdb"
    assert well_formed("\ud83d\ude00é") == "😀é"
    e = encoder(PLAIN_TEMPLATE, max_length=60)
    assert "\ufffd" in read(e, e.encode((USER,), "\ud800").ids)
    assert 55 < e.encode((USER,), "\ud800" * 100).ids.size <= 60  # a character is three tokens and stays whole


def conversation(*turns):
    return tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(turns))


def test_the_oldest_turns_go_first_and_the_system_message_stays():
    e = encoder(CHATML, max_length=70)
    # "<system>BE BRIEF.<|end|>\n" is 8 + 9 + 2 = 19 tokens, "<user>..<|end|>\n" 6 + n + 2, an assistant's 11 + n + 2
    prompt = (SYSTEM, *conversation("oldest", "older", "a newer question"))
    full = 19 + (6 + 6 + 2) + (11 + 5 + 2) + (6 + 16 + 2) + (11 + 3 + 2)
    (encoded,) = e.encode_group(prompt, ["yes"])
    text = read(e, encoded.ids)
    assert text.startswith("<system>BE BRIEF.<|end|>\n")
    assert "oldest" not in text
    assert text.endswith("a newer question<|end|>\n<assistant>yes<|end|>\n")
    assert encoded.ids.size <= 70
    assert encoded.cut == full - encoded.ids.size


def test_a_message_loses_its_beginning():
    e = encoder(CHATML, max_length=40)
    # 6 + 26 + 2 of the user's and 11 + 3 + 2 of the completion: ten tokens too many
    (encoded,) = e.encode_group((Message("user", "abcdefghijklmnopqrstuvwxyz"),), ["yes"])
    assert read(e, encoded.ids) == "<user>klmnopqrstuvwxyz<|end|>\n<assistant>yes<|end|>\n"
    assert (encoded.ids.size, encoded.cut) == (40, 10)


def test_members_are_cut_alike_by_the_longest():
    e = encoder(CHATML, max_length=50)
    short, long = e.encode_group((Message("user", "abcdefghijklmnopqrstuvwxyz"),), ["no", "certainly so"])
    # the longest is 6 + 26 + 2 + 11 + 12 + 2 = 59: nine characters go, from both
    assert read(e, long.ids) == "<user>jklmnopqrstuvwxyz<|end|>\n<assistant>certainly so<|end|>\n"
    assert read(e, short.ids) == "<user>jklmnopqrstuvwxyz<|end|>\n<assistant>no<|end|>\n"
    assert (short.cut, long.cut) == (9, 9)
    # alone the short one fits whole
    assert e.encode((Message("user", "abcdefghijklmnopqrstuvwxyz"),), "no").cut == 0


@pytest.mark.parametrize("template", [CHATML, PLAIN_TEMPLATE])
def test_a_completion_longer_than_the_context_keeps_its_end_and_eos(template):
    e = encoder(template, max_length=60)
    completion = "".join(chr(ord("a") + i % 26) for i in range(500)) + " THE END"
    short, long = e.encode_group((SYSTEM, USER), ["yes", completion])
    assert long.ids.size == 60
    assert "THE END" in read(e, long.ids)
    assert "BE BRIEF." in read(e, long.ids)
    assert e.tokenizer.eos_token_id in long.ids[-2:].tolist()
    assert long.cut > 400
    assert "yes" in read(e, short.ids)  # it fits, so it loses nothing but its prompt
    assert 0 < short.cut < long.cut


def test_when_not_even_the_template_fits():
    e = encoder(CHATML, max_length=200)
    e = Encoder(e.tokenizer, Template(False, 10))
    with pytest.raises(InputError) as error:
        e.encode((SYSTEM, USER), "yes")
    assert str(error.value) == ("truncation: template and system message alone exceed max_length 10; raise max_length")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("abc é", min_size=0, max_size=30), min_size=0, max_size=4),
    st.lists(st.text("xyz 😀", max_size=120), min_size=1, max_size=3),
    st.integers(45, 120),
)
def test_truncation_keeps_to_the_limit_and_counts_what_it_took(turns, completions, limit):
    e = encoder(CHATML, max_length=limit)
    whole = Encoder(e.tokenizer, Template(False, 10_000))
    prompt = (SYSTEM, *conversation(*turns))
    before, after = whole.encode_group(prompt, completions), e.encode_group(prompt, completions)
    for b, a in zip(before, after, strict=True):
        assert a.ids.size <= limit
        assert a.cut == b.ids.size - a.ids.size
        assert read(e, a.ids).startswith("<system>BE BRIEF.<|end|>\n")
    if max(b.ids.size for b in before) <= limit:
        assert all((a.ids == b.ids).all() and a.cut == 0 for a, b in zip(after, before, strict=True))


def test_a_slow_tokenizer_is_truncated_too(monkeypatch):
    e = encoder(CHATML, max_length=40)
    monkeypatch.setattr(type(e.tokenizer), "is_fast", property(lambda _: False))
    (encoded,) = e.encode_group((Message("user", "abcdefghijklmnopqrstuvwxyz"),), ["yes"])
    assert encoded.ids.size <= 40
    assert "xyz<|end|>\n<assistant>yes" in read(e, encoded.ids)


@pytest.mark.parametrize("specials", [
    {"eos_token": "<|end|>", "pad_token": "<|end|>"},
    {"eos_token": "<|end|>"},
    {"eos_token": "<|end|>", "unk_token": "<unk>", "pad_token": "<unk>"},
])  # fmt: skip
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_pad_of_its_own_keeps_the_scores_of_plain_transformers_right(specials, family, build, config_of):
    """Where pad equals EOS, plain transformers skips the end of a text; `ensure_pad` gives both a new token."""
    tokenizer = characters(None, **specials)
    config = config_of(family)
    config.vocab_size = len(tokenizer)
    config.pad_token_id = tokenizer.pad_token_id
    model = build(config)
    before = model.get_input_embeddings().weight.detach().clone()
    ensure_pad(tokenizer, model)
    assert tokenizer.pad_token_id not in (
        tokenizer.eos_token_id,
        tokenizer.unk_token_id,
        tokenizer.bos_token_id,
    )
    assert model.config.pad_token_id == tokenizer.pad_token_id == len(before)
    weight = model.get_input_embeddings().weight
    torch.testing.assert_close(weight[: len(before)], before)
    assert not weight[len(before) :].any()  # the same whenever it is opened
    e = Encoder(tokenizer, Template.of(tokenizer, max_length=100))
    texts = [e.encode((Message("user", "ab"),), c).ids.tolist() for c in ("yes", "no, I do not think so", "")]
    assert all(t[-1] == tokenizer.eos_token_id for t in texts)
    with torch.no_grad():
        expected = Engine(install_head(copy.deepcopy(model)), mode="tree").scores([texts])
        for side in ("left", "right"):
            tokenizer.padding_side = side
            batch = tokenizer.pad({"input_ids": texts}, return_tensors="pt")
            positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
            found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], position_ids=positions)
            torch.testing.assert_close(found.logits, expected, atol=1e-5, rtol=1e-5)
    assert isinstance(model, type(AutoModelForSequenceClassification.from_config(config)))


def test_a_good_pad_is_kept(build, config_of):
    tokenizer = characters(None)
    config = config_of("llama")
    config.vocab_size = len(tokenizer)
    model = build(config)
    ensure_pad(tokenizer, model)
    assert tokenizer.pad_token == "<|pad|>"
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
