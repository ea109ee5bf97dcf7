"""Log-probabilities by chunks equal those of all logits, in value and gradient, wherever the head stands."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plaudit.engine.engine import Engine
from plaudit.engine.gate import row_inputs
from plaudit.engine.planning import plan_sequences
from plaudit.engine.vocabulary import (
    LogpHead,
    Wanted,
    chunked_logps,
    has_logp_head,
    install_logp_head,
    read_tokens,
    reading_tokens,
)
from plaudit.errors import InputError, UnsupportedError


def llama(**changes):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    }  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**shape, **changes})).eval()


def reference(states, weight, bias, column, targets, temperature):
    """All logits at once."""
    logps = (nn.functional.linear(states, weight, bias) / temperature).log_softmax(-1)
    return logps[column, targets], -(logps.exp() * logps).sum(-1)


def test_a_hand_value():
    # logits 0 and log 3 after temperature 1: probabilities 1/4 and 3/4
    states, weight = (
        torch.tensor([[1.0]], dtype=torch.float64),
        torch.tensor([[0.0], [math.log(3)]], dtype=torch.float64),
    )
    at, token = torch.tensor([0, 0]), torch.tensor([0, 1])
    logps, entropy = chunked_logps(states, weight, None, at, token)
    assert logps.tolist() == pytest.approx([math.log(0.25), math.log(0.75)], abs=1e-12)
    assert entropy.item() == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), abs=1e-12)


@given(
    seed=st.integers(0, 10_000), sources=st.integers(1, 9), edges=st.integers(0, 12),
    chunk=st.integers(1, 60), temperature=st.sampled_from([0.5, 1.0, 1.7]), biased=st.booleans(),
)  # fmt: skip
def test_value_and_gradient_equal_those_of_all_logits(seed, sources, edges, chunk, temperature, biased):
    draw = torch.Generator().manual_seed(seed)
    states = torch.randn(sources, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, generator=draw, dtype=torch.float64, requires_grad=True) if biased else None
    column = torch.randint(sources, (edges,), generator=draw)
    targets = torch.randint(7, (edges,), generator=draw)
    for_tokens = torch.randn(edges, generator=draw, dtype=torch.float64)
    for_entropy = torch.randn(sources, generator=draw, dtype=torch.float64)
    inputs = [states, weight, *([bias] if biased else [])]
    results = []
    for call in (
        lambda: reference(states, weight, bias, column, targets, temperature),
        lambda: chunked_logps(states, weight, bias, column, targets, temperature=temperature, chunk=chunk),
    ):
        logps, entropy = call()
        loss = (logps * for_tokens).sum() + (entropy * for_entropy).sum()
        results.append([logps.detach(), entropy.detach(), *torch.autograd.grad(loss, inputs)])
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_a_frozen_layer_gets_no_gradient_and_its_states_do():
    weight = torch.randn(7, 5, dtype=torch.float64)
    states = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    at = torch.tensor([0, 1, 2])
    chunked_logps(states, weight, None, at, at)[0].sum().backward()
    expected = torch.eye(7).double()[at] - (states @ weight.t()).softmax(-1)
    assert torch.allclose(states.grad, (expected @ weight).detach(), atol=1e-12)


def test_under_autocast_forward_and_backward_read_the_same_logits():
    torch.manual_seed(1)
    states, weight = torch.randn(6, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    at, targets = torch.arange(6), torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logps, _ = chunked_logps(states, weight, None, at, targets, chunk=100)
    low = [states.detach().bfloat16().requires_grad_(), weight.detach().bfloat16().requires_grad_()]
    expected = nn.functional.linear(*low).float().log_softmax(-1)[at, targets]
    assert logps.dtype == torch.float32
    assert torch.allclose(logps, expected, atol=1e-5)
    grads = torch.autograd.grad(logps.sum(), [states, weight])
    wanted = torch.autograd.grad(expected.sum(), low)
    for found, other in zip(grads, wanted, strict=True):
        assert torch.allclose(found, other.float(), atol=0.02 * float(other.abs().max()))


def test_entropies_that_nobody_wants_are_not_made():
    model = llama()
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    at = torch.arange(3)
    both = Wanted(at, at, torch.tensor([6, 7, 8]))
    alone = Wanted(at, at, torch.tensor([6, 7, 8]), entropy=False)
    for headed in (False, True):
        assert not headed or install_logp_head(model)
        logps, entropy = read_tokens(model, inputs, alone)
        assert entropy.shape == (0,)
        assert torch.equal(logps, read_tokens(model, inputs, both)[0])
        expected = torch.autograd.grad(read_tokens(model, inputs, both)[0].sum(), model.lm_head.weight)[0]
        (found,) = torch.autograd.grad(logps.sum(), model.lm_head.weight)
        assert torch.allclose(found, expected, atol=1e-6)


def test_what_is_refused():
    states, weight, at = torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(1, dtype=torch.long)
    with pytest.raises(InputError, match=r"temperature is 0; give a number above 0"):
        chunked_logps(states, weight, None, at, at, temperature=0)
    with pytest.raises(UnsupportedError, match="1 sources and 2 targets"):
        chunked_logps(states, weight, None, at, at.repeat(2))


@pytest.mark.parametrize("tied", [False, True])
def test_the_head_reads_rows_of_trees_as_the_engine_does(tied):
    model = llama(tie_word_embeddings=tied)
    sequences = [[1, 2, 3, 4, 5], [1, 2, 3, 9], [1, 2, 3, 4, 8, 8, 8], [7, 6]]
    engine = Engine(model)
    expected = [row.detach() for row in engine.token_logps(sequences)]
    names = set(model.state_dict())
    assert install_logp_head(model)
    assert install_logp_head(model)
    assert set(model.state_dict()) == names
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    for row in plan_sequences(sequences, budget=64):
        for i, member in enumerate(row.members):
            at = torch.from_numpy(row.tree.positions(i).copy())
            wanted = Wanted(at[:-1], torch.arange(len(at) - 1), torch.tensor(sequences[member][1:]))
            logps, entropy = read_tokens(model, row_inputs(row.tree, engine.plan(row.tree)), wanted)
            assert torch.allclose(logps, expected[member], atol=1e-5)
            assert entropy.shape == (len(at) - 1,)
            assert bool((entropy > 0).all())
    ids = torch.tensor([[3, 1, 4]])
    assert model(input_ids=ids).logits.shape == (1, 3, 97)  # without tokens wanted it is a stock model


def test_with_and_without_the_head_the_same_numbers_and_gradients():
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])}
    # flat positions 1, 4, 5; position 4 is followed by two tokens
    wanted = Wanted(torch.tensor([1, 4, 5]), torch.tensor([0, 1, 1, 2]), torch.tensor([7, 10, 3, 11]), temperature=0.7)
    found = []
    for headed in (False, True):
        model = llama()
        assert not headed or install_logp_head(model)
        assert has_logp_head(model) == headed
        logps, entropy = read_tokens(model, inputs, wanted)
        (logps.sum() + 0.1 * entropy.sum()).backward()
        found.append([logps.detach(), entropy.detach(), *(p.grad for p in model.parameters())])
    for plain, chunked in zip(*found, strict=True):
        assert torch.allclose(plain, chunked, atol=1e-5)


def test_models_that_alter_their_logits_keep_their_layer():
    from transformers import CohereConfig, CohereForCausalLM, Gemma2Config, Gemma2ForCausalLM

    shape = {
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    }  # fmt: skip
    capped = Gemma2ForCausalLM(Gemma2Config(**shape, head_dim=8, final_logit_softcapping=2.0))
    scaled = CohereForCausalLM(CohereConfig(**shape, logit_scale=0.0625, pad_token_id=0))
    for model in (capped, scaled):
        layer, training = model.lm_head, model.training
        assert not install_logp_head(model)
        assert model.lm_head is layer
        assert model.training == training
        at = torch.arange(3)
        ids = torch.tensor([[4, 5, 6, 7]])
        model.eval()
        logps, _ = read_tokens(model, {"input_ids": ids}, Wanted(at, at, ids[0, 1:]))
        whole = model(input_ids=ids).logits[0].log_softmax(-1)
        assert torch.allclose(logps, whole[at, ids[0, 1:]], atol=1e-6)


def test_a_saved_model_is_a_stock_model(tmp_path):
    from transformers import AutoModelForCausalLM

    model = llama(tie_word_embeddings=True)
    ids = torch.tensor([[1, 2, 3]])
    before = model(input_ids=ids).logits
    install_logp_head(model)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(again.lm_head) is nn.Linear
    assert torch.equal(again(input_ids=ids).logits, before)


def test_inside_adapters_the_inner_model_has_the_head():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(llama(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    assert install_logp_head(model)
    assert has_logp_head(model)
    wanted = Wanted(torch.tensor([0]), torch.tensor([0]), torch.tensor([3]))
    logps, _ = read_tokens(model, {"input_ids": torch.tensor([[1, 3]])}, wanted)
    plain = model(input_ids=torch.tensor([[1, 3]])).logits[0, 0].log_softmax(-1)[3]
    assert logps.item() == pytest.approx(plain.item(), abs=1e-6)


def test_what_is_wanted_ends_with_the_call():
    head = LogpHead.replace(nn.Linear(4, 9))
    states = torch.randn(1, 3, 4)

    def failing():
        with reading_tokens(Wanted(*[torch.tensor([0])] * 3)):
            assert head(states).shape == (1, 1, 2)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert head(states).shape == (1, 3, 9)
