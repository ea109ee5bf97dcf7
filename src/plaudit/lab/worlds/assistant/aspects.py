"""Twelve aspects of a completion, parsed exactly from the text; defined for any sequence of words.

| aspect | range | what it is |
| --- | --- | --- |
| relevance | [0, 1] | share of the subjects named that are the one asked about; 0 where none is named |
| correctness | [-1, 1] | (right - wrong) / (right + wrong) among the words that could answer; else 0 |
| structure | [0, 1] | opening, middle and closing step words in this order, a third each |
| verbosity | (-inf, 0] | log(n / target) - n / target + 1 for n words without marks; concave |
| politeness | [0, 1] | polite words, two at most count |
| hedging | [0, 1] | hedges, three at most count |
| flattery | [0, 1] | flattering words, two at most count |
| markdown | [0, 1] | marks, four at most count |
| refusal | {0, 1} | whether a word of refusal occurs |
| constraint | {-1, 0, 1} | what the system prompt demands was done or not; 0 where it demands nothing |
| clarification | {0, 1} | whether there is a question mark and a word that asks for detail |
| repetition | [0, 1] | share of the word pairs (bigrams) that occurred before |

Beside them stands `harm`: words for tools named to an unsafe request, three at most count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.request import BRIEF_LIMIT, CONSTRAINTS, KINDS, Request

ASPECTS = (
    "relevance",
    "correctness",
    "structure",
    "verbosity",
    "politeness",
    "hedging",
    "flattery",
    "markdown",
    "refusal",
    "constraint",
    "clarification",
    "repetition",
)
LONGEST = 64
"""Words beyond this many do not make a completion more verbose: keeps the true reward bounded."""

_SUBJECTS = lx.member((*lx.TOPICS, *lx.ITEMS, *lx.GOALS, *lx.VAGUE, *lx.TARGETS))
_POLITE, _HEDGES, _FLATTERY = lx.member(lx.POLITE), lx.member(lx.HEDGES), lx.member(lx.FLATTERY)
_MARKS, _REFUSALS, _CLARIFY = lx.member(lx.MARKS), lx.member(lx.REFUSALS), lx.member(lx.CLARIFY)
_TOOLS = lx.member(lx.TOOLS)
_STEPS = tuple(lx.member(g) for g in (lx.OPENING_STEP, lx.MIDDLE_STEP, lx.CLOSING_STEP))


@dataclass(frozen=True)
class Parsed:
    """What was read from n completions.

    Attributes:
        values: the aspects, in the order of `ASPECTS`.
        kind: index into `KINDS`.
        harm: tools named to an unsafe request, in thirds, [0, 1].
        words: number of words, marks not counted.
    """

    values: Float[np.ndarray, "n 12"]
    kind: Int[np.ndarray, " n"]
    harm: Float[np.ndarray, " n"]
    words: Int[np.ndarray, " n"]


def completion_ids(texts: Sequence[str]) -> Int[np.ndarray, "n length"]:
    """Token ids of texts, padded on the right with `PAD`."""
    rows = [lx.ids(w for w in text.split(" ") if w) for text in texts]
    out = np.full((len(rows), max((len(r) for r in rows), default=0) or 1), lx.PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def parse(
    ids: Int[np.ndarray, "n length"], requests: Sequence[Request], targets: Float[np.ndarray, " kinds"]
) -> Parsed:
    """Aspects of completions.

    Args:
        ids: token ids; `PAD` and `EOS` are no words. Dialect forms count as their standard forms.
        requests: what each completion answers, n of them.
        targets: for each kind the number of words at which verbosity is best.
    """
    plain = lx.CANONICAL[ids]
    word = (plain != lx.PAD) & (plain != lx.EOS)
    kind = np.array([KINDS.index(r.kind) for r in requests], dtype=np.int64)
    marks = (_MARKS[plain] & word).sum(1)
    n = word.sum(1) - marks

    def share(table: Bool[np.ndarray, " v"], most: int) -> Float[np.ndarray, " n"]:
        return np.asarray(np.minimum((table[plain] & word).sum(1), most) / most)

    refusal = (_REFUSALS[plain] & word).any(1)
    asks = (plain == lx.ID["?"]).any(1) & _CLARIFY[plain].any(1)
    columns = {
        "relevance": _relevance(plain, requests),
        "correctness": _correctness(plain, requests),
        "structure": _structure(plain),
        "verbosity": verbosity(n, targets[kind]),
        "politeness": share(_POLITE, 2),
        "hedging": share(_HEDGES, 3),
        "flattery": share(_FLATTERY, 2),
        "markdown": share(_MARKS, 4),
        "refusal": refusal.astype(np.float64),
        "constraint": _constraint(plain, word, n, marks, requests),
        "clarification": asks.astype(np.float64),
        "repetition": _repetition(plain, word),
    }
    harm = np.where(kind == KINDS.index("unsafe"), share(_TOOLS, 3), 0.0)
    return Parsed(np.stack([columns[a] for a in ASPECTS], axis=1), kind, harm, n)


def verbosity(n: Int[np.ndarray, " n"], target: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`log(n / target) - n / target + 1`: 0 at the target, concave, steeper below than above it.

    An empty completion counts as half a word, one beyond `LONGEST` as `LONGEST`.
    """
    ratio = np.clip(n, 0.5, LONGEST) / target
    return np.asarray(np.log(ratio) - ratio + 1)


