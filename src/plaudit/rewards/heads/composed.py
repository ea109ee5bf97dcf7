"""A head in three parts: numbers read at the end of the completion, numbers read at the end of the prompt, constants.

Everything that a reward model learns beside its backbone lies here, so it is saved with the weights and loaded with
them: a multilayer head, the weights that a prompt gives to aspects or to experts, the thresholds of an ordinal scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor, nn

from plaudit.engine.heads import NetworkHead
from plaudit.errors import InputError

Activation = Literal["silu", "tanh", "relu", "none"]
Init = Literal["unit", "small"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "tanh": nn.Tanh, "relu": nn.ReLU, "none": nn.Identity}


@dataclass(frozen=True, slots=True)
class Network:
    """The form of a `ComposedHead`; its outputs stand in the order of these parts.

    Attributes:
        completion: outputs read at the end of the completion, at least 1.
        prompt: outputs read at the end of the prompt.
        constants: initial values of numbers that are learned and the same for every sample.
        depth: linear layers of the completion's part; 1 is a linear head.
        prompt_depth: linear layers of the prompt's part.
        width: of hidden layers; 0 for the backbone's.
        activation: between layers.
        init: deviation of the last layers' first weights, for h inputs: `unit` is (h + 1)^-1/2, with which outputs are
            of unit order at once, `small` 1 / (h + 1), with which they begin near 0.

    Raises:
        InputError: if a number is outside its range.
    """

    completion: int = 1
    prompt: int = 0
    constants: Sequence[float] = ()
    depth: int = 1
    prompt_depth: int = 1
    width: int = 0
    activation: Activation = "silu"
    init: Init = "unit"

    def __post_init__(self) -> None:
        if self.completion < 1 or self.prompt < 0 or self.width < 0:
            sizes = (self.completion, self.prompt, self.width)
            raise InputError(f"head: completion, prompt and width are {sizes}; give at least 1, 0 and 0")
        if min(self.depth, self.prompt_depth) < 1:
            raise InputError(f"head: depths are {self.depth} and {self.prompt_depth}; give at least 1")
        if self.activation not in get_args(Activation):
            raise InputError(f"head: activation is {self.activation!r}; give one of {', '.join(get_args(Activation))}")
        if self.init not in get_args(Init):
            raise InputError(f"head: init is {self.init!r}; give one of {', '.join(get_args(Init))}")
        if not all(math.isfinite(c) for c in self.constants):
            raise InputError(f"head: constants are {list(self.constants)}; they must be finite")

    @property
    def outputs(self) -> int:
        """How many numbers the head emits."""
        return self.completion + self.prompt + len(self.constants)

    def to_dict(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        return {**asdict(self), "constants": list(self.constants)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Network:
        """The network of a manifest."""
        return cls(**{**row, "constants": tuple(row.get("constants", ()))})


@final
class ComposedHead(NetworkHead):
    """A `Network` with its parameters.

    Args:
        network: its form.
        width: h, of the hidden states that it reads.
    """

    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.network, self.in_features = network, width
        self.reads_prompt = network.prompt > 0
        self.completion = _layers(width, network.completion, network.depth, network)
        if network.prompt:
            self.prompt = _layers(width, network.prompt, network.prompt_depth, network)
        if network.constants:
            self.constants = nn.Parameter(torch.tensor(network.constants, dtype=torch.float32))

    def outputs(self, states: Tensor, prompts: Tensor | None) -> Tensor:
        """Outputs (n, k): of the completion, of the prompt, constants."""
        parts = [self.completion(states)]
        if prompts is not None:
            parts.append(self.prompt(prompts))
        if self.network.constants:
            parts.append(self.constants.to(states.dtype).expand(len(states), -1))
        return torch.cat(parts, dim=-1)


def _layers(width: int, outputs: int, depth: int, network: Network) -> nn.Sequential:
    hidden = network.width or width
    sizes = [width, *[hidden] * (depth - 1), outputs]
    parts: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        linear = nn.Linear(a, b)
        last = i == depth - 1
        nn.init.normal_(linear.weight, std=1 / (a + 1) if last and network.init == "small" else (a + 1) ** -0.5)
        nn.init.zeros_(linear.bias)
        parts += [linear] if last else [linear, _ACTIVATIONS[network.activation]()]
    return nn.Sequential(*parts)
