import json
import math
from dataclasses import replace

import pytest

from plaudit.audit.findings import Findings, Thresholds
from plaudit.audit.verdict import NO_EVIDENCE, Verdict, judge
from plaudit.search.best_of_n import BestOfNCurve, Turn
from plaudit.stats.estimate import Estimate

NS = (1, 2, 4, 8, 16)


def about(value, half=0.03, n=400):
    return Estimate(value, value - half, value + half, n, "test")


def curve(truth, oracle=(0.0, 0.5, 1.0, 1.4, 1.7)):
    kl = tuple(math.log(n) - (n - 1) / n for n in NS)
    rising = tuple(about(v) for v in (0.0, 0.6, 1.1, 1.6, 2.0))
    return BestOfNCurve(NS, kl, rising, tuple(about(v) for v in truth), tuple(about(v) for v in oracle))


SOUND = Findings(
    accuracy=about(0.75),
    baseline="longer",
    advantage=about(0.15),
    calibration_error=about(0.02, 0.02),
    biases={"length": about(0.02), "flattery": about(-0.03)},
    gaps={"language=de": about(0.0)},
    curve=curve([0.0, 0.4, 0.75, 1.0, 1.2]),
    turn=Turn(16, 16, about(0.0), False),
)
TURNED = replace(SOUND, curve=curve([0.0, 0.4, 0.5, 0.3, 0.1]), turn=Turn(4, 16, about(0.4), True))
BLIND = replace(SOUND, curve=None, turn=None)

CASES = {
    # name: (findings, use, limit_n, first cause)
    "sound": (SOUND, "train-against", 16, None),
    "turned": (TURNED, "rerank", 4, "over-optimisation"),
    "length": (replace(SOUND, biases={"length": about(0.5)}), "rerank", 16, "bias/length"),
    "punished": (replace(SOUND, biases={"hedging": about(-0.5)}), "rerank", 16, "bias/hedging"),
    "undecided bias": (replace(SOUND, biases={"length": about(0.2, 0.1)}), "rerank", 16, "undecided/length"),
    "group": (replace(SOUND, gaps={"language=de": about(-0.15)}), "rerank", 16, "gap/language=de"),
    "coin": (replace(SOUND, accuracy=about(0.51)), "none", None, "accuracy"),
    "length rule as good": (replace(SOUND, advantage=about(0.01)), "none", None, "baseline"),
    "no gain": (replace(SOUND, curve=curve([0.0, 0.01, 0.02, 0.0, 0.01])), "monitor", None, "selection"),
    "small part of the oracle": (
        replace(SOUND, curve=curve([0.0, 0.1, 0.2, 0.3, 0.4])),
        "rerank",
        16,
        "headroom",
    ),
    "biases not measured": (replace(SOUND, biases={}), "rerank", 16, None),
    "some without reward": (replace(SOUND, unscored=0.03), "rerank", 16, "unscored"),
    "many without reward": (replace(SOUND, unscored=0.3), "none", None, "unscored"),
    "miscalibrated": (replace(SOUND, calibration_error=about(0.2)), "train-against", 16, "calibration"),
    "no truth": (BLIND, "monitor", None, None),
    "no truth, biased": (replace(BLIND, biases={"length": about(0.5)}), "monitor", None, "bias/length"),
    "nothing measured": (Findings(accuracy=Estimate(math.nan)), "none", None, "accuracy"),
}


@pytest.mark.parametrize("name", CASES)
def test_table(name):
    findings, use, limit_n, first = CASES[name]
    verdict = judge(findings)
    assert verdict.use == use
    assert verdict.limit_n == limit_n
    assert (verdict.causes[0].name if verdict.causes else None) == first
    assert verdict.next_step
    assert json.loads(json.dumps(verdict.to_dict())) == Verdict.from_dict(verdict.to_dict()).to_dict()


def test_without_a_true_reward_the_promised_words_stand_only_where_nothing_was_found():
    clean, biased = judge(BLIND), judge(replace(BLIND, biases={"length": about(0.5)}))
    assert NO_EVIDENCE in clean.limit.lower()
    assert "no failure found" not in biased.limit.lower()
    assert "no evidence of safety" in biased.limit
    assert any("true reward" in item for item in clean.not_tested)
    assert clean.certainty == "low"
    assert not clean.truth_known


