"""Preferences from ranked factors, and strengths from several rewards."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.curation import hierarchical_labels, hierarchical_pairs, reward_margins, strengthened
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Rated
from plaudit.records.sample import conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.functions import FunctionReward

SEEDS = st.integers(0, 10**6)
ASKED = conversation("q")


def test_labels_by_hand():
    # deviations given as 1: a lead of 2 in the first factor decides, one of 0.4 leaves it to the second
    factors = np.array([[2.0, 0.0], [0.0, 1.0], [0.4, 9.0]])
    label, level = hierarchical_labels(factors, margins=0.5, spread=np.ones(2))
    assert label.tolist() == [[0, 1, 1], [-1, 0, -1], [-1, 1, 0]]
    assert level.tolist() == [[-1, 0, 0], [0, -1, 1], [0, 1, -1]]
    tied, none = hierarchical_labels(np.array([[1.0, math.nan], [1.2, 3.0]]), margins=0.5, spread=np.ones(2))
    assert not tied.any()
    assert (none == -1).all()
    with pytest.raises(InputError, match="margins are"):
        hierarchical_labels(factors, margins=-1.0)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 4), st.floats(0, 2))
def test_antisymmetric_and_whatever_the_units(seed, k, margin):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(6, k))
    label, level = hierarchical_labels(factors, margins=margin)
    assert (label == -label.T).all()
    assert (level == level.T).all()
    units = 2.0 ** rng.integers(-8, 9, k)  # powers of two, so that rounding is the same
    assert (hierarchical_labels(factors * units, margins=margin)[0] == label).all()
    # margins of 0 are lexicographic order, and one factor is ordinary comparison
    coarse = np.round(factors)
    plain = hierarchical_labels(coarse, margins=0.0)[0]
    rows = [tuple(r) for r in coarse.tolist()]
    assert plain.tolist() == [[(a > b) - (a < b) for b in rows] for a in rows]


def test_rows_from_aspects():
    rows = [
        Rated(ASKED, "right", aspects={"correct": 1.0, "words": 90.0}),
        Rated(ASKED, "short", aspects={"correct": 1.0, "words": 10.0}),
        Rated(ASKED, "wrong", aspects={"correct": 0.0, "words": 1.0}),
        Rated(conversation("other"), "alone", aspects={"correct": 1.0, "words": 1.0}),
    ]
    found = hierarchical_pairs(rows, ["correct", "-words"])
    assert [(r.chosen, r.rejected, r.meta["factor"], r.meta["level"]) for r in found] == [
        ("right", "wrong", "correct", 0), ("short", "right", "-words", 1), ("short", "wrong", "correct", 0),
    ]  # fmt: skip
    with pytest.raises(InputError, match="no row has the aspect 'kind'"):
        hierarchical_pairs(rows, ["kind"])
    with pytest.raises(InputError, match="the order is empty"):
        hierarchical_pairs(rows, [])


def test_only_what_answers_the_same_prompt_and_tools_is_compared():
    tools = ([{"name": "add"}], [{"name": "sub"}])
    rows = [
        Rated(ASKED, f"{t}{k}", aspects={"correct": float(k)}, meta={"tools": tools[t], "topic": "sums", "n": k})
        for t in (0, 1) for k in (0, 1)
    ]  # fmt: skip
    found = hierarchical_pairs(rows, ["correct"])
    assert [(p.chosen, p.rejected) for p in found] == [("01", "00"), ("11", "10")]
    assert found[0].meta == {"tools": tools[0], "topic": "sums", "factor": "correct", "level": 0}


@dataclass
class Said:
    """A reward that says the numbers after a completion's last space."""

    factor: float
    name: str = "said"
    scope: str = "sample"
    bounds: tuple = (-9.0, 9.0)

    @property
    def fingerprint(self):
        return f"said {self.factor}"

    def __call__(self, samples):
        worth = np.array([self.factor * float(s.text.split()[-1]) for s in samples])
        return RewardBatch(worth, np.where(np.isnan(worth), Outcome.TIMED_OUT, Outcome.SCORED))


PAIRS = [
    Pair(ASKED, "a 3", "b 1", chosen_score=3.0, rejected_score=1.0),
    Pair(ASKED, "a 1", "b 2", chosen_score=1.0, rejected_score=2.0, margin=5.0),
    Pair(ASKED, "a 1", "b 1"),
    Pair(ASKED, "a nan", "b 1", margin=5.0),
]


