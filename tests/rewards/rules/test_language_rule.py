import pytest

from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome
from plaudit.rewards.rules.language import LanguageReward, language_shares
from plaudit.testing import RewardContract

ENGLISH = "The river rose during the night, and in the morning the road to the village was under water."
GERMAN = "Der Fluss stieg in der Nacht, und am Morgen stand die Straße zum Dorf unter Wasser."
RUSSIAN = "Ночью река поднялась, и утром дорога в деревню оказалась под водой."


class TestLanguage(RewardContract):
    def make_reward(self):
        return LanguageReward()


def score(reward, text, prompt="What happened to the road?", **meta):
    return reward([Sample(conversation(prompt), text, meta=meta)])


def test_the_prompts_language_is_what_is_asked_for():
    assert score(LanguageReward(), ENGLISH).reward[0] == 1.0
    assert score(LanguageReward(), GERMAN).reward[0] == 0.0
    assert score(LanguageReward(), GERMAN, "Was ist mit der Straße zum Dorf geschehen?").reward[0] == 1.0
    assert score(LanguageReward(), RUSSIAN, language="ru").reward[0] == 1.0
    assert score(LanguageReward(language="de"), GERMAN).reward[0] == 1.0


def test_mixed_answers_get_the_share_of_their_letters():
    mixed = f"{ENGLISH}\n\n{GERMAN}"
    letters = [sum(c.isalpha() for c in t) for t in (ENGLISH, GERMAN)]
    assert score(LanguageReward(), mixed).reward[0] == pytest.approx(letters[0] / sum(letters))
    assert score(LanguageReward(whole=True), mixed).reward[0] == 0.0
    assert score(LanguageReward(whole=True), ENGLISH).reward[0] == 1.0


def test_code_and_short_lines_do_not_decide():
    assert set(language_shares(f"{GERMAN}\n```python\nfor line in lines: print(line)\n```")) == {"de"}
    assert set(language_shares(f"{GERMAN}\n\nOK.\n\n- yes")) == {"de"}
    assert set(language_shares(f"Ja.\n\n{GERMAN}")) == {"de"}
    assert language_shares("12 + 30 = 42") == {}


def test_outcomes_and_errors():
    assert score(LanguageReward(), "42").outcome[0] == Outcome.POLICY_FAULT
    assert score(LanguageReward(), ENGLISH, "17 + 25 = ?").outcome[0] == Outcome.ABSTAINED
    with pytest.raises(InputError, match="language is 'english'"):
        LanguageReward(language="english")
    with pytest.raises(InputError, match="rule/language: sample 0: language is 'xx'"):
        score(LanguageReward(), ENGLISH, language="xx")
