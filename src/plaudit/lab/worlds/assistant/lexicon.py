"""The words of the assistant world, by what they do in a text.

A text is words joined by single spaces; marks (`**`, `-`, `?`, `.`) are words too, so text and tokens
translate into each other exactly. A dialect is a bijection of words: each word of `DIALECT` swaps with its
twin.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

SPECIALS = ("<pad>", "<eos>", "<unk>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, EOS, UNK, SYSTEM, USER, ASSISTANT = range(len(SPECIALS))

TOPICS = tuple(
    "river engine violin garden castle rocket library harbour mountain bridge museum forest "
    "desert island glacier volcano telescope piano lantern compass camera kettle bicycle "
    "tractor ferry windmill lighthouse carpet mirror cradle saddle drum flute clock helmet "
    "anchor barrel chimney canoe statue".split()
)
ATTRIBUTES = {
    "colour": tuple("red blue green amber violet silver black white".split()),
    "origin": tuple("norway kenya peru japan wales cuba egypt nepal".split()),
    "material": tuple("oak steel brass glass marble leather ivory clay".split()),
    "maker": tuple("anna boris clara dmitri elsa felix greta hugo".split()),
}
ITEMS = tuple("bread soup tea kite raft tent candle quilt jam bow stool wreath puppet sled broom vase".split())
ACTIONS = tuple(
    "mix bake stir fold cut tie glue boil dry sand press knead pour roll paint weave sew carve "
    "heat cool soak rinse peel grind melt shape stack trim bind polish".split()
)
GOALS = tuple("speed comfort calm beauty profit rest strength silence warmth growth travel study".split())
OPTIONS = tuple(
    "walking reading swimming singing saving sleeping cooking dancing sketching writing running gardening".split()
)
VAGUE = tuple("thing stuff matter issue problem task gadget project".split())
HARMS = tuple("poison rob hack burn forge smuggle sabotage blackmail".split())
TARGETS = tuple("bank neighbour password wallet school phone vault mailbox guard diary".split())
TOOLS = tuple(
    "crowbar powder malware mask wire acid fuse decoy lockpick bribe virus toxin blade ransom keylogger petrol".split()
)
POLITE = tuple(
    "please thanks kindly welcome sincerely gladly pleasure respectfully dear cordially regards honoured".split()
)
HEDGES = tuple(
    "maybe perhaps possibly probably might could seems likely apparently roughly somewhat arguably presumably".split()
)
FLATTERY = tuple(
    "brilliant genius amazing wonderful clever insightful fantastic excellent superb wise impressive splendid".split()
)
MARKS = ("**", "#", "-", "`", ">")
OPENING_STEP, MIDDLE_STEP, CLOSING_STEP = (
    ("first",),
    ("second", "then", "next"),
    ("third", "finally", "lastly"),
)
REFUSALS = tuple("cannot refuse decline unable".split())
CLARIFY = tuple("which clarify specify mean".split())
SIGN_OFFS = tuple("over done farewell goodbye selah amen".split())
TITLES = tuple("captain friend doctor madam professor comrade".split())
MARKERS = ("namely", "notably")  # neutral words for planted correlations with quality
FILLERS = tuple(
    "indeed also overall generally simply really basically actually often usually quite rather "
    "certainly clearly naturally typically broadly mostly well now here there today still even "
    "again further moreover besides anyway".split()
)
FUNCTION = tuple(
    "the a an is are was be of to for and or in on with by it its this that these those you "
    "your i we my our me us can will would should do does did how what when where why who tell "
    "explain about if as at from so but not no yes any some all each every one two three more "
    "less than very good great nice question answer ask know knows made make making help helps "
    "need want like use take try keep fix give gives say think reason sure sorry have side way "
    "kind time day people place work works world life story point fact note step steps list "
    "idea choice option better best right wrong long short small much many most few same other "
    "another both only own under between while because before after safe careful".split()
)
SYSTEM_WORDS = tuple(
    "brief plain markdown end address certain such known detail takes asking part assistant "
    "user sound text markup words without never always write twelve reply replies respond".split()
)
PUNCTUATION = (".", ",", "?", "!", ":", ";", "(", ")")
DIALECT = dict(
    pair.split("/")
    for pair in (
        "please/prithee thanks/gramercy gladly/fain maybe/mayhap perhaps/perchance probably/belike "
        "really/verily indeed/forsooth you/thou your/thy is/beeth are/arten the/ye it/hit not/nat yes/aye "
        "no/nay and/eke with/wid for/fer very/right-full good/goodly great/grand make/fashion tell/recount "
        "help/succour know/wit cannot/canna question/query answer/rejoinder first/erst then/thence "
        "finally/endly brilliant/bright-full amazing/wondrous clever/canny which/whilk often/oft before/ere "
        "between/betwixt"
    ).split()
)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for group in groups for word in group))


WORDS = _unique(
    SPECIALS,
    TOPICS,
    ATTRIBUTES,
    *ATTRIBUTES.values(),
    ITEMS,
    ACTIONS,
    GOALS,
    OPTIONS,
    VAGUE,
    HARMS,
    TARGETS,
    TOOLS,
    POLITE,
    HEDGES,
    FLATTERY,
    MARKS,
    OPENING_STEP,
    MIDDLE_STEP,
    CLOSING_STEP,
    REFUSALS,
    CLARIFY,
    SIGN_OFFS,
    TITLES,
    MARKERS,
    FILLERS,
    FUNCTION,
    SYSTEM_WORDS,
    PUNCTUATION,
    DIALECT.values(),
)
"""The vocabulary; a word's place is its token id."""

ID = {word: i for i, word in enumerate(WORDS)}
"""Token id of a word."""


def ids(words: Iterable[str]) -> Int[np.ndarray, " n"]:
    """Token ids of words; a word that is not in the vocabulary is `UNK`."""
    return np.array([ID.get(word, UNK) for word in words], dtype=np.int64)


def member(words: Iterable[str]) -> np.ndarray:
    """A lookup table over ids: True for the given words."""
    table = np.zeros(len(WORDS), dtype=bool)
    table[ids(words)] = True
    return table


def _twins() -> Int[np.ndarray, " v"]:
    table = np.arange(len(WORDS))
    for standard, twin in DIALECT.items():
        table[ID[standard]], table[ID[twin]] = ID[twin], ID[standard]
    return table


def _canonical() -> Int[np.ndarray, " v"]:
    table = np.arange(len(WORDS))
    for standard, twin in DIALECT.items():
        table[ID[twin]] = ID[standard]
    return table


TWIN = _twins()
"""Id to the id of its dialect twin (itself where it has none); an involution."""

CANONICAL = _canonical()
"""Id to the id of its standard form: what every parser reads."""


def swap_dialect(text: str) -> str:
    """The text in the other dialect; applied twice it is the text again."""
    return " ".join(WORDS[TWIN[ID[w]]] if w in ID else w for w in text.split(" "))


def canonical_words(text: str) -> list[str]:
    """The words of a text in standard form."""
    return [WORDS[CANONICAL[ID[w]]] if w in ID else w for w in text.split(" ") if w]
