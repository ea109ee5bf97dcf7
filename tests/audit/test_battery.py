"""The whole audit: what is red, what is grey, and what the verdict makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from plaudit.audit.against import compare_audits, worse
from plaudit.audit.battery import Audit, audit_reward, tokenizer_words
from plaudit.audit.checks import Check
from plaudit.audit.config import AuditConfig
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.records import Message, Pair
from plaudit.records.sample import content_hash
from plaudit.rewards.base import Outcome, PreferenceBatch, RewardBatch
from plaudit.rewards.registry import load
from plaudit.stats.estimate import Estimate

QUICK = {"resamples": 200, "search_budget": 200, "prompts": 40}
GOOD = ("because it was measured", "as the source says", "step by step", "which was checked")
BAD = ("so they say", "of course", "who knows", "nobody asked")


def _pairs(n=120, seed=0):
    """Answers whose quality is one phrase of equal length's worth, and which differ in nothing else by design."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        words = rng.choice(["river", "garden", "mirror", "bridge", "forest", "harbour"], 4)
        stem = " ".join(words)
        rows.append(
            Pair(
                (Message("user", f"what of {stem} number {i}"),),
                f"the {stem} is known {rng.choice(GOOD)}",
                f"the {stem} is known {rng.choice(BAD)}",
                meta={"side": "north" if i % 2 else "south"},
            )
        )
    return rows


class Rule:
    """A reward of the text with a model's noise."""

    name, scope, bounds, fingerprint = "rule", "sample", (-100.0, 100.0), "rule"

    def __init__(self, extra=lambda s: 0.0, noise=0.3):
        self.extra, self.noise, self.asked = extra, noise, 0

    def __call__(self, samples):
        self.asked += len(samples)
        return RewardBatch(np.array([self._one(s) for s in samples]))

    def _one(self, sample):
        text = sample.text
        worth = sum(text.count(p) > 0 for p in GOOD) - sum(text.count(p) > 0 for p in BAD)
        noise = np.random.default_rng(int(content_hash(sample.key)[:12], 16)).normal()
        return worth + self.noise * noise + self.extra(sample)


def _lights(audit):
    return {c.name: c.light for c in audit.checks}


def test_a_sound_reward_shows_no_bias_and_no_back_door():
    audit = audit_reward(_pairs(), Rule(), config=AuditConfig(**QUICK, groups=("side",)))
    lights = _lights(audit)
    assert lights["accuracy/coin"] == "green"
    assert "red" not in {light for name, light in lights.items() if name.split("/")[0] in ("bias", "fairness")}
    assert lights["attack/back-door"] != "red"
    assert audit.n_pairs == audit.n_prompts == 120
    assert "completions of a policy that was trained against it" in audit.verdict.not_tested


def test_a_planted_bias_is_the_first_cause():
    audit = audit_reward(_pairs(), Rule(lambda s: 0.05 * len(s.text)), config=AuditConfig(**QUICK))
    assert _lights(audit)["bias/length"] == "red"
    causes = [c.name for c in audit.verdict.causes if c.name not in ("accuracy", "baseline")]
    assert causes[0] == "bias/length"
    assert audit.verdict.use in ("monitor", "none")


def test_what_a_feature_costs_in_characters_is_not_the_feature():
    audit = audit_reward(_pairs(), Rule(lambda s: 0.05 * len(s.text)), config=AuditConfig(**QUICK))
    flattery = next(c for c in audit.checks if c.name == "bias/flattery")
    assert flattery.light == "green"
    assert "net of" in flattery.says
    likes = audit_reward(_pairs(), Rule(lambda s: 2.0 * ("brilliant" in s.text)), config=AuditConfig(**QUICK))
    assert _lights(likes)["bias/flattery"] == "red"


def test_a_group_that_is_served_worse_is_named():
    audit = audit_reward(
        _pairs(400),
        Rule(lambda s: -4.0 * (s.meta.get("side") == "north") * ("known" in s.text) * _good(s)),
        config=AuditConfig(**QUICK, groups=("side:author",)),
    )
    assert _lights(audit)["fairness/side=north"] == "red"
    assert any(c.name.startswith("fairness/side") for c in audit.verdict.causes)


def _good(sample):
    return any(p in sample.text for p in GOOD)


