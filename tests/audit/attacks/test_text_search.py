import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.audit.attacks.edits import EDITS, Material, edited
from plaudit.audit.attacks.search import search_texts
from plaudit.audit.attacks.searched import search
from plaudit.errors import InputError, IntegrityError
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from small_audits import Rule, noisy, pair, planted, sound, world_pairs

SMALL = {"prompts": 40, "rounds": 8, "resamples": 200}


@settings(max_examples=60)
@given(st.text(max_size=60), st.integers(0, 1000))
def test_edits_are_total_and_repeatable(text, seed):
    material = Material(["word"], ["A sentence."])
    first = edited(text, np.random.default_rng(seed), material)
    assert first == edited(text, np.random.default_rng(seed), material)
    for edit in EDITS.values():
        assert isinstance(edit(text, np.random.default_rng(seed)), str)
    assert edited(text, np.random.default_rng(seed), Material([], [])).put_in == ""


def test_edits_do_what_they_say():
    rng = np.random.default_rng(0)
    text = "One two. Three four."
    assert len(EDITS["delete word"](text, rng).split()) == 3
    assert len(EDITS["duplicate word"](text, rng).split()) == 5
    assert sorted(EDITS["swap words"](text, rng).split()) == sorted(text.split())
    assert EDITS["repeat sentence"](text, rng) in (text + " One two.", text + " Three four.")
    assert EDITS["drop sentence"](text, rng) in ("One two.", "Three four.")
    assert EDITS["delete word"]("one", rng) == EDITS["drop sentence"]("one", rng) == "one"


def test_a_planted_word_spreads_and_is_red():
    world, pairs = world_pairs()
    gained, luck, turned = search(
        pairs, planted(world, lambda s: 2.0 * ("violin" in s.text.split())), truth=world.true_reward, **SMALL
    )
    assert (gained.name, gained.light) == ("attack/search", "red")
    assert luck.light == "green"
    assert turned.light == "red"
    assert "violin" in gained.examples[0].after
    # nothing that was found is truly better than where it started
    for check in (gained, turned):
        for e in check.examples:
            assert e.reward_after > e.reward_before


def test_what_was_found_is_truly_no_better():
    world, pairs = world_pairs()
    found = search_texts(pairs, noisy(world, 1.0), world.true_reward, **SMALL)
    starts = [found.ground.samples[2 * f.pair + f.side] for f in found.found]
    ends = [Sample(s.prompt, f.text) for s, f in zip(starts, found.found, strict=True)]
    assert (world.true_reward(ends) <= world.true_reward(starts) + 1e-12).all()
    others = [found.ground.samples[2 * f.pair + 1 - f.side] for f in found.found]
    assert (world.true_reward(starts) <= world.true_reward(others)).all()
    assert found.gain.value >= found.baseline.value + found.beyond.value - 1e-9
    assert found.calls <= 2 * 2 * SMALL["prompts"] * SMALL["rounds"] * 4


@pytest.mark.parametrize("seed", [0, 1])
def test_sound_rewards_stay_green(seed):
    world, pairs = world_pairs(seed)
    lights = [c.light for c in search(pairs, sound(world), truth=world.true_reward, **SMALL)]
    assert lights == ["green", "green", "green"]
    for deviation in (0.3, 0.6):
        gained, luck, turned = search(pairs, noisy(world, deviation), truth=world.true_reward, **SMALL)
        assert (gained.light, luck.light) == ("green", "green")
        assert turned.light != "red"


def test_a_fault_that_any_edit_hits_is_luck():
    world, pairs = world_pairs()
    length = Rule(lambda s: len(s.text.split()))
    gained, luck, turned = search(pairs, length, truth=world.true_reward, **SMALL)
    assert (gained.light, luck.light, turned.light) == ("red", "red", "grey")
    assert turned.skipped.startswith("luck alone turns more than half of the pairs")


def test_a_killed_search_goes_on_where_it_stopped(tmp_path):
    world, pairs = world_pairs()
    reward = planted(world, lambda s: 2.0 * ("violin" in s.text.split()))
    whole = search_texts(pairs, reward, world.true_reward, **SMALL)

    class Killed(Exception):
        pass

    class Dies(Rule):
        calls = 0

        def __call__(self, samples):
            Dies.calls += 1
            if Dies.calls == 5:
                raise Killed
            return super().__call__(samples)

    log = tmp_path / "search.log"
    dying = Dies(reward.of, reward.name, base=world.true_reward)
    with pytest.raises(Killed):
        search_texts(pairs, dying, world.true_reward, log=log, **SMALL)
    again = Rule(reward.of, reward.name, base=world.true_reward)
    resumed = search_texts(pairs, again, world.true_reward, log=log, **SMALL)
    assert [f.text for f in resumed.found] == [f.text for f in whole.found]
    assert (resumed.gain, resumed.baseline) == (whole.gain, whole.baseline)
    assert again.asked < whole.calls
    with pytest.raises(IntegrityError, match="written under fingerprint"):
        search_texts(pairs, again, world.true_reward, log=log, **(SMALL | {"rounds": 7}))


def test_a_verifier_may_be_the_truth():
    rows = [pair(f"p{i}", "the answer is 4", "i do not know") for i in range(12)]

    def verifier(samples):
        return RewardBatch(np.array([float("4" in s.text) for s in samples]))

    talkative = Rule(lambda s: len(s.text) + 100 * ("4" in s.text))
    found = search_texts(rows, talkative, verifier, prompts=12, rounds=4, width=3, resamples=50)
    assert all("4" not in f.text for f in found.found)
    assert found.gain.value > 0


def test_without_a_truth_it_is_grey():
    world, pairs = world_pairs()
    checks = search(pairs, sound(world))
    assert {c.light for c in checks} == {"grey"}
    assert checks[0].fix == "give a verifier or a true reward"
    with pytest.raises(InputError, match="rounds 0, width 4"):
        search_texts(pairs, sound(world), world.true_reward, rounds=0)
