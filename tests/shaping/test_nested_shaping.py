"""Rewards taken apart: leaves are scored once, and statistics inside a combination are handed on like those outside."""

from dataclasses import dataclass

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.policy.online.state import taken_apart
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.files import batch_from_cells, reward_cells
from plaudit.rewards.uncertainty import EnsembleReward
from plaudit.shaping.combine import Combined, Term
from plaudit.shaping.nested import Parts, check_handed_on, evaluated, leaves, moves, transforms, updated
from plaudit.shaping.transforms import Clip, MinMax, Quantile, RunningClip, Shaped, Standardise

NAN = float("nan")


@dataclass(frozen=True)
class Fixed:
    """Says these numbers of whatever it is asked, NaN as the machine's fault."""

    values: tuple
    name: str = "fixed"
    scope, bounds = "sample", (-100.0, 100.0)

    @property
    def fingerprint(self):
        return f"{self.name}{self.values}"

    def __call__(self, samples):
        reward = np.array(self.values[: len(samples)])
        outcome = np.where(np.isnan(reward), Outcome.INSTRUMENT_FAULT, Outcome.SCORED).astype(np.int8)
        return RewardBatch(reward, outcome, detail=tuple({"of": self.name} for _ in samples))


A, B = Fixed((0.0, 10.0, 5.0, NAN), "a"), Fixed((1.0, 2.0, 3.0, 4.0), "b")
ASKED = [Sample("q", f"{i}") for i in range(4)]


def whole():
    """`2 * min-max(a) + clip(b)`, of which the first has statistics; and a running clip around it."""
    inner = Combined((Term(Shaped(A, MinMax()), 2.0), Term(Shaped(B, Clip(low=0.0, high=2.5)), 1.0)))
    return Shaped(inner, RunningClip(width=1.0))


def said():
    return iter([A(ASKED), B(ASKED)])


def test_what_is_a_leaf():
    assert leaves(whole()) == [A, B]
    assert [by.kind for by in transforms(whole())] == ["min-max", "clip", "running-clip"]
    still = Combined((Term(Shaped(A, Clip(low=0.0, high=1.0))),))
    assert leaves(Shaped(still, MinMax())) == [still]  # nothing inside it learns: it is scored as it is
    assert leaves(A) == [A]
    assert not moves(Clip(low=0.0, high=1.0))
    assert not moves(Quantile([0.0, 1.0]))
    assert moves(MinMax())


def test_the_tree_is_evaluated_and_then_updated_by_hand():
    before = whole()
    after, batch = updated(before, said(), ASKED)
    # nothing was seen: min-max says 1/2 of everything, and the running clip leaves what it is given
    assert batch.reward.tolist() == pytest.approx([2 * 0.5 + 1.0, 2 * 0.5 + 2.0, 2 * 0.5 + 2.5, NAN], nan_ok=True)
    assert np.array_equal(batch.reward, before(ASKED).reward, equal_nan=True)
    assert batch.outcome.tolist() == [0, 0, 0, Outcome.INSTRUMENT_FAULT]
    # a was seen from 0 to 10; the running clip has seen 2, 3 and 3.5: mean 17/6, population variance 7/18
    mean, deviation = 17 / 6, (7 / 18) ** 0.5
    now = evaluated(after, said(), ASKED).reward
    raw = np.array([2 * 0.0 + 1.0, 2 * 1.0 + 2.0, 2 * 0.5 + 2.5])
    assert now[:3].tolist() == pytest.approx(np.clip(raw, mean - deviation, mean + deviation).tolist())
    assert before == whole()  # what was there has not changed


def test_parts_say_what_the_whole_says_and_remember_the_leaves():
    inner = whole().of
    parts = Parts(inner)
    batch = parts(ASKED)
    assert np.array_equal(batch.reward, inner(ASKED).reward, equal_nan=True)
    assert (parts.name, parts.scope, parts.bounds) == (inner.name, inner.scope, inner.bounds)
    assert parts.fingerprint != inner.fingerprint
    # through a log and back
    again = parts.said(batch_from_cells([reward_cells(batch, i) for i in range(len(batch))]))
    for leaf, kept in zip((A, B), again, strict=True):
        assert np.array_equal(kept.reward, leaf(ASKED).reward, equal_nan=True)
        assert kept.outcome.tolist() == leaf(ASKED).outcome.tolist()
    assert again[0].detail[0] == {"of": "a"}


def test_a_sample_that_was_never_scored_has_the_outcome_of_the_whole():
    batch = RewardBatch(np.array([NAN]), np.array([Outcome.TIMED_OUT], dtype=np.int8), detail=({"why": "slow"},))
    assert [b.outcome.tolist() for b in Parts(whole().of).said(batch)] == [[Outcome.TIMED_OUT]] * 2


def test_what_a_run_scores():
    core, tree = taken_apart(whole())
    assert isinstance(core, Parts)
    assert core.whole == whole().of
    assert tree == whole()
    assert taken_apart(Shaped(A, MinMax()))[0] is A
    one = Combined((Term(Shaped(A, MinMax())),))
    assert taken_apart(one) == (A, one)


class Bare:
    """A transform as the first version of the protocol had it."""

    kind, scope, fingerprint = "bare", "sample", "bare"

    def limits(self, bounds):
        return bounds

    def __call__(self, batch, samples):
        return batch

    def updated(self, batch, samples):
        return self


def test_what_a_run_could_not_hand_on_is_refused():
    hidden = EnsembleReward([Shaped(A, Standardise()), B])
    with pytest.raises(InputError, match="shape/standardise inside ensemble keeps statistics, which a run cannot hand"):
        check_handed_on(hidden)
    with pytest.raises(InputError, match="shape/standardise inside ensemble"):
        taken_apart(Combined((Term(hidden),)))
    check_handed_on(EnsembleReward([Shaped(A, Clip(low=0.0, high=1.0)), B]))
    with pytest.raises(InputError, match=r"transform bare has no state\(\) and restored\(state\)"):
        taken_apart(Shaped(A, Bare()))
