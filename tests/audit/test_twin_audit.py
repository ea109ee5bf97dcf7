import pytest

from plaudit.audit.attacks import audit_verifier, twin_metrics
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards import LengthReward
from small_verifiers import Same, Substring


def test_a_verifier_that_holds():
    audit = audit_verifier(Same())
    assert audit.passed
    assert audit.reward == "same"
    shares = twin_metrics(audit)
    assert shares["accepted/right answers"].value == 1.0
    assert shares["refused/every candidate listed"].value == 1.0
    # Wilson at 1 of 1: 1 / (1 + 1.96^2) = 0.2065
    assert shares["refused/every candidate listed"].low == pytest.approx(0.2065, abs=1e-3)


def test_a_verifier_that_does_not():
    audit = audit_verifier(Substring())
    assert not audit.passed
    tallies = {tally.attack: tally for tally in audit.attacks}
    assert len(tallies["every candidate listed"].escaped) == 1
    assert twin_metrics(audit)["refused/every candidate listed"].value == 0.0


def test_another_reward_needs_right_answers():
    with pytest.raises(InputError, match="length: carries no attacks of its own"):
        audit_verifier(LengthReward())
    audit = audit_verifier(LengthReward(target=3), honest=[Sample("q", "three words here")])
    assert not audit.passed  # flattery of about three words is worth more than the floor: length is blind to words
    assert not audit.refused
