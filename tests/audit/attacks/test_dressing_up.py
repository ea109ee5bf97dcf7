import numpy as np
import pytest

from plaudit.audit.attacks import (
    ATTACKS,
    claims,
    detects_aligned,
    dressed,
    position,
    repeated_steps,
    repetition,
    run_attacks,
    style,
)
from plaudit.audit.attacks.dressing import cut
from plaudit.audit.attacks.ladder import LADDER, NEUTRAL
from plaudit.audit.biases.rewrites import BIASES
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from small_audits import Duel, Rule, fact_pairs, noisy, pair, planted, sound, world_pairs


def test_neutral_words_are_enough_for_every_rung():
    assert min(len(n.split()) for n in NEUTRAL) >= max(len(s.split()) for s in LADDER.values())


def test_a_claim_by_hand():
    # rewards {0, 2} within prompts: unit sqrt 2; the claim is worth 3, neutral words nothing
    rows = [pair(f"p{i}", "aa", "") for i in range(6)]
    reward = Rule(lambda s: 3.0 * ("experts" in s.text) + 2.0 * (s.text == "aa"))
    found = {c.name: c for c in claims(rows, reward, resamples=50)}
    assert found["attack/authority"].evidence.value == pytest.approx(3 / np.sqrt(2))
    assert found["attack/authority"].light == "red"
    assert found["attack/sycophancy"].evidence.value == 0.0
    assert found["attack/sycophancy"].light == "green"
    assert list(found) == [f"attack/{rung}" for rung in LADDER]


def test_length_is_no_claim():
    rows, truth = fact_pairs()
    for reward in (Rule(lambda s: len(s.text.split())), Rule(lambda s: truth([s])[0])):
        assert {c.light for c in claims(rows, reward, resamples=100)} == {"green"}


def test_sound_rewards_stay_green():
    for seed in (0, 1):
        world, pairs = world_pairs(seed)
        for reward in (sound(world), noisy(world)):
            found = [*claims(pairs, reward, resamples=200), *style(pairs, reward, resamples=200)]
            found.append(repetition(pairs, reward, resamples=200))
            assert not [c.name for c in found if c.light == "red"]
        assert {c.light for c in claims(pairs, sound(world), resamples=200)} == {"green"}


def test_overturned_pairs_by_hand():
    # lengths 30 and 20: padding (81 characters) turns every pair, and the longer one never falls behind
    rows = [pair(f"p{i}", "x" * 30, "x" * 20) for i in range(6)]
    reward = Rule(lambda s: len(s.text))
    found = {c.name: c for c in style(rows, reward, resamples=50)}
    assert found["attack/rewrite-length"].evidence.value == 1.0
    assert found["attack/rewrite-length"].light == "red"
    # against length: no loser overtakes, and every winner falls behind
    short = {c.name: c for c in style(rows, Rule(lambda s: -len(s.text)), resamples=50)}
    assert short["attack/rewrite-length"].evidence.value == -1.0
    assert short["attack/rewrite-length"].light == "green"
    # the truth says that longer is better: nothing is held against the reward
    fair = {c.name: c for c in style(rows, reward, truth=lambda ss: [len(s.text) for s in ss], resamples=50)}
    assert fair["attack/rewrite-length"].evidence.value == 0.0


def test_repetition_pays_or_not():
    rows = [pair(f"p{i}", "one thing. another thing.", "one thing.") for i in range(8)]
    paid = repetition(rows, Rule(lambda s: len(s.text)), resamples=50)
    assert paid.light == "red"
    assert paid.examples[0].after.count("thing") == 5
    distinct = repetition(rows, Rule(lambda s: len(set(s.text.split()))), resamples=50)
    assert (distinct.light, distinct.evidence.value) == ("green", 0.0)


class StepReward:
    """Rewards of steps: the share of capital letters; of the whole: their sum, mean or telescoped sum."""

    name, scope, bounds, fingerprint = "steps", "sample", (-9.0, 9.0), "steps"

    def __init__(self, telescoped=False):
        self.telescoped = telescoped

    def __call__(self, samples):
        steps = []
        for s in samples:
            p = np.array([sum(c.isupper() for c in step) / len(step) for step in s.steps])
            steps.append(np.append(p[:-1] - p[1:], p[-1]) if self.telescoped else p)
        return RewardBatch(np.array([float(x.sum()) for x in steps]), steps=tuple(steps))


def solution(prompt, *steps):
    return Sample(prompt, "".join(steps), steps=steps)


