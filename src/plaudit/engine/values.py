"""A value function on a language model's own states: one forward call gives log-probabilities and values.

The head stands beside the last layer, inside the model's own output slot, and reads what that layer reads: the state
in which the next token is chosen. On a prefix tree a state that completions share has one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from plaudit.engine.greatest import chunked_best
from plaudit.engine.vocabulary import LogpHead, Wanted, install_logp_head, reading_tokens
from plaudit.errors import InputError, UnsupportedError


@final
class ValueHead(nn.Module):
    """`V = w h + b`, in float32 (float64 where the states are), from 0: before any fit a value says nothing.

    Args:
        width: of the states.
        trunk: whether the gradient goes on into the model below; without, states are constants.
    """

    def __init__(self, width: int, *, trunk: bool = True) -> None:
        super().__init__()
        self.trunk = trunk
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, states: Tensor) -> Tensor:
        """Values (s,) of states (s, width)."""
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        read = (states if self.trunk else states.detach()).to(wide)
        with torch.autocast(states.device.type, enabled=False):  # a value of 0.8 in bfloat16 has two digits
            return read @ self.weight.to(wide) + self.bias.to(wide)


def install_value_head(model: Any, *, trunk: bool = True) -> ValueHead:
    """Puts a `ValueHead` beside the last layer of a causal model.

    Args:
        model: a causal language model, changed in place; in a peft wrapper its inner model.
        trunk: see `ValueHead`.

    Raises:
        UnsupportedError: if the model alters what its last layer gives, see `install_logp_head`.
    """
    if not install_logp_head(model):
        raise UnsupportedError(
            f"{type(model).__name__} scales or bounds what its last layer gives, so values cannot be read there; use "
            "an algorithm without a value function, such as grpo"
        )
    layer = _layer(model)
    head = ValueHead(layer.in_features, trunk=trunk).to(layer.weight.device)
    layer.value = head
    return head


def remove_value_head(model: Any) -> None:
    """Takes the head away again, so that what is saved is a stock model; without one nothing happens."""
    layer = _layer(model)
    if isinstance(layer, LogpHead):
        layer.value = None


def value_head(model: Any) -> ValueHead | None:
    """The head inside a model, whatever it is wrapped in; None where it has none."""
    found: Iterator[ValueHead] = (m for m in model.modules() if isinstance(m, ValueHead))
    return next(found, None)


def save_value_head(head: ValueHead, path: Path) -> None:
    """Writes its numbers, as safetensors, whole or not at all."""
    from safetensors.torch import save

    from plaudit.runs.atomic import write_bytes

    write_bytes(path, save({name: p.detach().cpu().contiguous() for name, p in head.state_dict().items()}))


def load_value_head(head: ValueHead, path: Path) -> None:
    """Reads into a head what `save_value_head` wrote.

    Raises:
        InputError: if the file is that of a head of another width.
    """
    from safetensors.torch import load_file

    kept = load_file(path)
    if kept["weight"].shape != head.weight.shape:
        raise InputError(
            f"{path}: values of {tuple(kept['weight'].shape)} weights for a model whose states have "
            f"{tuple(head.weight.shape)}; give the head of the same model"
        )
    head.load_state_dict(kept)


def read_advantages(model: nn.Module, inputs: dict[str, Any], wanted: Wanted) -> tuple[Tensor, Tensor, Tensor]:
    """What a Q function of a language model is made of, by one forward call of the (wrapped) model, differentiable.

    Args:
        model: with a `ValueHead`.
        inputs: keyword arguments of its forward call.
        wanted: what is read; entropies are not.

    Returns:
        Log-probabilities (e,) of the wanted tokens, those of the likeliest token of each source (s,), so that their
        difference is `l(a) - max l`, and the values of the sources (s,); no table of logits is ever whole.

    Raises:
        UnsupportedError: if the model has no head for values.
    """
    with reading_tokens(replace(wanted, entropy=False, values=True, best=True)):
        found = model(**inputs).logits[0, 0]
    sizes = [len(wanted.targets), len(wanted.sources), len(wanted.sources)]
    split: tuple[Tensor, Tensor, Tensor] = found.split(sizes)
    return split


@torch.no_grad()
def read_choice(model: nn.Module, inputs: dict[str, Any], sources: Tensor) -> tuple[Tensor, Tensor]:
    """What a frozen model would say next, and its values, at some positions: token ids (s,) and values (s,).

    Args:
        model: with a `ValueHead`.
        inputs: keyword arguments of its forward call.
        sources: int64 (s,), flat positions.
    """
    head, layer = value_head(model), _layer(model)
    assert head is not None
    with reading_tokens(Wanted(sources, sources[:0], sources[:0], saying=True)):
        states = model(**inputs).logits[0]
    return chunked_best(states, layer.weight, layer.bias), head(states)


def _layer(model: Any) -> Any:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.get_output_embeddings()
