"""What the last token attends to: the last row of transformers' own attention weights, whatever the layers are like."""

import pytest
import torch

from plaudit.engine.attending import last_attention
from plaudit.engine.engine import open_gate
from plaudit.errors import InputError, UnsupportedError

IDS = [3, 17, 5, 9, 22, 4, 31, 8, 6, 11, 2, 30]


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt_oss"])
def test_it_is_the_last_row_of_the_eager_weights(build, family):
    model = build(family, kind="causal")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        told = model(torch.tensor([IDS]), output_attentions=True).attentions
    wanted = torch.stack([layer[0, :, -1].mean(dim=0) for layer in told]).mean(dim=0)
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    assert open_gate(model).open
    found = last_attention(model, IDS)
    assert found == pytest.approx(wanted.double().numpy(), abs=1e-6)
    if family != "gpt_oss":
        assert found.sum() == pytest.approx(1.0, abs=1e-6)
    assert not model.training


def test_another_attention_tells_nothing(build):
    model = build("llama", kind="causal")
    with pytest.raises(UnsupportedError, match=r"last_attention: the model's attention is .*; only Plaudit's tells"):
        last_attention(model, IDS)
    with pytest.raises(InputError, match="there are no tokens"):
        last_attention(model, [])
