"""A fitted mixture for one user: the same experts, their shares moved by what the user's pairs cost them [139].

Differs from the paper: there the router is trained on, and must read who is asking from the prompt. Here one user's
pairs move the shares of that user's every prompt, without a step of training and whatever the prompt says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.rewards.models import ModelReward
from plaudit.rewards.people.hedging import expert_losses, user_tilt
from plaudit.rewards.uncertainty.files import open_base, read_pairs
from plaudit.rewards.uncertainty.pairing import compared


def adapted(reward: ModelReward, rows: Sequence[Pair | Ranked], *, temperature: float = 1.0) -> ModelReward:
    """The mixture for the user who chose so in these rows.

    Args:
        reward: fitted by the objective `mixture`.
        rows: the user's pairs; a ranked row counts as all of its ordered pairs.
        temperature: of Hedge, in nats: 1 multiplies shares by likelihoods, which is Bayes' rule for a user who is one
            of the experts.

    Returns:
        A reward with the same weights whose head keeps the user's `tilt`: it is saved and loaded as any other, and has
        a fingerprint of its own. Adapting it again goes on from there.

    Raises:
        InputError: if the reward is no mixture, or there are no pairs.
    """
    if reward.head.kind != "mixture":
        raise InputError(
            f"{reward.name}: its head is {reward.head.kind!r}, and Hedge moves the shares of a mixture's experts; "
            "train one with --objective mixture"
        )
    samples, better, worse = compared(rows)
    outputs, _ = reward.outputs(samples)
    experts = outputs[:, : reward.head.outputs // 2].numpy()
    moved = user_tilt(expert_losses(experts[better], experts[worse]), temperature=temperature)
    before = reward.head.options.get("tilt") or [0.0] * len(moved)
    options = {**reward.head.options, "tilt": [float(a + b) for a, b in zip(before, moved, strict=True)]}
    head = {**reward.manifest.head, "options": options}
    manifest = replace(reward.manifest, head=head)
    return ModelReward(reward.model, reward.tokenizer, manifest, name=reward.name, budget=reward.engine.budget)


def open_mixture(of: str, context: str, temperature: float = 1.0) -> ModelReward:
    """A mixture adapted to the user whose pairs stand in a file.

    Args:
        of: the mixture's folder, or its run's.
        context: file of the user's pairs.
        temperature: see `adapted`.

    Raises:
        InputError: as `adapted`.
    """
    return adapted(open_base("personal/mixture", of)[0], read_pairs(context), temperature=temperature)
