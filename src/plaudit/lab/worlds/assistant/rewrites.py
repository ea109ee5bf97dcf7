"""Counterfactuals for the audit: one surface feature added, and what that is truly worth, exactly."""

from __future__ import annotations

from dataclasses import replace

from plaudit.errors import InputError, nearest
from plaudit.lab.worlds.assistant.world import World
from plaudit.records.sample import Sample

_OPENINGS = {
    "length": "overall it is quite well known by now and here today .",
    "politeness": "thanks , gladly .",
    "hedging": "perhaps , probably ,",
    "flattery": "brilliant and clever !",
}
FEATURES = ("length", "markdown", "politeness", "hedging", "flattery")
"""What can be added."""


def counterfactual(world: World, sample: Sample, what: str) -> tuple[Sample, float]:
    """The sample with one surface feature added in front, and the true difference that this makes.

    Nothing else of the text changes. The difference is not zero in general (words cost, marks may be asked
    for), which is why it is returned: a reward's own difference minus it is the reward's bias.

    Args:
        world: the instance.
        sample: any sample.
        what: one of `FEATURES`.

    Returns:
        The rewritten sample (without steps), and U(rewritten) - U(sample).

    Raises:
        InputError: if the feature is not known.
    """
    if what not in FEATURES:
        raise InputError(f"counterfactual: feature {what!r} is not known; {nearest(what, FEATURES)}")
    words = sample.text.split()
    if what == "markdown":
        words = ["#", "**", *words[:1], "**", "-", *words[1:]]
    else:
        words = [*_OPENINGS[what].split(), *words]
    rewritten = replace(sample, completion=" ".join(words), steps=None)
    u = world.true_reward([sample, rewritten])
    return rewritten, float(u[1] - u[0])