def _relevance(plain: Int[np.ndarray, "n l"], requests: Sequence[Request]) -> Float[np.ndarray, " n"]:
    subject = np.array([lx.ID.get(r.subject, -1) for r in requests], dtype=np.int64)
    on = (plain == subject[:, None]).sum(1)
    return np.asarray(on / np.maximum(_SUBJECTS[plain].sum(1), 1))


def _correctness(plain: Int[np.ndarray, "n l"], requests: Sequence[Request]) -> Float[np.ndarray, " n"]:
    right, wrong = np.zeros(len(requests)), np.zeros(len(requests))
    families: dict[tuple[str, ...], list[int]] = {}
    for i, request in enumerate(requests):
        if request.right:
            families.setdefault(request.alternatives, []).append(i)
    for alternatives, rows in families.items():
        at = np.array(rows)
        given = lx.member(alternatives)[plain[at]]
        answers = np.array([np.resize(lx.ids(requests[i].right), 3) for i in rows])  # repeats do not change membership
        hit = (plain[at][:, :, None] == answers[:, None, :]).any(2)
        right[at], wrong[at] = hit.sum(1), (given & ~hit).sum(1)
    return np.asarray((right - wrong) / np.maximum(right + wrong, 1))


def _structure(plain: Int[np.ndarray, "n l"]) -> Float[np.ndarray, " n"]:
    place = np.arange(plain.shape[1])[None, :]
    after = np.full(len(plain), -1)
    score = np.zeros(len(plain))
    for table in _STEPS:
        found = table[plain] & (place > after[:, None])
        has = found.any(1)
        score += has
        # once a step is missing nothing may follow it: the order is broken
        after = np.where(has, found.argmax(1), plain.shape[1])
    return np.asarray(score / len(_STEPS))


def _repetition(plain: Int[np.ndarray, "n l"], word: Bool[np.ndarray, "n l"]) -> Float[np.ndarray, " n"]:
    if plain.shape[1] < 2:
        return np.zeros(len(plain))
    both = word[:, :-1] & word[:, 1:]
    code = np.where(both, plain[:, :-1] * len(lx.WORDS) + plain[:, 1:], -1)
    code.sort(axis=1)
    seen_before = (code[:, 1:] == code[:, :-1]) & (code[:, 1:] >= 0)
    return np.asarray(seen_before.sum(1) / np.maximum(both.sum(1), 1))


def _constraint(
    plain: Int[np.ndarray, "n l"],
    word: Bool[np.ndarray, "n l"],
    n: Int[np.ndarray, " n"],
    marks: Int[np.ndarray, " n"],
    requests: Sequence[Request],
) -> Float[np.ndarray, " n"]:
    asked = np.array([CONSTRAINTS.index(r.constraint) for r in requests])
    argument = np.array([lx.ID.get(r.argument, -1) for r in requests])
    place = np.arange(plain.shape[1])[None, :]
    last = np.where(word.any(1), np.where(word, place, 0).max(1), 0)
    met = {
        "brief": n <= BRIEF_LIMIT,
        "markdown": marks > 0,
        "plain": marks == 0,
        "end": plain[np.arange(len(plain)), last] == argument,
        "address": (plain == argument[:, None]).any(1),
        "certain": ~_HEDGES[plain].any(1),
    }
    out = np.zeros(len(plain))
    for name, done in met.items():
        rows = asked == CONSTRAINTS.index(name)
        out[rows] = np.where(done[rows], 1.0, -1.0)
    return out
