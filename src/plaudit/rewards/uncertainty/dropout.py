"""MC dropout: how far a reward moves when parts of the network are left out.

Differs from the paper: a member is one thinned network. Its masks are drawn once, by the seed, and are the same for
every sample and every token, so that a score does not depend on the batch, a prefix that samples share is still
computed once, and a difference of two samples is taken within a member. Masks that change from token to token would
make a member's preference between two completions noise. Models are trained without dropout here, so the deviation is
that of a perturbation, not a posterior: its size is set by the rate.

Source: Gal and Ghahramani 2016, "Dropout as a Bayesian Approximation"; the same authors' "A Theoretically Grounded
Application of Dropout in Recurrent Neural Networks" (one mask for all positions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor

from plaudit.engine.gate import trunk
from plaudit.errors import InputError, UnsupportedError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, RewardBatch, Scope
from plaudit.rewards.models import ModelReward
from plaudit.rewards.uncertainty.features import check_linear, head_scores, leaf_features

Where = Literal["head", "layers"]
_thinned: ContextVar[tuple[object, int]] = ContextVar("plaudit_thinned", default=(None, 0))
"""Which wrapper's which member the calling thread runs: hooks belong to the model, which threads share."""


@final
class DropoutReward:
    """A reward model with thinned copies of itself as members; the reward is the whole network's, unchanged.

    Args:
        reward: the model.
        passes: members.
        rate: probability that a channel is left out, in (0, 1); the others are scaled by `1 / (1 - rate)`.
        where: `head` leaves out inputs of the head, which costs one more pass; `layers` leaves out channels of what
            each MLP adds to the residual stream, which costs one more pass a member.
        seed: of the masks.

    Raises:
        InputError: if an option is outside its range.
        UnsupportedError: if the model has no linear head, or no MLPs to hook.
    """

    scope: Scope = "sample"

    def __init__(
        self, reward: ModelReward, *, passes: int = 16, rate: float = 0.1, where: Where = "head", seed: int = 0
    ) -> None:
        if passes < 2:
            raise InputError(f"uncertainty/dropout: passes is {passes}; a deviation needs at least 2")
        if not 0 < rate < 1:
            raise InputError(f"uncertainty/dropout: rate is {rate}; it is a probability, above 0 and below 1")
        if where not in ("head", "layers"):
            raise InputError(f"uncertainty/dropout: where is {where!r}; give 'head' or 'layers'")
        if where == "head":
            check_linear(reward)
        elif not _mlps(reward.model):
            raise UnsupportedError(f"{reward.name}: {reward.model.config.model_type} has no MLPs to hook; where=head")
        self.reward, self.passes, self.rate, self.where, self.seed = reward, passes, rate, where, seed
        self.name, self._key = reward.name, object()
        if where == "layers":
            for layer, mlp in enumerate(_mlps(reward.model)):
                mlp.register_forward_hook(self._hook(layer))  # stays, and does nothing but in passes of this wrapper

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the model."""
        return self.reward.bounds

    @property
    def fingerprint(self) -> str:
        """Hash of the model and the masks' options."""
        return content_hash(["dropout", self.reward.fingerprint, self.passes, self.rate, self.where, self.seed])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples: members are the thinned networks, `std` is their population deviation."""
        if not samples:
            return RewardBatch(np.zeros(0))
        batch = self.reward(samples)
        members = self._thinned_heads(samples) if self.where == "head" else self._thinned_networks(samples)
        members = np.where(batch.valid[:, None], members, np.nan)
        return replace(batch, members=members, std=members.std(axis=1))

    def _thinned_heads(self, samples: Sequence[Sample]) -> Floats:
        states, scores = leaf_features(self.reward, samples), []
        for i in range(self.passes):
            outputs = head_scores(self.reward, states * self._mask(i, 0, states))
            scores.append(self.reward.head.read(outputs).score)
        return self._in_unit(np.stack(scores, axis=1))

    def _thinned_networks(self, samples: Sequence[Sample]) -> Floats:
        columns = []
        for i in range(self.passes):
            token = _thinned.set((self._key, i))
            try:
                columns.append([d["score"] for d in self.reward(samples).detail])
            finally:
                _thinned.reset(token)
        # scores, not rewards, which the floor has lifted; None where one is not finite
        return self._in_unit(np.array(columns, dtype=np.float64).T)

    def _in_unit(self, scores: Floats) -> Floats:
        m = self.reward.manifest
        return (scores - m.offset) / m.scale

    def _hook(self, layer: int) -> Callable[[Any, Any, Any], Any]:
        def thin(_module: Any, _args: Any, output: Any) -> Any:
            key, member = _thinned.get()
            if key is not self._key:  # a plain pass, or another thread's, or another wrapper of the same model
                return output
            if isinstance(output, tuple):  # mixtures of experts return their router's logits too
                return (output[0] * self._mask(member, layer, output[0]), *output[1:])
            return output * self._mask(member, layer, output)

        return thin

    def _mask(self, member: int, layer: int, like: Tensor) -> Tensor:
        """Zeros and `1 / (1 - rate)`, (width,)."""
        rng = np.random.default_rng([self.seed, member, layer, 43])
        kept = rng.random(like.shape[-1]) >= self.rate
        return torch.from_numpy(kept / (1 - self.rate)).to(like)


def open_dropout(of: str, passes: int = 16, rate: float = 0.1, where: str = "head", seed: int = 0) -> DropoutReward:
    """A model folder or hub id with MC dropout; options as in `DropoutReward`.

    Raises:
        InputError: if the reference is another kind of reward.
    """
    from plaudit.rewards.registry import open_model

    reward = open_model(of)
    if not isinstance(reward, ModelReward):
        raise InputError(f"uncertainty/dropout: {of} is a {type(reward).__name__}; give a transformers reward model")
    return DropoutReward(reward, passes=passes, rate=rate, where=where, seed=seed)  # type: ignore[arg-type]


def _mlps(model: Any) -> list[Any]:
    """The feed-forward parts of the layers, in their order."""
    return [module for name, module in trunk(model).named_modules() if name.endswith(".mlp")]
