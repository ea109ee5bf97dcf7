"""What was sampled keeps its tokens, and depends on nothing else that is asked beside it."""

import pytest
import torch

from plaudit.engine.rendering import Encoder, Template
from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.policy import prompt_ids
from plaudit.lab.worlds.arithmetic.problems import draw_problems
from plaudit.lab.worlds.arithmetic.symbols import EOS, PAD, TOKENS, build_tokenizer, text_of
from plaudit.policy.rollout import LocalSampler, Question, Rollout, Sampling, ends_of, questions_of
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation


@pytest.fixture(scope="module")
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=96, initializer_range=0.5, pad_token_id=PAD, eos_token_id=EOS,
    )  # fmt: skip
    return LlamaForCausalLM(shape).eval()


@pytest.fixture(scope="module")
def encoder():
    tokenizer = build_tokenizer()
    return Encoder(tokenizer, Template.foreign(tokenizer, max_length=96))


def questions(encoder, n):
    rows = [PromptOnly(conversation(p.text), str(p.answer), {"level": 1}) for p in draw_problems(n, seed=1)]
    kept, _ = questions_of(rows, encoder, room=16)
    return [Question(row, ids, f"0.{i}.{i}") for i, (row, ids) in enumerate(kept)]


SAMPLING = Sampling(completions=3, max_tokens=16, sequences=4)


def test_prompts_are_encoded_as_the_world_does(encoder):
    problem = draw_problems(1, seed=1)[0]
    assert list(encoder.encode_prompt(conversation(problem.text))) == prompt_ids(problem)


def test_a_completion_does_not_depend_on_what_is_asked_beside_it(model, encoder):
    asked = questions(encoder, 5)
    sampler = LocalSampler(model, encoder)
    together = sampler(asked, SAMPLING, seed=7)
    alone = [sampler([q], SAMPLING, seed=7)[0] for q in reversed(asked)][::-1]
    ids = lambda rows: [[r.completion_ids for r in row] for row in rows]  # noqa: E731
    assert ids(together) == ids(alone)
    assert ids(sampler(asked, SAMPLING, seed=8)) != ids(together)
    assert sampler([], SAMPLING, seed=7) == []


def test_a_rollout_is_what_was_sampled(model, encoder):
    (row,) = LocalSampler(model, encoder)(questions(encoder, 1), SAMPLING, seed=0)
    for one in row:
        assert one.sample.text == text_of(one.completion_ids)
        assert one.sample.reference is not None
        assert one.sample.meta == {"level": 1, "tokens": len(one.completion_ids), "finish": one.finish}
        assert (one.finish == "eos") == (one.completion_ids[-1] == EOS)
        ids = torch.tensor([[*one.prompt_ids, *one.completion_ids]])
        logps = model(input_ids=ids).logits[0].log_softmax(-1).detach()
        n = len(one.prompt_ids)
        told = [float(logps[n - 1 + i, token]) for i, token in enumerate(one.completion_ids)]
        assert list(one.logp) == pytest.approx(told, abs=1e-5)
    assert len({one.sample.group for one in row}) == 1


def test_a_log_gives_back_the_same(model, encoder):
    import json

    asked = questions(encoder, 1)[0]
    (row,) = LocalSampler(model, encoder)([asked], SAMPLING, seed=0)
    assert [Rollout.from_dict(asked, json.loads(json.dumps(one.to_dict()))) for one in row] == row


def test_prompts_without_room_are_named(encoder):
    rows = [PromptOnly(conversation("1+2")), PromptOnly(conversation("1+" * 60 + "1"))]
    kept, long = questions_of(rows, encoder, room=16)
    assert [row for row, _ in kept] == rows[:1]
    assert long == [1]


def test_ends_come_from_model_and_tokenizer(model, encoder):
    assert ends_of(model, encoder.tokenizer) == (EOS,)

    class Nothing:
        eos_token_id = None

    with pytest.raises(InputError, match="neither the model nor its tokenizer says which token ends a text"):
        ends_of(object(), Nothing())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"completions": 0}, "completions 0"),
        ({"temperature": 0.0}, "temperature is 0.0; give a number above 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_what_cannot_be_sampled(options, words):
    with pytest.raises(InputError, match=words):
        Sampling(**options)


def test_every_token_has_its_log_probability(encoder):
    asked = questions(encoder, 1)[0]
    with pytest.raises(InputError, match="2 token ids and 1 log-probabilities"):
        Rollout.of(asked, "1", (5, 6), (0.1,), "eos")