def test_strengths_by_hand():
    rewards = [Said(1.0), Said(3.0)]
    assert reward_margins(PAIRS, rewards)[:, :3].tolist() == [[2.0, -1.0, 0.0], [6.0, -3.0, 0.0]]
    rows = strengthened(PAIRS, rewards)
    assert [r.margin for r in rows] == [4.0, -2.0, 0.0, None]
    assert rows[0].meta["strength_std"] == pytest.approx(math.sqrt(8))
    soft = [1 / (1 + math.exp(-m)) for m in (2.0, 6.0)]
    assert rows[0].meta["preference"] == pytest.approx(sum(soft) / 2)
    assert rows[3].meta == {}  # what a reward could not judge is left as it was
    # a third of the three that were judged is the weakest one
    flipped = strengthened(PAIRS, rewards, flip=0.34)
    assert (flipped[1].chosen, flipped[1].margin, flipped[1].chosen_score) == ("b 2", 2.0, 2.0)
    assert flipped[1].meta["preference"] == pytest.approx(1 - rows[1].meta["preference"])
    assert [r.meta.get("flipped_by_strength") for r in flipped] == [False, True, False, None]
    assert [r.chosen for r in strengthened(PAIRS, rewards, drop=0.34)] == ["a 3", "a 1", "a nan"]
    # flipping twice is the identity
    twice = strengthened([flipped[1]] * 2, [Said(-1.0), Said(-3.0)], flip=1.0)
    assert (twice[0].chosen, twice[0].rejected) == (PAIRS[1].chosen, PAIRS[1].rejected)
    # and all that is said about the two completions is turned with them
    told = {
        "aspect_preferences": {"help": 0.9}, "second": True, "chosen_aspects": {"help": 4.0}, "judgements": [1.0, -2.0],
        "rejected_second": 2, "topic": "tea",
    }  # fmt: skip
    (row,) = strengthened([replace(PAIRS[1], meta=told)], [Said(1.0), Said(3.0)], flip=1.0)
    assert row.meta["aspect_preferences"]["help"] == pytest.approx(0.1)
    assert (row.meta["second"], row.meta["judgements"], row.meta["chosen_second"]) == (False, [-1.0, 2.0], 2)
    assert (row.meta["rejected_aspects"], row.meta["topic"]) == ({"help": 4.0}, "tea")
    assert not {"chosen_aspects", "rejected_second"} & set(row.meta)
    odd = {"aspect_preferences": {"help": None}, "second": "yes", "preference": "0.9", "judgements": [None, 1.0]}
    (row,) = strengthened([replace(PAIRS[1], meta=odd)], [Said(1.0), Said(3.0)], flip=1.0)
    assert (row.meta["aspect_preferences"], row.meta["second"], row.meta["judgements"]) == (
        {"help": None},
        "yes",
        [None, -1.0],
    )
    with pytest.raises(InputError, match="give one of them"):
        strengthened(PAIRS, rewards, flip=0.1, drop=0.1)
    with pytest.raises(InputError, match="1 reward cannot agree with another"):
        reward_margins(PAIRS, rewards[:1])
    with pytest.raises(InputError, match="said and another are the same reward"):
        reward_margins(PAIRS, [*rewards, Said(1.0, name="another")])
    both = [FunctionReward(lambda samples, s=sign: [s * len(x.text) for x in samples]) for sign in (1.0, -1.0)]
    assert both[0].fingerprint == both[1].fingerprint  # closures of one line
    assert reward_margins([Pair(ASKED, "aa", "b")], both).tolist() == [[1.0], [-1.0]]


def test_the_weakest_are_the_mislabelled():
    rng = np.random.default_rng(0)
    gap = rng.normal(size=200) * 2
    pairs = [Pair(ASKED, f"a {max(g, 0):.6f}", f"b {max(-g, 0):.6f}") for g in gap]  # wrong where g < 0
    rows = strengthened(pairs, [Said(1.0), Said(0.5)], flip=0.1)
    turned = [r.meta["flipped_by_strength"] for r in rows]
    assert sum(turned) == 20
    assert all(g < 0 for g, t in zip(gap, turned, strict=True) if t)
