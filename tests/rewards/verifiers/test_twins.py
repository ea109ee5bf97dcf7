from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.base import Twin
from plaudit.rewards.verifiers.twins import derived_twins, escapes, refused_honest
from small_verifiers import Same, Substring


def test_derived_attacks_keep_the_reference_and_never_hold_it():
    twins = derived_twins([Sample("q", "the answer is 1729", "1729")])
    assert {t.attack for t in twins} >= {"empty answer", "flattery", "template escape", "format alone"}
    assert all(t.sample.reference == "1729" and "1729" not in t.sample.text for t in twins)


def test_a_strict_verifier_lets_nothing_through():
    reward = Same()
    assert escapes(reward, [*reward.twins(), *derived_twins(reward.honest())]) == []
    assert refused_honest(reward, reward.honest()) == []


def test_a_careless_one_is_caught_on_the_empty_answer_the_list_and_the_way_out():
    reward = Substring()
    found = escapes(reward, [*reward.twins(), *derived_twins(reward.honest())])
    attacks = {e.attack for e in found}
    assert {"empty answer", "every candidate listed"} <= attacks
    # abstaining on a long answer takes the candidate out of the count: no refusal either
    assert any(e.outcome is Outcome.ABSTAINED for e in found)


def test_an_attack_may_get_what_an_honest_wrong_answer_gets():
    half = Twin("partial", Sample("q", "4", "4"), most=1.0)
    assert escapes(Same(), [half]) == []


def test_a_right_answer_that_is_refused_is_told():
    (found,) = refused_honest(Same(), [Sample("q", "5", "4")])
    assert (found.attack, found.completion, found.reward) == ("right answer refused", "'5'", 0.0)