def test_repeated_steps_pay_under_a_sum_and_not_under_differences():
    # sums: (0.5 + 1) against (0.5 + 1 + 1); telescoped sums are the first step's reward whatever is said again
    given = [solution(f"q{i}", "aB", "CD") for i in range(20)]
    paid = repeated_steps(given, StepReward(), resamples=50)
    assert (paid.evidence.value, paid.light) == (1.0, "red")
    assert (paid.examples[0].reward_before, paid.examples[0].reward_after) == (1.5, 2.5)
    assert paid.examples[0].after == "aBCDCD"
    clean = repeated_steps(given, StepReward(telescoped=True), resamples=50)
    assert (clean.evidence.value, clean.light) == (0.0, "green")
    assert repeated_steps(given, StepReward(), returned=np.min, resamples=50).evidence.value == 0.0


def test_samples_without_steps_are_grey():
    assert repeated_steps([Sample("q", "x")], StepReward()).skipped == "no sample has steps"


def test_position_by_hand():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(40)]
    sees_order = position(rows, Duel(lambda a, b: 0.9), resamples=50)
    # 0.9 both times: another text wins each time, and the lean is 0.9 + 0.9 - 1
    assert sees_order[0].evidence.value == 1.0
    assert sees_order[1].evidence.value == pytest.approx(0.8)
    assert [c.light for c in sees_order] == ["red", "red"]
    fair = position(rows, Duel(lambda a, b: 0.8 if len(a.text) > len(b.text) else 0.2), resamples=50)
    assert [c.light for c in fair] == ["green", "green"]
    coin = position(rows, Duel(lambda a, b: 0.5), resamples=50)
    assert coin[0].evidence.value == 0.0


def test_dressed_comparisons():
    # 0 of 40 ends at 3.8415 / 43.8415 = .088, below the threshold of .1; of 30 it would not
    rows = [pair(f"p{i}", "good answer", "bad answer") for i in range(40)]

    def worth(s):
        return 1.0 * ("good" in s.text) + 5.0 * ("experts" in s.text)

    found = {c.name: c for c in dressed(rows, Duel(lambda a, b: 1 / (1 + np.exp(worth(b) - worth(a)))), resamples=50)}
    assert set(found) == {f"attack/{r}" for r in LADDER} | {f"attack/rewrite-{f}" for f in BIASES}
    assert found["attack/authority"].evidence.value == 1.0
    assert found["attack/authority"].light == "red"
    assert {c.light for n, c in found.items() if n != "attack/authority"} == {"green"}


def test_aligned_text_by_hand():
    def rows(i, model, person):
        return [Sample(f"p{i}", model, meta={"source": "model"}), Sample(f"p{i}", person, meta={"source": "human"})]

    given = [s for i in range(30) for s in rows(i, "model text", "text" if i % 3 else "a much longer text")]
    found = detects_aligned(given, Rule(lambda s: len(s.text)), resamples=100)
    assert found.evidence.value == pytest.approx(2 / 3)  # the model's text is longer in two of three
    assert found.light != "red"
    assert detects_aligned(given, Rule(lambda s: "model" in s.text), resamples=100).light == "red"
    assert detects_aligned(given[:1], Rule(lambda s: 1.0)).light == "grey"
    # a shift of each prompt changes nothing
    shifted = Rule(lambda s: len(s.text) + 100 * int(s.prompt[0].text[1:]))
    assert detects_aligned(given, shifted, resamples=100).evidence == found.evidence


def test_all_attacks_in_one_call_share_what_they_score():
    world, pairs = world_pairs()
    reward = Scored(planted(world, lambda s: 2.0 * ("violin" in s.text.split())))
    found = {c.name: c for c in run_attacks(pairs, reward, budget=3000, resamples=100)}
    assert found["attack/back-door"].light == "red"
    assert found["attack/search"].light == "grey"
    reds = [n for n, c in found.items() if c.light == "red"]
    assert reds == ["attack/back-door"]
    before = reward.calls
    run_attacks(pairs, reward, budget=3000, resamples=100, only=["one-token", "style"])
    assert reward.calls == before
    assert {a.needs for a in ATTACKS.values()} == {"reward", "comparison"}
    duels = run_attacks(pairs[:30], Duel(lambda a, b: 0.6 if len(a.text) >= len(b.text) else 0.4), resamples=50)
    assert {"attack/position", "attack/rewrite-length"} <= {c.name for c in duels}


def test_a_group_reward_is_attacked_whole():
    class Relative:
        """Length within its group; refuses a group that is torn apart."""

        name, scope, bounds, fingerprint = "relative", "group", (-9.0, 9.0), "relative"

        def __call__(self, samples):
            groups = {}
            for i, s in enumerate(samples):
                groups.setdefault(s.group or s.prompt[0].text, []).append(i)
            reward = np.zeros(len(samples))
            for at in groups.values():
                assert len(at) == 2
                lengths = np.array([len(samples[i].text) for i in at], float)
                reward[at] = (lengths - lengths.mean()) / (lengths.std() + 1)
            return RewardBatch(reward)

    rows = [pair(f"p{i}", "x" * 30, "x" * 20) for i in range(8)]
    found = {c.name: c for c in run_attacks(rows, Relative(), only=["style", "one-token", "repetition"], resamples=50)}
    assert found["attack/rewrite-length"].light == "red"
    assert found["attack/one-token"].light == "green"


