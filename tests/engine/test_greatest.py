"""The likeliest token of each state in chunks; log-probabilities, greatest ones and values by one call."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from plaudit.engine.greatest import chunked_best
from plaudit.engine.values import install_value_head, read_advantages, read_choice
from plaudit.engine.vocabulary import Wanted


def made(seed=0):
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=23, max_position_embeddings=32, **shape)).eval().double()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 60), st.booleans(), st.integers(0, 99))
def test_any_chunk_says_the_same(states, chunk, biased, seed):
    torch.manual_seed(seed)
    x, w, b = torch.randn(states, 4), torch.randn(7, 4), torch.randn(7) if biased else None
    expected = (x @ w.T + (0 if b is None else b)).argmax(-1)
    assert chunked_best(x, w, b, chunk=chunk).tolist() == expected.tolist()
    assert chunked_best(x[:0], w, b).tolist() == []


def test_advantages_and_values_are_those_of_all_logits():
    """`l(a) - max l` by the plain logits, with the gradients of a loss that reads all three."""
    ids, sources = torch.tensor([[3, 5, 2, 7, 1], [4, 4, 8, 0, 2]]), torch.tensor([0, 2, 3, 6])
    column, targets = torch.tensor([0, 1, 1, 3]), torch.tensor([5, 7, 9, 8])
    ours, plain = made(), made()
    for model in (ours, plain):
        torch.manual_seed(1)
        install_value_head(model).weight.data.normal_()
    logp, best, value = read_advantages(ours, {"input_ids": ids}, Wanted(sources, column, targets))
    states = plain.model(input_ids=ids).last_hidden_state.reshape(-1, 16)[sources]
    logits = states @ plain.lm_head.weight.T
    values = (states.double() * plain.lm_head.value.weight).sum(-1) + plain.lm_head.value.bias
    ahead = logits[column, targets] - logits.amax(-1)[column]
    assert (logp - best[column]).tolist() == pytest.approx(ahead.tolist(), abs=1e-9)
    assert value.tolist() == pytest.approx(values.tolist(), abs=1e-9)
    assert best.tolist() == pytest.approx(logits.log_softmax(-1).amax(-1).tolist(), abs=1e-9)
    ((logp - best[column]).square().sum() + (value * best).sum()).backward()
    (ahead.square().sum() + (values * logits.log_softmax(-1).amax(-1)).sum()).backward()
    for (name, p), q in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-9), name
    choice, told = read_choice(ours, {"input_ids": ids}, sources)
    assert choice.tolist() == logits.argmax(-1).tolist()
    assert told.tolist() == pytest.approx(values.tolist(), abs=1e-9)
