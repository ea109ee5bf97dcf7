"""The options of direct alignment."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plaudit.errors import InputError
from plaudit.policy.algorithms import algorithm


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """How a policy is aligned.

    Raises:
        InputError: if a value is outside its range.
    """

    algorithm: str = "dpo"
    """What is minimised, with options: `simpo?beta=2.5&gamma=0.5`; `plaudit align help` lists them."""
    reference: str = ""
    """Folder or hub id of the frozen reference; by default the policy as it is before the first step."""
    epochs: float = 1.0
    """Passes over the data."""
    learning_rate: float = 1e-6
    """Peak learning rate of AdamW; LoRA wants about 1e-5, tiny models about 1e-4."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises linearly; it falls to zero by a cosine."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for no limit."""
    batch_size: int = 16
    """Groups (prompts with their completions) a step and process."""
    accumulation: int = 1
    """Micro-batches a step: 8 of batch size 1 equal 1 of batch size 8."""
    tokens_per_row: int = 8192
    """Distinct tokens a packed row; less needs less memory."""
    max_length: int = 2048
    """Tokens of prompt and completion; longer groups lose the beginning of the conversation, alike for all members."""
    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers, merged when the model is saved; 0 trains all weights."""
    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass: less memory, more time."""
    bf16: bool = False
    """Train in bfloat16 autocast."""
    save_steps: int = 200
    """Steps between checkpoints; a killed run goes on from the newest complete one."""
    seed: int = 0
    """Of data order and adapters."""

    def __post_init__(self) -> None:
        named = algorithm(self.algorithm)
        for name in (
            "epochs",
            "learning_rate",
            "batch_size",
            "accumulation",
            "tokens_per_row",
            "max_length",
            "save_steps",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it must be positive")
        for name in ("weight_decay", "lora_rank", "max_grad_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}; it is a share of the steps, in [0, 1)")
        if not 0 <= named.options.get("length_alpha", 1.0) <= 1:
            raise InputError(f"algorithm {named.name}: length_alpha is {named.options['length_alpha']}; give 0 to 1")
        if not 0 <= named.options.get("nll_coef", 0.0) < math.inf:
            raise InputError(f"algorithm {named.name}: nll_coef is {named.options['nll_coef']}; it must be at least 0")
        if self.reference and not (named.algorithm.reference or named.algorithm.anchor):
            raise InputError(f"reference has no effect on {named.name}, which reads none; leave it out")
