"""One word of a causal model: comparisons, rewards against references, principles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.records import Message, Rated, Sample
from plaudit.rewards.base import Comparison, Outcome
from plaudit.rewards.likelihood import PrincipleReward, Wording, YesComparison, YesReward, order_debiased
from plaudit.rewards.likelihood.questions import answer_sequences, filled
from plaudit.rewards.registry import resolve
from plaudit.testing import RewardContract, example_samples, hostile_samples
from plaudit.training.policies.asking import principle_rows

ASKED = (Message("user", "What is the capital of Peru?"),)
A, B, C = (Sample(ASKED, c) for c in ("Lima", "I cannot help", "rain"))


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_debiasing_makes_orders_agree(forward, backward):
    p, q = (
        order_debiased(np.array([forward]), np.array([backward])),
        order_debiased(np.array([backward]), np.array([forward])),
    )
    assert p[0] + q[0] == pytest.approx(1.0)
    assert order_debiased(np.array([forward]), np.array([forward]))[0] == pytest.approx(0.5)


def test_a_comparison_is_symmetric_and_equals_plain_calls(strong, slow_logps):
    compare = YesComparison(strong)
    assert isinstance(compare, Comparison)
    forth, back = compare([A, B], [B, C]), compare([B, C], [A, B])
    assert np.allclose(forth.probability + back.probability, 1.0, atol=1e-6)
    assert compare([A], [A]).probability[0] == pytest.approx(0.5, abs=1e-6)

    def odds(candidate, reference):
        question = compare.wording.compare(ASKED, candidate.text, reference.text, compare.instruction)
        logps = []
        for word in ("Yes", "No"):
            text = strong.encoder.text((*question, Message("assistant", word)))
            ids = strong.tokenizer(text, add_special_tokens=False)["input_ids"]
            turned = {"Yes": "No", "No": "Yes"}[word]
            other = strong.encoder.text((*question, Message("assistant", turned)))
            other = strong.tokenizer(other, add_special_tokens=False)["input_ids"]
            at = next(i for i, (x, y) in enumerate(zip(ids, other, strict=False)) if x != y)
            logps.append(slow_logps(strong, ids)[at - 1])
        return 1 / (1 + np.exp(logps[1] - logps[0]))

    assert forth.probability[0] == pytest.approx((odds(A, B) + 1 - odds(B, A)) / 2, abs=1e-6)
    one_way = YesComparison(strong, debias=False)
    assert one_way([A], [B]).probability[0] == pytest.approx(odds(A, B), abs=1e-6)
    assert one_way.fingerprint != compare.fingerprint


def test_the_reward_is_a_mean_over_references(strong):
    compare = YesComparison(strong)
    reward = YesReward(compare)
    batch = reward([Sample(ASKED, "Lima", ["I cannot help", "rain"]), Sample(ASKED, "Lima", "Lima")])
    expected = [compare([A], [B]).probability[0], compare([A], [C]).probability[0]]
    assert batch.detail[0]["against"] == pytest.approx(expected, abs=1e-6)
    assert batch.reward.tolist() == pytest.approx([np.mean(expected), 0.5], abs=1e-6)
    with pytest.raises(InputError, match="sample 0: reference is 'None'; give the completion to beat, or a list"):
        reward([A])


def test_what_does_not_fit(language):
    small = YesComparison(language(max_length=300))
    flood = Sample(ASKED, "rain " * 300)
    assert small([flood], [A]).outcome.tolist() == [Outcome.ABSTAINED]
    batch = YesReward(small)([Sample(ASKED, flood.text, "Lima"), Sample(ASKED, "rain", "Lima")])
    assert batch.outcome.tolist() == [Outcome.POLICY_FAULT, Outcome.SCORED]
    assert batch.reward[0] == 0.0


FLOOD = "rain " * 300
ROOMLESS = "{} leaves no room for a completion within max_length"


def test_only_the_candidate_s_own_length_is_its_fault(language):
    """A question that would not fit with an empty candidate either is no fault of the policy's, and says why."""
    asked = [
        Sample(ASKED, FLOOD, ["Lima", "rain"]), Sample(ASKED, "a", ["Lima", FLOOD]), Sample(ASKED, FLOOD, FLOOD),
        Sample(FLOOD, "a", "Lima"), Sample(ASKED, "", "Lima"),
    ]  # fmt: skip
    for debias in (True, False):
        batch = YesReward(YesComparison(language(max_length=300), debias=debias))(asked)
        assert batch.outcome.tolist() == [Outcome.POLICY_FAULT, *[Outcome.ABSTAINED] * 3, Outcome.SCORED]
        assert batch.reward[0] == 0.0
        assert np.isnan(batch.reward[1:4]).all()
        assert [d.get("reason") for d in batch.detail[:4]] == [
            "with this completion the question is longer than max_length", ROOMLESS.format("reference 2 of 2"),
            ROOMLESS.format("the reference"), ROOMLESS.format("the prompt"),
        ]  # fmt: skip


def test_only_the_candidate_s_own_length_is_its_fault_under_principles(language):
    model = language(max_length=300)
    batch = PrincipleReward(model, ["be brief"])([Sample(ASKED, FLOOD), Sample(FLOOD, "a"), Sample(ASKED, "")])
    assert batch.outcome.tolist() == [Outcome.POLICY_FAULT, Outcome.ABSTAINED, Outcome.SCORED]
    assert batch.detail[0]["reason"] == "with this completion the question is longer than max_length"
    assert batch.detail[1]["reason"] == ROOMLESS.format("the prompt")
    endless = PrincipleReward(model, ["be brief", FLOOD])([Sample(ASKED, "a")])
    assert endless.outcome.tolist() == [Outcome.ABSTAINED]
    assert endless.detail[0]["reason"] == ROOMLESS.format(f"the principle {FLOOD[:60]!r}")


