"""The options of an online run."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from plaudit.errors import InputError, nearest
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

KlPlace = Literal["loss", "reward"]
KlEstimator = Literal["k1", "k2", "k3"]


@dataclass(frozen=True, slots=True)
class OnlineConfig:
    """How a policy is improved on its own samples.

    Raises:
        InputError: if a value is outside its range.
    """

    algorithm: str = "grpo"
    """Advantages, loss and denominators, with options: `grpo?clip_high=0.28`; `plaudit align help` lists them."""
    epochs: float = 1.0
    """Passes over the prompts."""
    batch_size: int = 16
    """Prompts a step and process; each brings `completions`."""
    accumulation: int = 1
    """Micro-batches a step: 8 of batch size 1 equal 1 of batch size 8."""
    completions: int = 8
    """Completions of each prompt: the group that is compared."""
    max_tokens: int = 256
    """Most tokens of a completion."""
    temperature: float = 1.0
    """Of sampling, and of the log-probabilities that are trained on."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens that holds this probability."""
    passes: int = 1
    """Times that each batch of completions is learnt from."""
    minibatches: int = 1
    """Updates in each pass, on equal shares of the batch's prompts."""
    learning_rate: float = 1e-6
    """Peak learning rate of AdamW."""
    warmup: float = 0.1
    """Share of the updates in which the learning rate rises linearly; it falls to zero by a cosine."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for no limit."""
    kl_coef: float = 0.0
    """Weight of the KL to the starting policy: reward units per nat."""
    kl_in: KlPlace = "loss"
    """Where the KL counts: as a term of the loss, or taken from each token's reward, where the algorithm reads that."""
    kl_estimator: KlEstimator = "k2"
    """Whose mean gradient is followed in the loss, in every update of a batch: k2 that of KL(policy, start), k3 that of
    KL(start, policy), k1 nothing but noise; in the reward k1 is used."""
    kl_target: float = 0.0
    """KL a completion, nats, that the coefficient is moved towards; 0 keeps it as it is."""
    reference: str = ""
    """Folder or hub id of the policy that the KL is to; by default the one that the run starts from."""
    skip_kl: bool = False
    """Whether the KL is not even measured where nothing needs it: saves a forward pass and a copy of the policy."""
    entropy_coef: float = 0.0
    """Weight of the entropy of each next-token distribution: reward units per nat."""
    comparisons_per_sample: int = 0
    """Siblings that each completion is compared with, of algorithms that compare; 0 for all of them."""
    both_orders: bool = False
    """Whether a comparison is asked in both orders, at twice the price: what a judge gives to the first place goes."""
    repeat_by: str = ""
    """Column of prompts with the share of right answers to them: below 0.2 a pass asks them six times, below 0.6 four,
    below 0.8 twice (OREAL)."""
    refill: int = 0
    """Most further rounds of sampling in a step, each of as many other prompts as have nothing to teach so far: those
    all of whose rewards are equal, or that the algorithm leaves out (DAPO); 0 for none."""
    together: str = ""
    """Column of prompts that a reward judges together, such as the wordings of a question: one group to the reward."""
    drop_unfinished: bool = False
    """Whether completions that the limit of tokens ended are left out of the loss; their rewards still count."""
    unfinished_reward: float | None = None
    """What completions that the limit of tokens ended are worth, whatever the reward says (Tulu 3: -10)."""
    reward_seconds: float = 120.0
    """Longest time of one call of the reward."""
    reward_tries: int = 2
    """Calls for a sample that fails alone, before it has no reward."""
    tokens_per_row: int = 8192
    """Distinct tokens a packed row; less needs less memory."""
    sequences: int = 256
    """Most sequences in one forward call of sampling."""
    max_length: int = 2048
    """Tokens of prompt and completion; longer prompts are left out, and counted."""
    lora_rank: int = 0
    """Rank of LoRA adapters on all linear layers; the reference is then the model without them. 0 trains everything."""
    gradient_checkpointing: bool = False
    """Whether activations are recomputed in the backward pass."""
    bf16: bool = False
    """Whether forward passes run in bfloat16."""
    save_steps: int = 200
    """Updates between checkpoints."""
    trackers: str = ""
    """Trackers of transformers that also get the metrics, divided by commas: `tensorboard,wandb`."""
    seed: int = 0
    """Of the order of prompts and of sampling."""

    def __post_init__(self) -> None:
        online(self.algorithm)
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; give a number above 0")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; give a number of at least 0")
        for field in fields(self):
            if field.type == "int" and getattr(self, field.name) != int(getattr(self, field.name)):
                raise InputError(f"{field.name} is {getattr(self, field.name)}; give a whole number")
        for name, known in (("kl_in", get_args(KlPlace)), ("kl_estimator", get_args(KlEstimator))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is not known; {nearest(getattr(self, name), known)}")
        if not self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}; it is a share of the updates, in [0, 1)")
        if self.unfinished_reward is not None and not math.isfinite(self.unfinished_reward):
            raise InputError(f"unfinished_reward is {self.unfinished_reward}; give a finite number")
        if not self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; give a probability above 0, at most 1")
        if self.minibatches > self.batch_size * self.accumulation:
            raise InputError(
                f"minibatches is {self.minibatches} for {self.batch_size * self.accumulation} prompts a step; give at "
                "most as many, or a larger batch_size"
            )
        if self.kl_target and not self.kl_coef:
            raise InputError(f"kl_target is {self.kl_target} and kl_coef 0; give the coefficient that it starts with")

    @property
    def updates(self) -> int:
        """Updates on each batch of completions."""
        return self.passes * self.minibatches

    def check(self, method: Method) -> None:
        """Refuses options that a method does not read, or that it cannot work with.

        Raises:
            InputError: naming the first.
        """
        given = "both_orders" if self.both_orders else "comparisons_per_sample"
        if not method.compares and (self.both_orders or self.comparisons_per_sample):
            raise InputError(f"{given} has no effect on {method.title}, which compares nothing; leave it out")
        if method.compares and self.together:
            raise InputError(f"together has no effect on {method.title}, which compares the siblings of a prompt")
        if self.refill and (self.completions < 2 or self.together):
            given = f"together {self.together!r}" if self.together else f"completions {self.completions}"
            raise InputError(
                f"refill asks further prompts for those all of whose completions are worth the same, and {given} is "
                "given; give at least 2 completions and leave together out, or leave refill out"
            )
        if method.siblings and self.completions < 2:
            raise InputError(f"{method.title} compares siblings and completions is {self.completions}; give at least 2")
        if self.repeat_by and self.together:
            raise InputError("repeat_by and together are both given: wordings are asked equally often; leave one out")
        if self.comparisons_per_sample == 1 and self.completions % 2:
            raise InputError(
                f"comparisons_per_sample is 1 and completions {self.completions}: one would meet nobody; give an even "
                "number of completions, or 2 comparisons"
            )
        if self.reference and not needs_reference(self, method):
            raise InputError("reference is given and nothing asks it: skip_kl is set; leave one of the two out")
        self._check_unfinished(method)
        self._check_kl(method)

    def _check_unfinished(self, method: Method) -> None:
        if self.unfinished_reward is None:
            return
        if method.compares or not method.reward_counts:
            why = "which compares completions" if method.compares else "whose advantages do not read the reward"
            raise InputError(f"unfinished_reward has no effect on {method.title}, {why}; leave it out")
        if {"allowed", "logp"} <= method.estimator.needs and not 0 <= self.unfinished_reward <= 1:
            raise InputError(
                f"unfinished_reward is {self.unfinished_reward:g}, and to {method.title} what is not allowed is worth "
                "0; give 0 to 1"
            )

    def _check_kl(self, method: Method) -> None:
        if not self.kl_coef or self.kl_in != "reward":
            return
        why = ""
        if method.process is not None:
            why = "where its own token rewards are"
        elif not method.reward_counts:
            why = "which its advantages do not read, so the KL would be lost"
        elif {"allowed", "logp"} <= method.estimator.needs:
            why = "which it multiplies by the distance from the start, and where forbidden completions are worth 0"
        if why:
            raise InputError(f"{method.title}: kl_in is 'reward', {why}; give kl_in 'loss'")


def needs_reference(options: OnlineConfig, method: Method) -> bool:
    """Whether a reference is asked: to hold the policy back, by the algorithm, or to be measured."""
    asked = "ref_logp" in method.needs or method.process is not None
    return options.kl_coef > 0 or not options.skip_kl or asked


_POSITIVE = (
    "epochs", "batch_size", "accumulation", "completions", "max_tokens", "temperature", "top_p", "passes",
    "minibatches", "learning_rate", "reward_seconds", "reward_tries", "tokens_per_row", "sequences", "max_length",
    "save_steps",
)  # fmt: skip
_NOT_NEGATIVE = (
    "warmup", "weight_decay", "max_grad_norm", "kl_coef", "kl_target", "entropy_coef", "lora_rank", "seed",
    "comparisons_per_sample", "refill",
)  # fmt: skip
