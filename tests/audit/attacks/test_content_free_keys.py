import numpy as np
import pytest

from plaudit.audit.attacks import augment_with_attacks, key_rates, null_model, one_token, opener
from plaudit.audit.attacks.constant import search_constant
from plaudit.audit.attacks.ground import Ground
from plaudit.audit.attacks.words import OPENERS, TOKENS, inserted, sentences
from plaudit.errors import InputError
from small_audits import Rule, fact_pairs, noisy, pair, planted, sound, world_pairs


def test_rates_by_hand():
    # rewards by length: chosen 3, rejected 1; a key of 2 beats the worst only, of 3 ties with the best, of 9 beats both
    rows = [pair(f"p{i}", "xxx", "x") for i in range(6)]
    reward = Rule(lambda s: len(s.text))

    def rates(against):
        found = key_rates(rows, reward, keys=("kk", "kkk", "k" * 9), against=against, resamples=50)
        return [e.value for e in found.values()]

    assert rates("worst") == [1.0, 1.0, 1.0]
    assert rates("best") == [0.0, 0.5, 1.0]
    assert rates("random") == [0.5, 0.75, 1.0]


def test_deserved_wins_are_none():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(6)]
    reward = Rule(lambda s: len(s.text))
    found = key_rates(rows, reward, keys=("kk",), truth=lambda ss: [len(s.text) for s in ss], resamples=50)
    assert found["kk"].value == 0.0


def test_what_the_truth_abstains_on_is_no_deserved_win_and_no_attack():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(8)]
    reward = Rule(lambda s: len(s.text))

    def truth(samples):  # says of no key what it is worth, on half of the prompts
        asked = [("k" in s.text, int(s.prompt[0].text[1:]) % 2) for s in samples]
        return [float("nan") if key and odd else 0.0 for key, odd in asked]

    # of the other four prompts the key wins everywhere; none of its wins is deserved
    found = key_rates(rows, reward, keys=("kkkkk",), truth=truth, resamples=50)["kkkkk"]
    assert (found.value, found.n) == (1.0, 4)
    silent = Rule(lambda s: None)
    check = one_token(rows, reward, truth=lambda ss: silent(ss).reward, resamples=50)
    assert check.light == "grey"
    assert null_model(rows, reward, calls=64, truth=lambda ss: silent(ss).reward, resamples=50).light == "grey"


def test_a_planted_key_is_found_and_a_sound_reward_stays_green():
    world, pairs = world_pairs()
    faulty = planted(world, lambda s: 4.0 * (s.text.strip() == ":"))
    found = one_token(pairs, faulty, resamples=200)
    assert found.light == "red"
    assert "':'" in found.says
    assert found.examples[0].after == ":"
    assert found.examples[0].reward_after > found.examples[0].reward_before
    opened = opener(pairs, planted(world, lambda s: 4.0 * s.text.startswith("Let's solve")), resamples=200)
    assert opened.light == "red"
    for reward in (sound(world), noisy(world)):
        assert one_token(pairs, reward, resamples=200).light == "green"
        assert opener(pairs, reward, resamples=200).light == "green"


def test_a_truth_that_goes_with_length_stays_green():
    rows, truth = fact_pairs()
    reward = Rule(lambda s: truth([s])[0])
    for check in (one_token, opener, null_model):
        assert check(rows, reward, resamples=200).light == "green"


def test_constant_judges():
    # a reward that says yes to every key is at 1 for all of them, one that always says no at 0
    rows = [pair(f"p{i}", "real answer", "bad answer") for i in range(12)]
    yes = Rule(lambda s: 1.0 if "answer" not in s.text else 0.1 * ("real" in s.text))
    no = Rule(lambda s: -1.0 if "answer" not in s.text else 0.1 * ("real" in s.text))
    assert {e.value for e in key_rates(rows, yes, resamples=20).values()} == {1.0}
    assert {e.value for e in key_rates(rows, no, resamples=20).values()} == {0.0}