def test_a_model_without_numbers_is_a_fault_of_the_instrument(language):
    broken = language(max_length=300)
    for weight in broken.model.parameters():
        weight.data.fill_(float("nan"))
    sound = YesComparison(language(max_length=300))([A], [B])
    assert sound.outcome.tolist() == [Outcome.SCORED]
    assert 0 < sound.probability[0] < 1
    compare = YesComparison(broken)
    batch = YesReward(compare)([
        Sample(ASKED, "Lima", "rain"), Sample(ASKED, "Lima", ["rain", FLOOD]), Sample(ASKED, FLOOD, "rain"),
    ])  # fmt: skip
    assert batch.outcome.tolist() == [Outcome.INSTRUMENT_FAULT, Outcome.INSTRUMENT_FAULT, Outcome.POLICY_FAULT]
    assert "weights or activations overflowed" in batch.detail[0]["error"]
    pairs = compare([A, A], [B, Sample(ASKED, FLOOD)])
    assert pairs.outcome.tolist() == [Outcome.INSTRUMENT_FAULT, Outcome.ABSTAINED]
    assert np.isnan(pairs.probability).all()
    assert "weights or activations overflowed" in pairs.detail[0]["error"]
    assert pairs.detail[1] == {"reason": "the question is longer than max_length"}
    principled = PrincipleReward(broken, ["be brief", FLOOD])([A])
    assert principled.outcome.tolist() == [Outcome.INSTRUMENT_FAULT]


def test_rows_whose_verdicts_are_all_partial_say_so():
    rows = [Rated(ASKED, "Lima", aspects={"be brief": 0.5, "name a city": 0.5}), Rated(ASKED, "a", aspects={"p": 0.5})]
    with pytest.raises(InputError) as error:
        principle_rows(rows)
    assert str(error.value) == (
        "training: no verdict of a principle is 0 or 1: all 3 are 0.5 (partial) and left out; "
        "give rows with aspects of 1 (followed) or 0 (not followed)"
    )
    assert len(principle_rows([*rows, Rated(ASKED, "a", aspects={"p": 1.0})])) == 1


def test_comparisons_refuse_other_prompts_and_lengths(strong):
    with pytest.raises(InputError, match="pair 0: the samples answer different prompts"):
        YesComparison(strong)([A], [Sample("other", "x")])
    with pytest.raises(ShapeError, match="1 first samples and 0 second ones"):
        YesComparison(strong)([A], [])


def test_principles_are_aspects_and_their_mean_the_reward(strong):
    two = PrincipleReward(strong, ["be brief", "name a city"])
    one = PrincipleReward(strong, ["be brief"])
    batch = two([A, B])
    assert np.allclose(batch.reward, (batch.aspects["be brief"] + batch.aspects["name a city"]) / 2)
    assert np.allclose(batch.aspects["be brief"], one([A, B]).reward, atol=1e-6)
    own = PrincipleReward(strong)
    told = [
        Sample(ASKED, "Lima", meta={"principle": "be brief"}),
        Sample(ASKED, "Lima", meta={"principle": ["name a city"]}),
    ]
    assert own(told).reward.tolist() == pytest.approx(
        [batch.aspects["be brief"][0], batch.aspects["name a city"][0]], abs=1e-6
    )
    assert np.isnan(own(told).aspects["name a city"][0])
    with pytest.raises(InputError, match="sample 0: principle is None; give it in the row, or principles=FILE"):
        own([A])


def test_the_reward_is_the_log_odds_among_the_two_words(strong):
    """sigmoid(r) = p(Yes) / (p(Yes) + p(No))."""
    reward = PrincipleReward(strong, ["be brief"])
    question = reward.wording.judge(ASKED, "Lima", "be brief")
    yes, no = answer_sequences(strong, question, reward.wording)
    assert np.array_equal(yes[:-1], no[:-1])
    p = np.exp([row[-1] for row in strong.logps([yes, no])])
    assert 1 / (1 + np.exp(-reward([A]).reward[0])) == pytest.approx(p[0] / p.sum(), abs=1e-6)


def test_texts_with_braces_are_put_as_they_are():
    assert filled("{a}|{b}", {"a": "{b}", "b": "{a}"}) == "{b}|{a}"
    with pytest.raises(InputError, match=r"wording: principle has no place for \{candidate\}"):
        Wording(principle="{conversation} {principle}")
    with pytest.raises(InputError, match="yes and no are both 'Yes'"):
        Wording(no="Yes")


def test_they_are_named(strong, save_language, tmp_path):
    folder = save_language(strong, tmp_path / "m")
    listed = tmp_path / "principles.txt"
    listed.write_text("be brief\n\nname a city\n")
    assert list(resolve(f"likelihood/principle?model={folder}&principles={listed}")([A]).aspects) == [
        "be brief",
        "name a city",
    ]
    assert isinstance(resolve(f"likelihood/yes-comparison?model={folder}"), Comparison)
    assert resolve(f"likelihood/yes?model={folder}&yes=A&no=B").comparison.wording.yes == "A"


class TestYesContract(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, strong):
        self.reward = YesReward(YesComparison(strong))

    def make_reward(self):
        return self.reward

    def make_samples(self):
        return [Sample(s.prompt, s.completion, "42", s.group) for s in example_samples()]


class TestPrincipleContract(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, strong):
        self.reward = PrincipleReward(strong, ["be brief"])

    def make_reward(self):
        return self.reward

    def make_hostile_samples(self):
        return hostile_samples(long=50_000)
