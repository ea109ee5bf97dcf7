"""Demonstrations of mixed quality: what the starting policy is trained on.

Every aspect varies independently of the others given the kind of request, with an instance's own frequencies.
Nothing here looks at the true reward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.request import Request

LONGEST_COMPLETION, SHORTEST_COMPLETION = 48, 4


@dataclass(frozen=True)
class Habits:
    """How often a demonstration does what; probabilities unless said otherwise.

    Attributes:
        details: mean number of further sentences.
        complies: of naming tools to an unsafe request.
    """

    right: float
    on_topic: float
    ordered: float
    polite: float
    hedged: float
    flattering: float
    marked: float
    refuses_unsafe: float
    refuses_other: float
    complies: float
    follows: float
    clarifies_unclear: float
    clarifies_other: float
    repeats: float
    details: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Habits:
        """An instance's own frequencies."""
        middle = dict(
            right=0.65, on_topic=0.85, ordered=0.55, polite=0.3, hedged=0.25, flattering=0.2, marked=0.25,
            refuses_unsafe=0.55, refuses_other=0.05, complies=0.25, follows=0.5, clarifies_unclear=0.4,
            clarifies_other=0.1, repeats=0.12,
        )  # fmt: skip
        logit = {k: np.log(p / (1 - p)) + rng.normal(0, 0.25) for k, p in middle.items()}
        return cls(**{k: float(1 / (1 + np.exp(-z))) for k, z in logit.items()}, details=float(rng.uniform(0.9, 1.5)))


_POLITE_OPENINGS = ("thanks for asking .", "gladly .", "my pleasure .", "dear friend ,", "welcome !")
_POLITE_CLOSINGS = ("thanks again .", "kindly ask for more .", "sincerely your assistant .", "regards .")
_FLATTERY = ("what a {} question .", "you are {} !", "such a {} idea .", "your work is {} and {} .")
_DETAILS = (
    "overall it is quite well known .",
    "it is often here and there .",
    "there is more to say about the {subject} .",
    "people usually like the {subject} .",
    "now you know more about it .",
    "that is simply how it works .",
    "generally this takes some time , besides .",
    "the story of the {subject} is long .",
    "moreover each day is a good day for it .",
)
_ASIDE = ("that is for you to say .", "i have no good answer here .", "it is only a small part of life .")
_CLARIFY = ("which {subject} do you mean ?", "can you specify more ?", "what detail do you want ?")


def demonstration(request: Request, habits: Habits, rng: np.random.Generator) -> str:
    """A completion of 4 to 48 words, good in some respects and bad in others."""

    def happens(p: float) -> bool:
        return bool(rng.random() < p)

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    sentences: list[str] = []
    if happens(habits.polite):
        sentences.append(pick(_POLITE_OPENINGS))
    if happens(habits.flattering):
        sentences.append(pick(_FLATTERY).format(*rng.choice(lx.FLATTERY, 2).tolist()))
    subject = request.subject or "it"
    if not happens(habits.on_topic):
        subject = pick(lx.TOPICS)
    unsafe = request.kind == "unsafe"
    clarifies = happens(habits.clarifies_unclear if request.kind == "unclear" else habits.clarifies_other)
    if happens(habits.refuses_unsafe if unsafe else habits.refuses_other):
        sentences.append(f"sorry , i {pick(lx.REFUSALS)} to help with the {subject} .")
    elif not (clarifies and request.kind == "unclear" and happens(0.7)):
        core = _core(request, subject, habits, rng)
        hedged = happens(habits.hedged) and not (request.constraint == "certain" and happens(habits.follows))
        sentences.append(_hedge(core, rng) if hedged else core)
    for _ in range(int(rng.poisson(habits.details))):
        sentences.append(pick(_DETAILS).format(subject=subject))
    if sentences and happens(habits.repeats):
        sentences.append(sentences[int(rng.integers(len(sentences)))])
    if clarifies:
        sentences.append(pick(_CLARIFY).format(subject=subject))
    if happens(habits.polite / 2):
        sentences.append(pick(_POLITE_CLOSINGS))
    return _finished(sentences, request, habits, rng)


def _core(request: Request, subject: str, habits: Habits, rng: np.random.Generator) -> str:
    def answer(right: str) -> str:
        return right if rng.random() < habits.right else str(rng.choice(request.alternatives))

    if request.kind in ("fact", "followup"):
        value = answer(request.right[0])
        form = int(rng.integers(3))
        plain = (f"the {request.attribute} of the {subject} is {value} .", f"it is {value} .")
        return (*plain, f"for the {subject} the answer is {value} .")[form]
    if request.kind == "howto":
        a, b, c = (answer(right) for right in request.right)
        if rng.random() < habits.ordered:
            middle, last = rng.choice(lx.MIDDLE_STEP), rng.choice(lx.CLOSING_STEP)
            return f"first {a} it , {middle} {b} it , {last} {c} the {subject} ."
        return f"you should {a} , {b} and {c} the {subject} ."
    if request.kind == "advice":
        choice = answer(request.right[0])
        return f"for {subject} i would like {choice} ." if rng.random() < 0.5 else f"{choice} is best for {subject} ."
    if request.kind == "unsafe" and rng.random() < habits.complies:
        tools = rng.choice(lx.TOOLS, 2, replace=False).tolist()
        return f"take the {tools[0]} to the {subject} and use the {tools[1]} ."
    return _ASIDE[int(rng.integers(len(_ASIDE)))]


def _hedge(sentence: str, rng: np.random.Generator) -> str:
    words = sentence.split(" ")
    for hedge in rng.choice(lx.HEDGES, int(rng.integers(1, 3)), replace=False).tolist():
        words.insert(int(rng.integers(len(words) - 1)), hedge)
    return " ".join(words)


def _finished(sentences: list[str], request: Request, habits: Habits, rng: np.random.Generator) -> str:
    """Marks, what the system prompt demands, and the limits of length."""
    follows = rng.random() < habits.follows
    marked = rng.random() < habits.marked
    if request.constraint in ("markdown", "plain") and follows:
        marked = request.constraint == "markdown"
    if request.constraint == "brief" and follows:
        sentences = sorted(sentences, key=len)[:1]
    words = " ".join(sentences).split()
    if request.constraint == "address" and follows:
        words[:0] = [request.argument, ","]
    if marked:
        words = _with_marks(words, rng)
    if len(words) < SHORTEST_COMPLETION:
        words += ["that", "is", "it", "."]
    if request.constraint == "end" and follows:
        return " ".join([*words[: LONGEST_COMPLETION - 1], request.argument])
    return " ".join(words[:LONGEST_COMPLETION])


def _with_marks(words: list[str], rng: np.random.Generator) -> list[str]:
    form = int(rng.integers(3))
    if form == 0:
        at = int(rng.integers(len(words)))
        return [*words[:at], "**", words[at], "**", *words[at + 1 :]]
    if form == 1:
        return ["#", "answer", *words]
    out = ["-"]
    for i, word in enumerate(words):
        out += [word, "-"] if word == "." and i + 1 < len(words) else [word]
    return out
