"""Long chains of which a few tokens decide: outcomes alone, and with token rewards that are fitted to them on the way.

The policy and the model of token rewards see features of the prompt; which places decide, nobody tells them. Arms
differ in the token rewards alone: the same estimator, filter, samples and outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import Chains, Floats, chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn
from plaudit.policy.advantages.credit import StreamCredit
from plaudit.policy.advantages.filtering import WithinAccuracy
from plaudit.policy.online.method import Method
from plaudit.policy.online.methods import online

ARMS = ("prime", "outcome", "grpo", "random", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `area`, accuracy on test prompts averaged over the updates; `accuracy`, at the end.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "short"):
        raise InputError(f"token_rewards: arm {arm!r} is not known; the claim lists the arms")
    decisive = int(budget["decisive"])
    length = decisive if knob else int(budget["length"])
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=length, decisive=decisive,
        skill=float(budget["skill"]),
    )  # fmt: skip
    spending = Spending(
        int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True
    )
    policy = world.policy()
    told = np.random.default_rng([seed, 2]).normal(size=tuple(world.start.shape))
    history = improved(
        policy, lambda drawn: _judged(name, world, drawn, told), _method(name, budget), spending,
        generator=torch.Generator().manual_seed(seed), watch=lambda p, _: {"accuracy": float(world.accuracy(p).mean())},
    )  # fmt: skip
    curve = [row["accuracy"] for row in history]
    return {"area": float(np.mean(curve)), "accuracy": curve[-1]}


def _method(name: str, budget: Mapping[str, Any]) -> Method:
    if name == "grpo":
        return online(name)[1]
    process = 0 if name == "outcome" else 1
    method = online(f"prime?process={process}&process_rate={budget['process_rate']}")[1]
    if name == "prime":
        return method
    # the same estimator and loss; token rewards, if any, are told by the world and not fitted
    assert isinstance(method.estimator, WithinAccuracy)
    credit = WithinAccuracy(StreamCredit(process=process), low=method.estimator.low, high=method.estimator.high)
    return Method(credit, method.surrogate, method.weights, name=name)


def _judged(name: str, world: Chains, drawn: Drawn, told: Floats) -> Judged:
    right = world.right(drawn)
    rewards = np.zeros(drawn.tokens.shape)
    if name == "oracle":  # one for each token that decides and is right
        rewards[:, world.decisive.numpy()] = world.hits(drawn).double().numpy()
    elif name == "random":  # a model that knows nothing: linear in the features, as a fitted one is
        of = np.einsum("pk,ktv->ptv", world.train.numpy()[drawn.prompt.numpy()], told)
        rewards = np.take_along_axis(of, drawn.tokens.numpy()[..., None], axis=-1)[..., 0]
    return Judged(right, correct=right, token_rewards=rewards[drawn.mask.numpy()])