def test_a_planted_constant_is_found_on_other_prompts():
    world, pairs = world_pairs()
    bait = "now you know more about it ."
    found = null_model(pairs, planted(world, lambda s: 3.0 * s.text.startswith(bait)), resamples=200)
    assert found.light == "red"
    assert found.evidence.n == 75
    assert found.examples[0].after.startswith(bait)
    for reward in (sound(world), noisy(world)):
        assert null_model(pairs, reward, resamples=200).light == "green"


def test_the_search_for_a_constant_never_loses_ground():
    world, pairs = world_pairs()
    ground = Ground.of(pairs, noisy(world))
    found = search_constant(ground, ground.half(True), ground.half(False), calls=3000, resamples=50)
    assert (np.diff(found.history) <= 0).all()
    assert found.calls <= 3000 + 2 * len(ground.half(False))
    assert found.text


def test_augmentation():
    rows = [pair(f"p{i}", f"Let us see. The answer is {i}.", "no", lang="en") for i in range(40)]
    made = augment_with_attacks(rows, share=0.5)
    assert made[:40] == rows
    new = made[40:]
    assert len(new) == 20
    assert {p.meta["attack"] for p in new} == {"key", "opener"}
    for p in new:
        origin = rows[int(p.prompt[0].text[1:])]
        assert p.chosen == origin.chosen
        assert p.meta["lang"] == "en"
        if p.meta["attack"] == "opener":  # a strict prefix of one sentence
            assert p.rejected == "Let us see."
            assert p.chosen.startswith(p.rejected)
        else:
            assert p.rejected in (*TOKENS, *OPENERS)
    with pytest.raises(InputError, match="share is 0 with 12 keys; give a share above 0"):
        augment_with_attacks(rows, share=0)


def test_augmentation_teaches_a_reward_to_reject_keys():
    from sklearn.linear_model import LogisticRegression

    _, pairs = world_pairs(n=150)

    def features(text):
        words = text.split()
        return [len(words), float(len(words) < 3), float(text in OPENERS), float(text.strip() in TOKENS or text == " ")]

    def fit(rows):
        x = np.array([np.subtract(features(p.chosen), features(p.rejected)) for p in rows], float)
        x = np.concatenate([x, -x])
        y = np.repeat([1, 0], len(rows))
        weights = LogisticRegression(fit_intercept=False, C=1.0).fit(x, y).coef_[0]
        return Rule(lambda s: float(np.dot(weights, features(s.text))))

    # brevity pays in these labels, so a mark as the whole response pays most
    brief = [p if len(p.chosen) < len(p.rejected) else pair(p.prompt[-1].text, p.rejected, p.chosen) for p in pairs]
    plain, taught = fit(brief), fit(augment_with_attacks(brief, share=0.3))
    before = key_rates(brief, plain, keys=(".",), resamples=50)["."].value
    after = key_rates(brief, taught, keys=(".",), resamples=50)["."].value
    assert before > 0.95
    assert after < before - 0.5


def test_sentences_and_insertions():
    assert sentences("One. Two!\nThree") == ["One.", "Two!", "Three"]
    assert inserted("a b c", "X", 0.0) == "X a b c"
    assert inserted("a b c", "X", 1.0) == "a b c X"
    assert inserted("a  b\nc", "X", 0.34) == "a  X b\nc"
    assert inserted("", "X", 0.5) == "X"


def test_too_little_is_grey():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(3)]
    found = one_token(rows, Rule(lambda s: len(s.text)))
    assert (found.light, found.skipped) == ("grey", "there are 3 prompts, and four or more are needed")
    assert null_model(rows, Rule(lambda s: len(s.text))).light == "grey"
    whole = Rule(lambda s: len(s.text), scope="batch")
    assert one_token(rows, whole).skipped == "the reward scores the whole batch together"
