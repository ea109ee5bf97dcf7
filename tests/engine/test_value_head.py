"""A value head beside the last layer: the same values on trees, in rectangles and by hand; saved apart."""

import pytest
import torch

from plaudit.engine import (
    Wanted,
    install_logp_head,
    install_value_head,
    load_value_head,
    read_states,
    read_tokens,
    remove_value_head,
    save_value_head,
    value_head,
)
from plaudit.engine.engine import open_gate
from plaudit.errors import InputError, UnsupportedError
from plaudit.policy.online.packing import Learned, row_tokens, rows_of
from small_policies import policy


def headed(*, trunk=True, seed=1, **changes):
    model = policy(**changes)
    head = install_value_head(model, trunk=trunk)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=draw))
        head.bias.fill_(0.3)
    return model, head


PROMPT, SAID = (5, 6, 7), ((8, 9, 4), (8, 9), (4, 4, 4, 4))


@pytest.mark.parametrize("tree", [True, False])
def test_values_are_those_of_the_states_that_tokens_are_chosen_in(tree):
    model, head = headed()
    assert open_gate(model).open
    (row,) = rows_of([Learned(PROMPT, SAID)], budget=99, tree=tree, pad_id=0)
    found = row_tokens(model, row, values=True)
    expected = []
    for said in SAID:
        ids = torch.tensor([[*PROMPT, *said]])
        with torch.no_grad():
            states = model.model(input_ids=ids).last_hidden_state[0, 2:-1]  # before each completion token
            expected += [float(state.double() @ head.weight.double()) + 0.3 for state in states]
    assert found.value.tolist() == pytest.approx(expected, abs=2e-5)
    plain = row_tokens(model, row)
    assert plain.value is None
    assert torch.equal(plain.logp, found.logp)
    assert torch.equal(plain.entropy, found.entropy)


def test_before_any_fit_a_value_is_nothing():
    model = policy()
    install_value_head(model)
    at, ids = torch.arange(3), torch.tensor([[4, 5, 6, 7]])
    *_, values = read_states(model, {"input_ids": ids}, Wanted(at, at, ids[0, 1:], values=True))
    assert values.tolist() == [0, 0, 0]


@pytest.mark.parametrize("trunk", [True, False])
def test_the_gradient_goes_into_the_policy_if_it_shall(trunk):
    model, head = headed(trunk=trunk)
    at, ids = torch.arange(3), torch.tensor([[4, 5, 6, 7]])
    *_, values = read_states(model, {"input_ids": ids}, Wanted(at, at, ids[0, 1:], values=True))
    values.sum().backward()
    assert head.bias.grad.item() == 3
    moved = [p.grad is not None and bool(p.grad.any()) for n, p in model.named_parameters() if "value" not in n]
    assert any(moved) == trunk


def test_the_head_is_saved_apart_and_the_model_stays_a_stock_model(tmp_path):
    model, head = headed()
    save_value_head(head, tmp_path / "head.safetensors")
    other = policy()
    load_value_head(install_value_head(other), tmp_path / "head.safetensors")
    assert torch.equal(value_head(other).weight, head.weight)
    assert value_head(other).bias.item() == pytest.approx(0.3)
    remove_value_head(model)
    assert value_head(model) is None
    assert set(model.state_dict()) == set(policy().state_dict())
    wide = policy(hidden_size=32)
    with pytest.raises(InputError, match=r"values of \(16,\) weights for a model whose states have \(32,\)"):
        load_value_head(install_value_head(wide), tmp_path / "head.safetensors")


def test_inside_adapters_the_head_is_fitted_and_taken_away_again():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(policy(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    head = install_value_head(model)
    assert value_head(model) is head
    assert all(p.requires_grad for p in head.parameters())
    remove_value_head(model)
    assert value_head(model) is None


def test_without_a_head_there_are_no_values():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    shape = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "head_dim": 8,
             "num_attention_heads": 2, "num_key_value_heads": 2}  # fmt: skip
    capped = Gemma2ForCausalLM(Gemma2Config(**shape, final_logit_softcapping=2.0))
    with pytest.raises(UnsupportedError, match="Gemma2ForCausalLM scales or bounds what its last layer gives"):
        install_value_head(capped)
    model = policy()
    at, ids = torch.arange(3), torch.tensor([[4, 5, 6, 7]])
    wanted = Wanted(at, at, ids[0, 1:], values=True)
    for _ in range(2):  # without a head for log-probabilities, then with it
        with pytest.raises(UnsupportedError, match="values are wanted of a model without a value head"):
            read_states(model, {"input_ids": ids}, wanted)
        install_logp_head(model)


@pytest.mark.parametrize("headed_", [True, False])
def test_a_forbidden_token_leaves_the_entropy_a_number(headed_):
    """Of a distribution over the other tokens alone: 0 log 0 is 0, and so is its gradient."""
    model = policy()
    layer = torch.nn.Linear(16, model.config.vocab_size, bias=True)
    with torch.no_grad():
        layer.weight.copy_(model.lm_head.weight)
        layer.bias.zero_()
        layer.bias[3] = -torch.inf
    model.lm_head = layer
    if headed_:
        from plaudit.engine.vocabulary import LogpHead

        model.set_output_embeddings(LogpHead.replace(layer))
    at, ids = torch.arange(3), torch.tensor([[4, 5, 6, 7]])
    _, entropy = read_tokens(model, {"input_ids": ids}, Wanted(at, at, ids[0, 1:]))
    states = model.model(input_ids=ids).last_hidden_state[0, :3]
    kept = [i for i in range(model.config.vocab_size) if i != 3]
    logp = (states @ layer.weight[kept].T).log_softmax(-1)
    assert torch.allclose(entropy, -(logp.exp() * logp).sum(-1), atol=1e-6)
    (expected,) = torch.autograd.grad(-(logp.exp() * logp).sum(), model.model.embed_tokens.weight)
    (found,) = torch.autograd.grad(entropy.sum(), model.model.embed_tokens.weight)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.any()