def test_every_family_is_there_or_says_why():
    audit = audit_reward(_pairs(60), Rule(), config=AuditConfig(**QUICK, skip=("attack", "consistency", "bias")))
    by_name = {c.name: c for c in audit.checks}
    for family in ("attack", "consistency", "bias"):
        assert by_name[f"{family}/all"].light == "grey"
        assert by_name[f"{family}/all"].skipped == "left out by the configuration"
    assert by_name["calibration/error"].light == "grey"
    assert by_name["fairness/gaps"].skipped == "no attribute was named"
    assert sum(audit.lights().values()) == len(audit.checks)


def test_nothing_is_scored_twice():
    reward = Rule()
    # what consistency asks twice, it asks twice on purpose
    audit = audit_reward(_pairs(50), reward, config=AuditConfig(**QUICK, skip=("consistency",)))
    assert reward.asked == audit.calls
    again = Rule()
    audit_reward(_pairs(50), again, config=AuditConfig(**QUICK, skip=("attack", "consistency", "bias")))
    assert again.asked == 100


def test_the_truth_takes_deserved_biases_off():
    def longer_is_better(s):
        return 0.05 * len(s.text)

    truth = Rule(longer_is_better, noise=0.0)
    blind = audit_reward(_pairs(), Rule(longer_is_better), config=AuditConfig(**QUICK))
    told = audit_reward(_pairs(), Rule(longer_is_better), true_reward=truth, config=AuditConfig(**QUICK))
    assert _lights(blind)["bias/length"] == "red"
    # the model's noise is part of its unit and not of the truth's, so the two do not cancel exactly
    assert _lights(told)["bias/length"] != "red"
    effect = {
        a: next(c.evidence.value for c in x.checks if c.name == "bias/length") for a, x in (("b", blind), ("t", told))
    }
    assert abs(effect["t"]) < 0.2 * effect["b"]
    assert "cannot say" in next(c.says for c in blind.checks if c.name == "bias/length")


def test_thresholds_of_the_configuration_move_lights_and_verdict():
    loose = AuditConfig(**QUICK, thresholds={"bias": 50.0}, skip=("attack", "consistency"))
    audit = audit_reward(_pairs(), Rule(lambda s: 0.05 * len(s.text)), config=loose)
    assert _lights(audit)["bias/length"] == "green"
    assert not any(c.name.startswith("bias") for c in audit.verdict.causes)


def test_a_threshold_of_one_bias_moves_the_verdict_with_the_light():
    skip = ("attack", "consistency", "fairness")
    reward = Rule(lambda s: 0.05 * len(s.text))
    config = AuditConfig(**QUICK, skip=skip, thresholds={"bias/length": 50.0})
    audit = audit_reward(_pairs(), reward, config=config)
    assert _lights(audit)["bias/length"] == "green"
    assert "bias/length" not in {c.name for c in audit.verdict.causes}
    # the others keep the family's own 0.2
    assert {c.threshold for c in audit.checks if c.family == "bias" and c.name != "bias/length"} == {0.2}


def test_a_demand_on_accuracy_is_a_cause_where_it_is_missed():
    skip = ("attack", "consistency", "fairness", "bias")
    config = AuditConfig(**QUICK, skip=skip, thresholds={"accuracy/coin": 0.999})
    audit = audit_reward(_pairs(), Rule(noise=3.0), config=config)
    assert _lights(audit)["accuracy/coin"] == "red"
    assert "accuracy/coin" in {c.name for c in audit.verdict.causes}


def test_a_familys_threshold_does_not_disarm_what_is_harmful_below():
    audit = audit_reward(
        _pairs(), Rule(), config=AuditConfig(**QUICK, skip=("attack",), thresholds={"consistency": 0.05})
    )
    moved = {c.name: (c.harm, c.threshold) for c in audit.checks if c.family == "consistency" and c.evidence}
    assert moved["consistency/determinism"] == ("above", 0.05)
    below = [t for harm, t in moved.values() if harm == "below"]
    assert all(t != 0.05 for t in below)  # 0.6 of contrast and agreement: at 0.05 neither could ever be red


class Constant(Rule):
    """The same for every text."""

    def _one(self, sample):
        return 1.0


def test_a_constant_is_not_better_than_a_coin():
    audit = audit_reward(_pairs(), Constant(), config=AuditConfig(**QUICK, skip=("attack", "consistency")))
    assert next(c for c in audit.checks if c.name == "accuracy/coin").evidence.value == 0.5
    assert _lights(audit)["accuracy/coin"] == "red"


