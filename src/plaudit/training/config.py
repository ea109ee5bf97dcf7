"""The options of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, Protocol

from plaudit.errors import InputError
from plaudit.training.methods import METHODS, chosen
from plaudit.training.regularisers.naming import fair_of


class LoopConfig(Protocol):
    """What a training loop reads of its options, whatever is trained; `FitConfig` says what each means."""

    @property
    def epochs(self) -> float:
        """Passes over the data."""

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""

    @property
    def warmup(self) -> float:
        """Share of the steps in which it rises."""

    @property
    def weight_decay(self) -> float:
        """AdamW's."""

    @property
    def max_grad_norm(self) -> float:
        """0 for no limit."""

    @property
    def batch_size(self) -> int:
        """Groups a step and process."""

    @property
    def accumulation(self) -> int:
        """Micro-batches a step."""

    @property
    def tokens_per_row(self) -> int:
        """Distinct tokens a packed row."""

    @property
    def max_length(self) -> int:
        """Tokens of prompt and completion."""

    @property
    def lora_rank(self) -> int:
        """0 trains all weights."""

    @property
    def gradient_checkpointing(self) -> bool:
        """Recompute layers in the backward pass."""

    @property
    def bf16(self) -> bool:
        """Train in bfloat16 autocast."""

    @property
    def save_steps(self) -> int:
        """Steps between checkpoints."""

    @property
    def seed(self) -> int:
        """Of initialisation and data order."""


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a reward model is fitted.

    Raises:
        InputError: if a value is outside its range.
    """

    objective: str = "bradley-terry"
    """What is minimised, with options: `quantile?levels=0.1,0.5,0.9`; `plaudit train --objective help` lists them."""
    epochs: float = 1.0
    """Passes over the data."""
    learning_rate: float = 1e-5
    """Peak learning rate of AdamW; models from scratch want about 1e-3."""
    warmup: float = 0.05
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
    use_margin: bool = False
    """Whether the rows' margins shift the difference of scores."""
    margin_scale: float = 1.0
    """Score units per unit of margin, with use_margin."""
    label_smoothing: float = 0.0
    """Share of labels taken to be flipped, in [0, 0.5)."""
    center_coef: float = 0.0
    """Weight of the squared sum of both scores of a pair: keeps scores near zero (0.01 is common)."""
    contrastive_coef: float = 0.0
    """Weight of a term that keeps a prompt's completions apart: two views of each by two dropout masks [13]."""
    contrastive_dropout: float = 0.1
    """Share of the last state that each of the two masks of contrastive_coef sets to 0, in [0, 1)."""
    meta_rate: float = 0.0
    """Size of the meta step towards telling a shifted policy's samples apart, before each step; 0 for none [13]."""
    head_depth: int = 1
    """Linear layers of the head; 2 is the small network of [93]. Plain transformers opens models of depth 1 only."""
    head_activation: Literal["silu", "tanh", "relu", "none"] = "silu"
    """Between the layers of a deeper head."""
    head_width: int = 0
    """Of the hidden layers of a deeper head; 0 for the backbone's width."""
    balance: Literal["none", "length"] = "none"
    """`length` weighs pairs so that, at each difference of length, the longer one is chosen half of the time."""
    fair: str = ""
    """What is done so that no group pays for the others, with options: `error-bound?gamma=1`, by the column that group
    names; `plaudit train --fair help` lists them."""
    group: str = ""
    """Column of the rows by which groups are formed, with fair; several divided by commas for distance-covariance."""
    row_weight: str = ""
    """Column of the rows whose number weighs a row's pairs; rows of weight 0 are left out. Empty weighs all alike."""
    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers, merged when the model is saved; 0 trains all weights."""
    freeze: bool = False
    """Train a linear head on frozen, mean-pooled features (encoders; little data)."""
    l2: float = 0.0
    """Penalty of the frozen-feature head; 0 chooses it by cross-validation on the training prompts."""
    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass: less memory, more time."""
    bf16: bool = False
    """Train in bfloat16 autocast."""
    save_steps: int = 200
    """Steps between checkpoints; a killed run goes on from the newest complete one."""
    seed: int = 0
    """Of initialisation and data order."""

    def __post_init__(self) -> None:
        method = chosen(self.objective)
        if self.balance not in ("none", "length"):
            raise InputError(f"balance is {self.balance!r}; give 'none' or 'length'")
        if self.head_activation not in ("silu", "tanh", "relu", "none"):
            raise InputError(f"head_activation is {self.head_activation!r}; give silu, tanh, relu or none")
        if not 0 <= self.label_smoothing < 0.5:
            raise InputError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 0.5)")
        if not 0 <= self.contrastive_dropout < 1:
            raise InputError(f"contrastive_dropout is {self.contrastive_dropout}; it must lie in [0, 1)")
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}; it is a share of the steps, in [0, 1)")
        for name in (
            "epochs",
            "learning_rate",
            "batch_size",
            "accumulation",
            "tokens_per_row",
            "max_length",
            "save_steps",
            "head_depth",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it must be positive")
        for name in (
            "weight_decay",
            "center_coef",
            "lora_rank",
            "l2",
            "max_grad_norm",
            "margin_scale",
            "meta_rate",
            "contrastive_coef",
            "head_width",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 0")
        self._check_combination(method.name)
        self._check_fairness()

    def _check_fairness(self) -> None:
        """A regulariser of groups and what it needs."""
        fair = fair_of(self.fair, self.group)
        if fair is None:
            return
        if self.meta_rate:
            raise InputError("fair: a step looks ahead either for groups or for a shifted policy; leave out meta_rate")
        if self.batch_size * self.accumulation < fair.method.least:
            raise InputError(
                f"fair {fair.name}: batch_size {self.batch_size} times accumulation {self.accumulation} is a step of "
                f"fewer than {fair.method.least} groups, which says nothing of them; raise either"
            )

    def _check_combination(self, method: str) -> None:
        """An option that would be ignored is refused: silence would look like an effect."""
        if method != "bradley-terry":
            default = {f.name: f.default for f in fields(self)}
            for name in (
                *("use_margin", "margin_scale", "label_smoothing", "center_coef", "balance", "freeze"),
                *("fair", "group"),
            ):
                if getattr(self, name) != default[name]:
                    raise InputError(f"{name} has no effect on {method}; leave it out, or use bradley-terry")
        found = METHODS[method]
        if self.row_weight and found.model == "causal":
            raise InputError(f"row_weight has no effect on {method}, which weighs all rows alike; leave it out")
        if self.row_weight and found.item != "pair":
            raise InputError(f"row_weight weighs pairs, and {method} is a mean over {found.item}s; leave it out")
        for name in ("meta_rate", "contrastive_coef"):
            if getattr(self, name) and METHODS[method].model == "causal":
                raise InputError(f"{name} has no effect on {method}, which trains no head; leave it out")
        if self.contrastive_dropout != 0.1 and not self.contrastive_coef:
            raise InputError("contrastive_dropout has no effect without contrastive_coef; set that as well")
        if self.head_depth == 1 and self.head_activation != "silu":
            raise InputError("head_activation has no effect on a linear head; set head_depth to 2 or more")
        if self.head_depth == 1 and self.head_width:
            raise InputError("head_width has no effect on a linear head; set head_depth to 2 or more")
        if self.freeze:
            default = {f.name: f.default for f in fields(self)}
            for name in (
                *("head_depth", "use_margin", "margin_scale", "center_coef", "balance", "lora_rank", "meta_rate"),
                *("contrastive_coef", "gradient_checkpointing", "bf16", "fair", "group", "row_weight"),
                # of a training loop, which a frozen head has none of: it is solved for exactly
                *("epochs", "learning_rate", "warmup", "weight_decay", "max_grad_norm", "batch_size", "accumulation"),
                *("tokens_per_row", "save_steps"),
            ):
                if getattr(self, name) != default[name]:
                    raise InputError(f"{name} has no effect on a frozen head; leave it out, or leave out freeze")
        elif self.l2:
            raise InputError("l2 is the penalty of a frozen head; set freeze as well, or use weight_decay")


@dataclass(frozen=True, slots=True)
class Backbone:
    """The model that a fit starts from.

    Raises:
        InputError: if a size is not positive.
    """

    name: str = "scratch"
    """Folder or hub id of a pretrained model, or `scratch` for a small Llama with random weights."""
    tokenizer: str = ""
    """Folder or hub id of the tokenizer; by default the model's own, or for `scratch` one fitted to the data."""
    width: int = 128
    """Hidden size of a model from scratch."""
    layers: int = 4
    """Layers of a model from scratch."""
    heads: int = 4
    """Attention heads of a model from scratch."""
    vocabulary: int = 4096
    """Tokens of a tokenizer fitted to the data (byte-level BPE)."""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "vocabulary"):
            if getattr(self, name) < 1:
                raise InputError(f"model: {name} is {getattr(self, name)}; it must be at least 1")
        if self.width % (2 * self.heads):
            raise InputError(f"model: width {self.width} must be a multiple of twice the heads ({self.heads})")
