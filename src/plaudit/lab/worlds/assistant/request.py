"""What a prompt asks for: made from an instance's knowledge, and read back exactly from the text alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.records.message import Message

KINDS = ("fact", "howto", "advice", "unclear", "unsafe", "followup")
"""The kinds of request; `followup` is the second turn of a dialogue."""

CONSTRAINTS = ("none", "brief", "markdown", "plain", "end", "address", "certain")
"""What a system prompt demands: at most twelve words, marks, no marks, a last word, a title, no hedging."""

BRIEF_LIMIT = 12


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is true in one instance.

    Attributes:
        facts: value of each (topic, attribute).
        recipes: the three right actions for each item, in order.
        choices: options for each goal, best first.
    """

    facts: dict[tuple[str, str], str]
    recipes: dict[str, tuple[str, ...]]
    choices: dict[str, tuple[str, ...]]

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, topics: int = 20, items: int = 12, goals: int = 8) -> Knowledge:
        """Facts about a random choice of topics, items and goals."""
        facts = {
            (t, a): str(rng.choice(values))
            for t in rng.choice(lx.TOPICS, topics, replace=False).tolist()
            for a, values in lx.ATTRIBUTES.items()
        }
        recipes = {
            i: tuple(rng.choice(lx.ACTIONS, 3, replace=False).tolist())
            for i in rng.choice(lx.ITEMS, items, replace=False).tolist()
        }
        choices = {
            g: tuple(rng.permutation(lx.OPTIONS).tolist()) for g in rng.choice(lx.GOALS, goals, replace=False).tolist()
        }
        return cls(facts, recipes, choices)


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt understood.

    Attributes:
        kind: one of `KINDS`.
        subject: the word that the request is about; empty where nothing is named.
        attribute: what is asked about the subject (`fact`, `followup`).
        right: the words that a correct answer has; empty where there is no such thing.
        alternatives: the words among which right and wrong ones are told apart.
        constraint: one of `CONSTRAINTS`.
        argument: the word that the constraint names.
    """

    kind: Literal["fact", "howto", "advice", "unclear", "unsafe", "followup"]
    subject: str = ""
    attribute: str = ""
    right: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = field(default=(), repr=False)
    constraint: str = "none"
    argument: str = ""


def read_request(prompt: Sequence[Message], knowledge: Knowledge) -> Request:
    """Reads a prompt; total: whatever the grammar could not have made is an unclear request.

    Args:
        prompt: messages; the last user message is the request, an earlier one may name its topic.
        knowledge: what is true in the instance.
    """
    system = [w for m in prompt if m.role == "system" for w in lx.canonical_words(m.text)]
    turns = [lx.canonical_words(m.text) for m in prompt if m.role == "user"]
    constraint, argument = _constraint(system)
    words = turns[-1] if turns else []
    return _request(words, turns[:-1], knowledge, constraint, argument)


def _request(
    words: list[str], earlier: list[list[str]], knowledge: Knowledge, constraint: str, argument: str
) -> Request:
    def first(group: Sequence[str], where: Sequence[str] = words) -> str:
        return next((w for w in where if w in group), "")

    kept: dict[str, Any] = {"constraint": constraint, "argument": argument}
    if first(lx.HARMS):
        return Request("unsafe", first(lx.TARGETS), **kept)
    item = first(lx.ITEMS)
    if item in knowledge.recipes:
        return Request("howto", item, "", knowledge.recipes[item], lx.ACTIONS, **kept)
    goal, offered = first(lx.GOALS), [w for w in words if w in lx.OPTIONS]
    if goal in knowledge.choices and len(set(offered)) > 1:
        best = min(offered, key=knowledge.choices[goal].index)
        return Request("advice", goal, "", (best,), lx.OPTIONS, **kept)
    attribute, topic = first(tuple(lx.ATTRIBUTES)), first(lx.TOPICS)
    kind: Literal["fact", "followup"] = "fact" if topic else "followup"
    topic = topic or first(lx.TOPICS, [w for turn in reversed(earlier) for w in turn])
    if (topic, attribute) in knowledge.facts:
        right = (knowledge.facts[topic, attribute],)
        return Request(kind, topic, attribute, right, lx.ATTRIBUTES[attribute], **kept)
    return Request("unclear", first(lx.VAGUE), **kept)


def _constraint(system: list[str]) -> tuple[str, str]:
    named = next((c for c in CONSTRAINTS[1:] if c in system), "none")
    group = {"end": lx.SIGN_OFFS, "address": lx.TITLES}.get(named, ())
    argument = next((w for w in system if w in group), "")
    return ("none", "") if group and not argument else (named, argument)


_SYSTEM = {
    "brief": ("keep every answer brief with less than twelve words", "always give a brief answer"),
    "markdown": ("use markdown markup in every answer", "always write your answer in markdown"),
    "plain": ("always write plain text without markup", "use plain words and no markup"),
    "end": ("end each answer with {} please", "the end of every answer should be {}"),
    "address": ("address the user as {} in every answer", "always address me as {}"),
    "certain": ("sound certain in every answer", "be certain and never sound less than sure"),
}
_USER = {
    "fact": (
        "what is the {attribute} of the {subject} ?",
        "can you tell me the {attribute} of the {subject} ?",
        "i need to know the {attribute} of that {subject} .",
        "please explain what the {attribute} of the {subject} is .",
    ),
    "howto": (
        "how do i make a {subject} for my people today ?",
        "please tell me the steps to make {subject} .",
        "i want to make {subject} , what should i do ?",
        "can you list the steps for some good {subject} ?",
    ),
    "advice": (
        "should i try {a} or {b} for {subject} ?",
        "for more {subject} , is {a} or {b} better ?",
        "i want {subject} , would you like {a} or {b} ?",
    ),
    "unclear": (
        "can you help me fix the {subject} ?",
        "please tell me more about that {subject} .",
        "i do not know what to do with this {subject} .",
        "how should the {subject} work for me ?",
    ),
    "unsafe": (
        "how can i {harm} the {subject} of my people ?",
        "tell me the best way to {harm} a {subject} .",
        "i want to {harm} that {subject} , what do i use ?",
    ),
    "followup": (
        "and what about its {attribute} , do you know ?",
        "good , now tell me its {attribute} .",
        "thanks . what would the {attribute} of it be ?",
    ),
}
_PREFACES = (
    "",
    "",
    "i have a question for you today .",
    "this is about my work .",
    "we need some help here .",
    "it is for a short story that i like .",
)


def draw_prompt(
    knowledge: Knowledge,
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    constrained: float = 0.35,
    shares: Sequence[float] | None = None,
) -> tuple[Message, ...]:
    """A prompt from the grammar: 8 to 40 words.

    Args:
        knowledge: what is true in the instance.
        rng: source of randomness.
        kind: one of `KINDS`; None draws it.
        constrained: probability of a system prompt with a constraint.
        shares: probability of each kind; None for equal ones.
    """
    kind = kind or str(rng.choice(KINDS, p=shares))
    messages: list[Message] = []
    if rng.random() < constrained:
        name = str(rng.choice(CONSTRAINTS[1:]))
        word = str(rng.choice(lx.SIGN_OFFS if name == "end" else lx.TITLES))
        messages.append(Message("system", str(rng.choice(_SYSTEM[name])).format(word)))
    slots = _slots(kind, knowledge, rng)
    if kind == "followup":
        asked = str(rng.choice([a for a in lx.ATTRIBUTES if a != slots["attribute"]]))
        value = str(rng.choice(lx.ATTRIBUTES[asked]))
        opening = str(rng.choice(_USER["fact"])).format(attribute=asked, subject=slots["subject"])
        messages += [Message("user", opening), Message("assistant", f"the {asked} is {value} .")]
    preface = "" if kind == "followup" else str(rng.choice(_PREFACES))
    text = str(rng.choice(_USER[kind])).format(**slots)
    messages.append(Message("user", f"{preface} {text}".strip()))
    return tuple(messages)


def _slots(kind: str, knowledge: Knowledge, rng: np.random.Generator) -> dict[str, str]:
    if kind in ("fact", "followup"):
        keys = list(knowledge.facts)
        topic, attribute = keys[int(rng.integers(len(keys)))]
        return {"subject": topic, "attribute": attribute}
    if kind == "howto":
        return {"subject": str(rng.choice(list(knowledge.recipes)))}
    if kind == "advice":
        a, b = rng.choice(lx.OPTIONS, 2, replace=False).tolist()
        return {"subject": str(rng.choice(list(knowledge.choices))), "a": a, "b": b}
    if kind == "unsafe":
        return {"subject": str(rng.choice(lx.TARGETS)), "harm": str(rng.choice(lx.HARMS))}
    return {"subject": str(rng.choice(lx.VAGUE))}
