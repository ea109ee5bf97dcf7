"""Composed heads: where they read, in every layout; that they survive a folder; what they refuse."""

import copy

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from plaudit.engine.engine import Engine
from plaudit.errors import InputError, UnsupportedError
from plaudit.rewards.heads import ComposedHead, Network, install_network, network_class

FORM = Network(completion=2, prompt=3, constants=(0.5, -1.0), depth=2, prompt_depth=2, width=6, activation="tanh")
TEXTS = [[[5, 6, 7, 8, 9], [5, 6, 7, 3], [5, 6, 7, 3, 2, 2]], [[4, 4, 1, 2]]]
PROMPTS = [[3, 3, 3], [2]]


def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        pad_token_id=0, num_labels=1,
    )  # fmt: skip
    return install_network(LlamaForSequenceClassification(config), FORM).eval()


def by_hand(model, ids, prompt):
    """The states of one sequence alone, through the head's layers written out."""
    states = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0].detach()
    head = model.score

    def through(part, x):
        first, last = part[0], part[2]
        return last.weight @ torch.tanh(first.weight @ x + first.bias) + last.bias

    return torch.cat([through(head.completion, states[-1]), through(head.prompt, states[prompt - 1]), head.constants])


@pytest.mark.parametrize("mode", ["tree", "padded"])
def test_outputs_equal_the_layers_by_hand_in_every_layout(mode):
    model = llama()
    expected = [by_hand(model, s, n) for g, ns in zip(TEXTS, PROMPTS, strict=True) for s, n in zip(g, ns, strict=True)]
    with torch.inference_mode():
        found = Engine(copy.deepcopy(model), mode=mode, budget=16).scores(TEXTS, prompts=PROMPTS)
    assert torch.allclose(found, torch.stack(expected), atol=1e-5)
    assert found.shape == (4, FORM.outputs) == (4, 7)
    assert torch.allclose(found[:, 5:], torch.tensor([0.5, -1.0]))  # constants, before anything was learned


def test_an_empty_prompt_is_read_at_the_first_token():
    model = llama()
    with torch.inference_mode():
        found = Engine(model).scores([[[4, 4, 1]]], prompts=[[0]])
    assert torch.allclose(found[0], by_hand(model, [4, 4, 1], 1), atol=1e-5)


def test_it_survives_a_folder(tmp_path):
    model = llama()
    model.save_pretrained(tmp_path)
    again = network_class(AutoConfig.from_pretrained(tmp_path), FORM).from_pretrained(tmp_path).eval()
    assert isinstance(again.score, ComposedHead)
    with torch.inference_mode():
        a, b = (Engine(m).scores(TEXTS, prompts=PROMPTS) for m in (model, again))
    assert torch.allclose(a, b, atol=1e-6)


def test_gradients_reach_every_part():
    model = llama().train()
    Engine(model).scores(TEXTS, prompts=PROMPTS).square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.score.parameters())


def test_refusals():
    with pytest.raises(UnsupportedError, match=r"ends of prompt and completion; load it with plaudit\.load"):
        llama()(torch.tensor([[1, 2, 3]]))
    with pytest.raises(UnsupportedError, match="read at the ends of prompt"):
        Engine(llama()).scores(TEXTS)
    bert = BertForSequenceClassification(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    with pytest.raises(UnsupportedError, match="bert: has no linear `score` that a composed head could replace"):
        install_network(bert, FORM)
    for bad, message in (
        ({"completion": 0}, "completion, prompt and width are \\(0, 0, 0\\)"),
        ({"depth": 0}, "depths are 0 and 1; give at least 1"),
        ({"activation": "gelu"}, "activation is 'gelu'; give one of silu, tanh, relu, none"),
        ({"constants": (np.nan,)}, "constants are \\[nan\\]; they must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            Network(**bad)
    assert Network.from_dict(FORM.to_dict()) == FORM
