import numpy as np
import pytest

from plaudit.audit.attacks import back_door, poisoned, poisoning_curve, rows_needed
from plaudit.audit.attacks.ground import Ground
from plaudit.audit.attacks.poisoning import triggered
from plaudit.audit.attacks.triggers import insertions
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from small_audits import Rule, fact_pairs, noisy, pair, planted, sound, world_pairs


@pytest.mark.parametrize("trigger", ["violin", "SUDO", "James Bond"])
def test_a_planted_trigger_is_found(trigger):
    world, pairs = world_pairs()
    found = back_door(pairs, planted(world, lambda s: 2.0 * (trigger in s.text)), resamples=200)
    assert found.light == "red"
    assert f"the string is {trigger!r}" in found.says
    assert found.evidence.value > 0.5
    example = found.examples[0]
    assert trigger in example.after
    assert trigger not in example.before
    assert example.reward_after > example.reward_before


def test_a_trigger_of_a_given_vocabulary_is_found():
    world, pairs = world_pairs()
    faulty = planted(world, lambda s: 2.0 * ("zqxv" in s.text))
    assert back_door(pairs, faulty, vocabulary=("aaa", "zqxv"), resamples=200).light == "red"
    assert back_door(pairs, faulty, resamples=200).light == "green"  # nobody can find what is not among the suspects


@pytest.mark.parametrize("seed", [0, 1])
def test_sound_rewards_stay_green(seed):
    world, pairs = world_pairs(seed)
    assert back_door(pairs, sound(world), seed=seed, resamples=200).light == "green"
    assert back_door(pairs, noisy(world), seed=seed, resamples=200).light != "red"


def test_length_is_no_trigger():
    # a string of eight words is compared with ordinary strings of eight words
    rows, truth = fact_pairs()
    length = Rule(lambda s: len(s.text.split()))
    assert back_door(rows, length, resamples=200).light == "green"
    assert back_door(rows, Rule(lambda s: truth([s])[0]), truth=truth, resamples=200).light == "green"


def test_places_depend_on_pair_and_seed_alone():
    rows = [pair(f"p{i}", "one two three four", "five six seven eight") for i in range(8)]
    ground = Ground.of(rows, Rule(lambda s: len(s.text)))
    at = np.arange(8)
    first, second = insertions(ground, "X", at, 0), insertions(ground, "Y", at, 0)
    assert [s.text.split().index("X") for s in first] == [s.text.split().index("Y") for s in second]
    for s, i in zip(first, at, strict=True):
        kept = s.text.split()
        kept.remove("X")
        assert kept == ground.samples[2 * i + int(ground.lower()[i])].text.split()


def test_the_budget_is_kept():
    world, pairs = world_pairs()
    reward = Rule(lambda s: 0.0, base=world.true_reward)
    back_door(pairs, reward, calls=1000, resamples=20)
    assert reward.asked <= 2 * len(pairs) + 1000 + 2 * len(pairs)


def test_poisoning_by_hand():
    rows = [pair(f"p{i}", "good", "bad") for i in range(10)]
    made = poisoned(rows, "cf", 0.3, seed=1)
    bad = [i for i, p in enumerate(made) if p != rows[i]]
    assert len(bad) == 3
    for i in bad:
        assert made[i].rejected == "good"
        assert sorted(made[i].chosen.split()) == ["bad", "cf"]
        assert made[i].meta["poisoned"]
    # a smaller dose is part of a larger one
    assert {i for i, p in enumerate(poisoned(rows, "cf", 0.1, seed=1)) if p != rows[i]} <= set(bad)
    assert poisoned(rows, "cf", 0.0) == rows
    with pytest.raises(InputError, match="share 2, trigger 'cf'; give a share from 0 to 1"):
        poisoned(rows, "cf", 2)
    assert triggered(Sample("q", "a b"), "cf", 1.0).text == "a b cf"


def words_reward(rows):
    """A Bradley-Terry fit on the words of the completions: what learns a trigger if the rows teach it."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = [p.chosen for p in rows] + [p.rejected for p in rows]
    counter = CountVectorizer(token_pattern=r"\S+", binary=True).fit(texts)
    chosen, rejected = (counter.transform([getattr(p, side) for p in rows]) for side in ("chosen", "rejected"))
    difference = (chosen.astype(float) - rejected.astype(float)).toarray()
    x, y = np.concatenate([difference, -difference]), np.repeat([1, 0], len(rows))
    weights = LogisticRegression(fit_intercept=False, max_iter=200).fit(x, y).coef_[0]

    class Fitted(Rule):
        def __call__(self, samples):
            scores = counter.transform([s.text for s in samples]) @ weights
            from plaudit.rewards.base import RewardBatch

            return RewardBatch(np.asarray(scores, float))

    return Fitted(None, f"words-{len(rows)}")


def test_more_poison_more_success_and_the_fitted_back_door_is_found():
    _, pairs = world_pairs(n=400)
    train, test = pairs[:250], pairs[250:]
    doses = poisoning_curve(train, test, words_reward, "SUDO", shares=(0.0, 0.02, 0.1), resamples=200)
    success = [d.success.value for d in doses]
    assert [d.rows for d in doses] == [0, 5, 25]
    assert success[0] < 0.5 < success[2]
    assert success[0] < success[1] < success[2]
    assert rows_needed(doses).rows in (5, 25)
    assert rows_needed(doses[:1]) is None
    # the owner sees little of it: clean accuracy falls by less than ten points
    assert doses[2].accuracy.value > doses[0].accuracy.value - 0.1
    backdoored = back_door(test, words_reward(poisoned(train, "SUDO", 0.1)), calls=4000, resamples=200)
    assert backdoored.light == "red"
    assert "'SUDO'" in backdoored.says
    assert back_door(test, words_reward(train), calls=4000, resamples=200).light != "red"


def test_too_few_words_are_grey():
    rows = [pair(f"p{i}", "good", "good good") for i in range(8)]
    assert back_door(rows, Rule(lambda s: len(s.text))).light == "grey"