class Chosen(Rule):
    """Abstains on everything but what is good."""

    def __call__(self, samples):
        batch = super().__call__(samples)
        gone = np.array([not _good(s) for s in samples])
        return RewardBatch(
            np.where(gone, np.nan, batch.reward), np.where(gone, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
        )


def test_without_two_rewards_of_a_prompt_biases_are_grey_and_the_audit_goes_on():
    audit = audit_reward(_pairs(60), Chosen(), config=AuditConfig(**QUICK))
    grey = next(c for c in audit.checks if c.name == "bias/length")
    assert grey.skipped == "0 prompts have two completions with a reward, and 6 are needed"
    assert _lights(audit)["accuracy/unscored"] == "red"
    assert audit.verdict.use == "none"


def test_what_is_grey_says_why():
    for pairs, reward in ((_pairs(60), Half()), (_pairs(2), Rule()), (_pairs(60), Chosen())):
        audit = audit_reward(pairs, reward, config=AuditConfig(**QUICK, groups=("side",)))
        assert [c.name for c in audit.checks if c.light == "grey" and not c.skipped] == []


def test_two_prompts_show_no_bias():
    audit = audit_reward(_pairs(2), Rule(lambda s: 0.5 * len(s.text)), config=AuditConfig(**QUICK))
    assert {_lights(audit)[f"bias/{b}"] for b in ("length", "markdown", "flattery")} == {"grey"}


def test_a_verifier_is_audited_on_pairs_with_their_references():
    pairs = [
        Pair(
            (Message("user", f"{i} + 1?"),),
            rf"\boxed{{{i + 1}}}",
            rf"\boxed{{{i + 2}}}",
            meta={"reference": str(i + 1)},
        )
        for i in range(60)
    ]
    audit = audit_reward(pairs, load("verify/math"), config=AuditConfig(**QUICK))
    assert audit.evaluation.accuracy.value == 1.0
    # longer pays and is truly worth nothing, as the verifier knows
    told = audit_reward(
        pairs, Rule(lambda s: 0.1 * len(s.text)), true_reward=load("verify/math"), config=AuditConfig(**QUICK)
    )
    assert told.verdict.truth_known
    assert _lights(told)["bias/length"] == "red"


class Half(Rule):
    """Abstains on half of the prompts."""

    def __call__(self, samples):
        batch = super().__call__(samples)
        gone = np.array([int(content_hash(s.prompt[0].text)[:6], 16) % 2 == 0 for s in samples])
        return RewardBatch(
            np.where(gone, np.nan, batch.reward), np.where(gone, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
        )


def test_a_reward_that_abstains_half_the_time_is_no_silent_number():
    audit = audit_reward(_pairs(200), Half(), config=AuditConfig(**QUICK))
    unscored = next(c for c in audit.checks if c.name == "accuracy/unscored")
    assert unscored.light == "red"
    assert "abstained" in unscored.says
    assert audit.verdict.use == "none"


class Judge:
    """A comparison that leans to the first."""

    name, fingerprint = "judge", "judge"

    def __init__(self, lean):
        self.of, self.lean = Rule(), lean

    def __call__(self, first, second):
        margin = self.of(first).reward - self.of(second).reward
        return PreferenceBatch(1 / (1 + np.exp(-(3 * margin + self.lean))), np.zeros(len(first), dtype=np.int8))


def test_a_comparison_that_leans_to_the_first_is_caught_and_its_accuracy_is_not_flattered():
    audit = audit_reward(_pairs(200), Judge(50.0), logit_scale=1.0, config=AuditConfig(**QUICK))
    lights = _lights(audit)
    assert lights["attack/position"] == "red"
    # it always says the first; shown in random order that is a coin
    assert abs(audit.evaluation.accuracy.value - 0.5) < 0.12
    assert lights["bias/all"] == "grey"
    assert _lights(audit_reward(_pairs(200), Judge(0.0), config=AuditConfig(**QUICK)))["attack/position"] == "green"


def test_an_audit_survives_json_and_equals_itself_against_itself():
    audit = audit_reward(_pairs(60), Rule(), config=AuditConfig(**QUICK, skip=("attack",)))
    again = Audit.from_dict(json.loads(json.dumps(audit.to_dict())))
    assert again.lights() == audit.lights()
    assert again.metrics().keys() == audit.metrics().keys()
    changes = compare_audits(audit, audit)
    assert {c.standing for c in changes} <= {"no worse", "undecided", "not comparable"}
    assert worse(changes) == ()


def test_a_reward_that_got_worse_is_worse():
    before = audit_reward(_pairs(), Rule(), config=AuditConfig(**QUICK, skip=("attack", "consistency")))
    after = audit_reward(
        _pairs(), Rule(lambda s: 0.05 * len(s.text)), config=AuditConfig(**QUICK, skip=("attack", "consistency"))
    )
    change = next(c for c in compare_audits(before, after) if c.name == "bias/length")
    assert change.standing == "worse"
    assert change.loss.low > change.margin == pytest.approx(0.1)
    assert next(c for c in compare_audits(after, before) if c.name == "bias/length").standing == "no worse"
    unmeasured = replace(after, checks=tuple(c for c in after.checks if c.family != "bias"))
    assert {c.name for c in worse(compare_audits(before, unmeasured))} >= {"bias/length", "bias/markdown"}


def test_a_lost_accuracy_is_worse_and_a_loosened_threshold_hides_nothing():
    def with_check(audit, **changes):
        return replace(audit, checks=tuple(replace(c, **changes) for c in audit.checks if c.name == "accuracy/coin"))

    audit = audit_reward(_pairs(), Rule(), config=AuditConfig(**QUICK, skip=("attack", "consistency", "bias")))
    before = with_check(audit, evidence=Estimate(0.95, 0.93, 0.97, 400))
    after = with_check(audit, evidence=Estimate(0.75, 0.71, 0.79, 400))
    # 20 points lost, 15 or more surely: half of a coin's 0.5 would let them pass
    (change,) = compare_audits(before, after)
    assert (change.standing, change.margin) == ("worse", 0.025)
    loose = with_check(after, threshold=0.1)
    assert [c.name for c in worse(compare_audits(before, loose))] == ["accuracy/coin"]


def test_p_values_are_worse_only_where_they_turn_red():
    def with_p(audit, p):
        check = Check("fairness/age", "p-value", Estimate(p, n=80, method="permutation test"), 0.01, "below")
        return replace(audit, checks=(check,))

    audit = audit_reward(_pairs(20), Rule(), config=AuditConfig(**QUICK, skip=("attack", "consistency", "bias")))
    for then, now, standing in ((0.9, 0.4, "no worse"), (0.4, 0.001, "worse"), (0.001, 0.002, "undecided")):
        (change,) = compare_audits(with_p(audit, then), with_p(audit, now))
        assert change.standing == standing


def test_mistakes_are_told_in_a_line():
    with pytest.raises(InputError, match="no pair"):
        audit_reward([], Rule())
    with pytest.raises(InputError, match="skip has 'attacks'"):
        AuditConfig(skip=("attacks",))
    with pytest.raises(InputError, match="threshold of 'biass'"):
        AuditConfig(thresholds={"biass": 1.0})
    with pytest.raises(InputError, match=r"fail_on has 'attack/opener', and skip leaves it out; it could never fail"):
        AuditConfig(fail_on=("attack/opener",), skip=("attack",))
    with pytest.raises(InputError, match=r"'accuracy'; its checks share no unit, so name one: accuracy/coin"):
        AuditConfig(thresholds={"accuracy": 0.6})
    with pytest.raises(InputError, match="fail_on has 'rot'"):
        AuditConfig(fail_on=("rot",))
    with pytest.raises(InputError, match="prompts is 0"):
        AuditConfig(prompts=0)
    assert tokenizer_words(Rule()) == []


class Counted(Rule):
    """Remembers the samples of every call."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __call__(self, samples):
        self.calls.append(samples)
        return super().__call__(samples)


def test_what_checks_will_ask_is_asked_at_once_and_changes_nothing():
    ahead, plain = Counted(), Rule()
    config = AuditConfig(**QUICK, skip=("consistency",))
    audit = audit_reward(_pairs(60), ahead, config=config)
    # the pairs, then every rewrite and attack that depends on no reward: only what is searched for comes later
    assert len(ahead.calls[0]) == 120
    assert len(ahead.calls[1]) > 10 * len(ahead.calls[0])
    per_prompt = {s.prompt for s in ahead.calls[1]}
    assert len(per_prompt) == QUICK["prompts"]
    scored = Scored(plain)
    with scored.rehearsal() as asked:
        assert np.isfinite(scored([s for p in _pairs(3) for s in p.samples()]).reward).all()
    assert plain.asked == 0
    assert len(asked) == 6
    scored(asked)
    assert plain.asked == scored.calls == 6
    again = audit_reward(_pairs(60), Rule(), config=config)
    assert again.metrics() == audit.metrics()


class Shy(Rule):
    """Abstains on whatever claims something, but at two prompts."""

    def __call__(self, samples):
        batch = super().__call__(samples)
        gone = np.array(["experts" in s.text and int(s.prompt[0].text.split()[-1]) > 60 for s in samples])
        return RewardBatch(
            np.where(gone, np.nan, batch.reward), np.where(gone, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
        )


def test_a_claim_that_few_prompts_judged_is_grey():
    pairs = [p for i, p in enumerate(_pairs(120)) if i > 56]
    audit = audit_reward(pairs, Shy(lambda s: 5.0 * ("experts" in s.text)), config=AuditConfig(**QUICK))
    authority = next(c for c in audit.checks if c.name == "attack/authority")
    assert authority.light == "grey"
    assert authority.skipped == "too few prompts have all the rewards that it needs"
    assert _lights(audit)["attack/tampering"] != "grey"


def test_a_bias_that_few_prompts_judged_is_grey_and_listed():
    class NoMarkdown(Rule):
        def __call__(self, samples):
            batch = super().__call__(samples)
            gone = np.array(["**" in s.text for s in samples])
            return RewardBatch(
                np.where(gone, np.nan, batch.reward), np.where(gone, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
            )

    audit = audit_reward(_pairs(), NoMarkdown(), config=AuditConfig(**QUICK))
    assert _lights(audit)["bias/markdown"] == "grey"
    assert _lights(audit)["bias/length"] != "grey"
    assert any(line.startswith("bias/markdown: ") for line in audit.verdict.not_tested)


def test_a_reward_of_the_whole_batch_is_told_why():
    class Whole(Rule):
        scope = "batch"

    audit = audit_reward(_pairs(60), Whole(), config=AuditConfig(**QUICK, skip=("consistency",)))
    check = next(c for c in audit.checks if c.name == "bias/length")
    assert check.skipped == "the reward scores the whole batch together, so no single change can be judged"


def test_the_truth_is_asked_of_no_sample_twice_and_must_judge_samples_alone():
    class Counted(Rule):
        def __init__(self):
            super().__init__()
            self.keys = []

        def __call__(self, samples):
            self.keys += [content_hash([s.key, dict(s.meta)]) for s in samples]
            return super().__call__(samples)

    truth = Counted()
    audit_reward(_pairs(40), Rule(), true_reward=truth, config=AuditConfig(**QUICK, groups=("side",)))
    assert len(truth.keys) == len(set(truth.keys)) > 80

    class Ranks(Rule):
        scope = "group"

    with pytest.raises(InputError, match="truth: rule scores a whole group together, and a check asks what one"):
        audit_reward(_pairs(8), Rule(), true_reward=Ranks(), config=AuditConfig(**QUICK))


def test_a_comparison_that_is_the_truth_shows_no_attack():
    class Long(Rule):
        def _one(self, sample):
            return 0.05 * len(sample.text) + super()._one(sample)

    judge = Judge(0.0)
    judge.of = Long()
    audit = audit_reward(_pairs(), judge, true_reward=Long(), config=AuditConfig(**QUICK))
    assert [c.name for c in audit.checks if c.family == "attack" and c.light == "red"] == []
    assert audit.asked == f"{audit.calls} comparisons asked"


def test_a_share_without_reward_is_a_cause_by_its_interval():
    class Two(Rule):
        def __call__(self, samples):
            batch = super().__call__(samples)
            gone = np.array([s.prompt[0].text.endswith((" 1", " 2")) for s in samples])
            return RewardBatch(
                np.where(gone, np.nan, batch.reward), np.where(gone, Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8)
            )

    config = AuditConfig(**QUICK, skip=("attack", "consistency", "bias"))
    audit = audit_reward(_pairs(), Two(), config=config)  # 2 of 120: [0.005, 0.059]
    check = next(c for c in audit.checks if c.name == "accuracy/unscored")
    assert check.light == "amber"
    assert "unscored" not in [c.name for c in audit.verdict.causes]
    few = audit_reward(_pairs(30), Two(), config=config)
    whole = audit_reward(_pairs(), Rule(), config=config)
    # none of 120: Wilson's upper end is 3.8415 / 123.8415
    share = next(c for c in whole.checks if c.name == "accuracy/unscored")
    assert (share.evidence.value, share.light) == (0.0, "amber")
    assert share.evidence.high == pytest.approx(3.8415 / 123.8415, abs=1e-4)
    cause = next(c for c in few.verdict.causes if c.name == "unscored")  # 2 of 30: [0.018, 0.213]
    assert cause.evidence.low > 0.01
