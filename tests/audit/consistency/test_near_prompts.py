import numpy as np
import pytest

from plaudit.audit.consistency import contrast_rates, near_prompts
from plaudit.audit.consistency.contrast import Contrast, contrast
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.registry import load
from small_audits import Rule, noisy, pair, sound, world_pairs


def contrasts(n=30):
    return [Contrast(Sample(f"capital of a{i}", f"A{i}"), Sample(f"capital of b{i}", f"B{i}")) for i in range(n)]


def right(sample):
    return float(sample.text.lower() == sample.prompt[0].text.split()[-1])


def test_rates_by_hand():
    perfect = contrast_rates(contrasts(), Rule(right), resamples=50)
    assert [perfect.responses.value, perfect.instructions.value, perfect.interaction.value] == [1.0, 1.0, 1.0]
    # a reward that ignores the prompt: one half at one prompt (whichever it prefers, it is wrong at the other one), a
    # tie at one response, and a tie in the interaction
    blind = contrast_rates(contrasts(), Rule(lambda s: len(s.text) + (s.text < "B")), resamples=50)
    assert [blind.responses.value, blind.instructions.value, blind.interaction.value] == [0.5, 0.5, 0.5]
    # by the paper's strict comparison a tie is no win: 0 at one response, and still a half at one prompt, where
    # nothing ties
    strict = contrast_rates(contrasts(), Rule(lambda s: len(s.text) + (s.text < "B")), ties=0.0, resamples=50)
    assert [strict.responses.value, strict.instructions.value, strict.interaction.value] == [0.5, 0.0, 0.0]
    perfect = contrast_rates(contrasts(), Rule(right), ties=0.0, resamples=50)
    assert [perfect.responses.value, perfect.instructions.value, perfect.interaction.value] == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="ties count 2"):
        contrast_rates(contrasts(), Rule(right), ties=2.0)


def test_a_shift_of_a_prompt_does_not_count_in_the_interaction():
    shifted = Rule(lambda s: right(s) + 100.0 * s.prompt[0].text.startswith("capital of a"))
    found = contrast_rates(contrasts(), shifted, resamples=50)
    assert found.interaction.value == 1.0
    assert found.instructions.value == 0.5


def test_blind_rewards_are_red_and_sound_ones_green():
    world, pairs = world_pairs(n=400)
    assert contrast(pairs, sound(world), resamples=200).light == "green"
    assert contrast(pairs, noisy(world), resamples=200).light == "green"
    blind = contrast(pairs, Rule(lambda s: 0.1 * len(s.text)), resamples=200)
    assert (blind.light, blind.evidence.value) == ("red", 0.5)
    assert blind.examples[0].reward_before == pytest.approx(blind.examples[0].reward_after)


def test_near_prompts_are_near_different_and_used_once():
    rows = [
        pair("what is the capital of peru", "lima", "no"),
        pair("what is the capital of chile", "santiago", "no"),
        pair("what is the capital of cuba", "lima lima", "no"),  # the same words as the first answer
        pair("write a poem about rain", "drip drop", "no"),
        pair("what is the capital of peru", "lima again", "no"),  # a prompt is used once
    ]
    found = near_prompts(rows, low=0.3, high=0.95)
    assert len(found) == 1
    assert {found[0].first.text, found[0].second.text} in ({"lima", "santiago"}, {"santiago", "lima lima"})
    assert 0.3 <= found[0].similarity <= 0.95
    assert near_prompts(rows[:1]) == []
    with pytest.raises(InputError, match=r"similarities from 1 to 0\.9"):
        near_prompts(rows, low=1.0)


def test_an_embedding_may_say_what_is_near():
    rows = [pair(f"p{i}", f"answer {i}", "no") for i in range(4)]
    vectors = {"p0": [1.0, 0.0], "p1": [0.8, 0.6], "p2": [-1.0, 0.0], "p3": [0.0, -1.0]}
    found = near_prompts(rows, embed=lambda texts: np.array([vectors[t] for t in texts]))
    assert [(c.first.text, c.second.text) for c in found] == [("answer 0", "answer 1")]
    assert found[0].similarity == pytest.approx(0.8)


def test_too_few_are_grey():
    rows = [pair(f"word{i}", "a", "b") for i in range(30)]
    found = contrast(rows, Rule(lambda s: 1.0))
    assert found.light == "grey"
    assert "0 near prompts" in found.skipped


def test_a_verifier_judges_each_prompt_by_its_own_reference():
    first, second = (
        Sample("1 + 1?", r"\boxed{2}", reference="2"), Sample("1 + 2?", r"\boxed{3}", reference="3"),
    )  # fmt: skip
    rates = contrast_rates([Contrast(first, second)], load("verify/math"))
    # each answer is right at home and wrong abroad
    assert rates.rewards.tolist() == [[1.0, 0.0, 0.0, 1.0]]