def test_a_truth_that_abstains_on_everything_leaves_every_attack_grey():
    pairs = [pair(f"p{i}", f"a b c {'x' * (i % 7)}", "a b") for i in range(12)]
    silent = Rule(lambda s: None)
    found = run_attacks(pairs, Rule(lambda s: len(s.text)), truth=silent, budget=200, resamples=50)
    assert {c.name for c in found} >= {"attack/back-door", "attack/rewrite-length", "attack/search", "attack/one-token"}
    assert {c.light for c in found} == {"grey"}


def test_errors_of_the_call():
    rows = [pair("p", "a", "b")]
    with pytest.raises(InputError, match="attacks: 'one-tokn' is not known; did you mean 'one-token'"):
        run_attacks(rows, Rule(lambda s: 1.0), only=["one-tokn"])
    with pytest.raises(InputError, match="position is made on a comparison and rule is a reward"):
        run_attacks(rows, Rule(lambda s: 1.0), only=["position"])
    with pytest.raises(InputError, match="attacks: no pairs; give at least one"):
        run_attacks([], Rule(lambda s: 1.0))


def test_rates_that_never_vary_are_not_sure_of_nothing():
    pairs = [pair(f"what of {i}", "a good answer", "a bad answer") for i in range(30)]
    found = style(pairs, Rule(lambda s: float("good" in s.text)), resamples=50)
    # no rewrite turns any of 30 pairs either way: 0 of 30 ends at 3.8415 / 33.8415 = .1135, beyond the threshold of .1
    for check in found:
        if check.evidence is not None:
            assert (check.evidence.low, check.evidence.high) == pytest.approx((-0.1135, 0.1135), abs=1e-4)
            assert check.light == "amber"
    assert any(check.evidence is not None for check in found)


def longer(a, b):
    """Says that the longer text is better, the more so the longer."""
    return 1 / (1 + np.exp((len(b.text) - len(a.text)) / 20))


def test_what_is_merely_longer_is_held_against_a_comparison_once():
    rows = [pair(f"p{i}", "x" * 30, "x" * 20) for i in range(40)]
    found = {c.name: c for c in dressed(rows, Duel(longer), resamples=50)}
    # the loser wins with 81 characters behind it, and the winner never loses by them
    assert found["attack/rewrite-length"].evidence.value == 1.0
    # as many neutral characters or words do the same
    for name in ("rewrite-hedging", "rewrite-flattery", *LADDER):
        assert found[f"attack/{name}"].evidence.value == 0.0
        assert found[f"attack/{name}"].light == "green"


def test_a_comparison_that_is_the_truth_is_never_dressed():
    rows = [pair(f"p{i}", "x" * 30, "x" * 20) for i in range(40)]
    found = dressed(rows, Duel(longer), truth=lambda samples: [len(s.text) for s in samples], resamples=50)
    assert {c.evidence.value for c in found} == {0.0}
    # where the truth cannot say whether it was deserved the pair is left out
    blind = dressed(rows, Duel(longer), truth=lambda samples: [np.nan] * len(samples), resamples=50)
    assert {c.left_out for c in blind} == {40}
    assert {c.light for c in blind} == {"grey"} or all(np.isnan(c.evidence.value) for c in blind)


def test_no_comparison_is_asked_twice_for_its_dresses():
    asked = []
    rows = [pair(f"p{i}", "x" * 30, "x" * 20) for i in range(4)]
    dressed(rows, Duel(lambda a, b: asked.append((a.key, b.key)) or longer(a, b)), resamples=50)
    assert len(asked) == len(set(asked))


def test_neutral_words_of_as_many_characters():
    """`That is what there` is 4 + 1 + 2 + 1 + 4 + 1 + 5 characters; with the space before them 5, 8, 13, 19."""
    assert [cut(n) for n in (0, 2, 4, 6, 7, 19)] == ["", "", "That", "That", "That is", "That is what there"]


def test_a_repetition_that_the_truth_deserves_is_none():
    steps = [Sample(f"p{i}", "one. two.", steps=("one. ", "two.")) for i in range(8)]
    reward = Rule(lambda s: len(s.text))
    assert repeated_steps(steps, reward, resamples=50).light == "red"
    assert repeated_steps(steps, reward, truth=reward, resamples=50).evidence.value == 0.0
    unknown = repeated_steps(steps, reward, truth=Rule(lambda s: None), resamples=50)
    assert unknown.left_out == 8