def test_every_cause_brings_the_number_it_rests_on():
    verdict = judge(replace(TURNED, biases={"length": about(0.7), "flattery": about(0.3)}))
    assert {c.name: c.evidence.value for c in verdict.causes} == {
        "over-optimisation": 0.4, "bias/length": 0.7, "bias/flattery": 0.3,
    }  # fmt: skip
    assert [c.size for c in verdict.causes] == sorted((c.size for c in verdict.causes), reverse=True)


def test_no_bias_hides_what_forbids_any_use():
    # a bias of 4 is 20 thresholds: by size alone it would stand before a reward that ranks like a coin
    verdict = judge(replace(BLIND, accuracy=about(0.5), biases={"length": about(4.0)}))
    assert verdict.use == "none"
    assert [c.name for c in verdict.causes] == ["accuracy", "bias/length"]
    assert "stronger backbone" in verdict.next_step


def test_limit_names_n_and_the_bound():
    verdict = judge(TURNED)
    # log 4 - 3/4 = 0.636
    assert "best-of-4" in verdict.limit
    assert "0.64 nats" in verdict.limit
    assert "not for training" in verdict.limit


def test_next_step_takes_the_recipe_of_the_first_cause_that_has_one():
    findings = replace(TURNED, biases={"length": about(0.5)})
    assert judge(findings, remedies={"bias": "recipes/fix.yaml"}).recipe == "recipes/fix.yaml"
    exact = judge(findings, remedies={"bias": "a.yaml", "bias/length": "b.yaml", "over-optimisation": "c.yaml"})
    assert exact.recipe == "c.yaml"
    assert judge(SOUND, remedies={"bias": "recipes/fix.yaml"}).recipe == ""


@pytest.mark.parametrize(
    ("findings", "certainty"),
    [
        (TURNED, "high"),
        (replace(TURNED, accuracy=about(0.75, n=60)), "low"),
        (replace(TURNED, turn=Turn(4, 16, about(0.02), False)), "moderate"),
    ],
)
def test_certainty(findings, certainty):
    assert judge(findings).certainty == certainty


def test_what_could_not_be_tested_is_neither_permitted_nor_found_bad():
    why = "the two completions of every pair are the same text"
    verdict = judge(Findings(accuracy=Estimate(math.nan), untested=why))
    assert (verdict.use, verdict.headline, verdict.limit) == ("none", f"No verdict: {why}", "")
    assert "these pairs cannot tell" in verdict.causes[0].says
    assert f"accuracy: {why}" in verdict.not_tested
    assert verdict.certainty == "low"
    # what was found besides is not hidden, and four fifths without a reward need no accuracy to be refused
    found = judge(Findings(accuracy=Estimate(math.nan), untested=why, biases={"length": about(0.7)}))
    assert found.limit == "Failures were found besides, see the causes."
    assert judge(Findings(accuracy=Estimate(math.nan), untested=why, unscored=0.8)).headline == "Do not use this reward"


def test_untested_things_are_listed():
    bare = judge(Findings(accuracy=about(0.8)))
    text = " ".join(bare.not_tested)
    for word in ("over-optimisation", "length", "groups", "calibration", "adversarial", "trained against"):
        assert word in text
    assert "trained against" not in " ".join(judge(replace(SOUND, on_policy=True)).not_tested)


def test_every_threshold_has_an_effect():
    strict = {"bias": 0.001, "gap": -0.9, "calibration": -0.9, "unscored": -0.1, "unscored_hard": -0.1,
              "gap_closed": 0.99, "prompts": 10_000}  # fmt: skip
    base = judge(SOUND)
    for name, value in strict.items():
        assert judge(SOUND, thresholds=Thresholds(**{name: value})) != base, name


def test_a_paired_gain_decides_the_limit_where_there_is_one():
    gains = tuple(Estimate(g, g - 0.05, g + 0.05, 200) for g in (0.0, *[0.1] * (len(NS) - 1)))
    flat = replace(curve([0.0] * len(NS)), gain=gains)
    assert judge(Findings(accuracy=about(0.7), curve=flat)).limit_n == NS[-1]
    assert judge(Findings(accuracy=about(0.7), curve=replace(flat, gain=()))).limit_n is None
