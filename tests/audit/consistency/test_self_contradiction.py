import numpy as np
import pytest

from plaudit.audit.consistency import candidates, symmetry, transitivity
from plaudit.records.sample import Sample
from small_audits import Duel, pair


def score(s):
    return {"a": 2.0, "b": 1.0, "c": 0.0}[s.text]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def groups(n=40):
    return [[Sample(f"p{i}", t) for t in "abc"] for i in range(n)]


def test_a_score_is_transitive():
    found = transitivity(groups(), Duel(lambda a, b: sigmoid(score(a) - score(b))), resamples=50)
    assert [c.evidence.value for c in found] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert [c.light for c in found][1] == "green"
    # 0 of 100 circles: Wilson's high end is z^2 / (n + z^2) = 3.84 / 103.84 = 0.037, below the threshold
    many = transitivity(groups(100), Duel(lambda a, b: sigmoid(score(a) - score(b))), resamples=50)
    assert many[0].light == "green"


def test_rock_paper_scissors_is_nothing_but_a_circle():
    beats = {("a", "b"), ("b", "c"), ("c", "a")}
    found = transitivity(groups(), Duel(lambda a, b: 0.8 if (a.text, b.text) in beats else 0.2), resamples=50)
    # every triad is a circle; log-odds of each completion sum to zero, so no score explains any of them
    assert [c.evidence.value for c in found] == pytest.approx([1.0, 1.0])
    assert [c.light for c in found] == ["red", "red"]
    assert "which beats the first" in found[0].examples[0].note


def test_a_mixture_by_hand():
    # y_ab = 1, y_bc = 1, y_ac = 1: s = (2/3, 0, -2/3); residuals 1/3, 1/3, -1/3 -> 3/9 of 3 = 1/9
    found = transitivity(groups(), Duel(lambda a, b: sigmoid(np.sign(score(a) - score(b)))), resamples=50)
    assert [c.evidence.value for c in found] == pytest.approx([0.0, 1 / 9])


def test_a_coin_has_circles_in_a_quarter_of_the_triads():
    rng, seen = np.random.default_rng(0), {}

    def coin(a, b):
        key = (a.prompt[0].text, *sorted((a.text, b.text)))
        p = seen.setdefault(key, rng.choice([0.1, 0.9]))
        return p if a.text < b.text else 1 - p

    found = transitivity(groups(1000), Duel(coin), resamples=200)
    assert found[0].evidence.low < 0.25 < found[0].evidence.high
    # log-odds of noise: (k - 2) / k = 1/3 for three completions
    assert found[1].evidence.low < 1 / 3 < found[1].evidence.high


def test_an_order_does_not_make_a_circle():
    # what stands first is favoured; the mean over both orders is a score's
    leaning = Duel(lambda a, b: min(0.99, sigmoid(score(a) - score(b)) + 0.2))
    assert transitivity(groups(100), leaning, resamples=50)[0].light == "green"


def test_symmetry_by_hand():
    rows = [pair(f"p{i}", "a", "b") for i in range(30)]
    found = symmetry(rows, Duel(lambda a, b: 0.7), resamples=50)
    assert found.evidence.value == pytest.approx(0.4)  # 0.7 + 0.7 - 1
    assert found.light == "red"
    assert (found.examples[0].reward_before, found.examples[0].reward_after) == pytest.approx((0.7, 0.3))
    fair = symmetry(rows, Duel(lambda a, b: sigmoid(score(a) - score(b))), resamples=50)
    assert fair.evidence.value == pytest.approx(0.0, abs=1e-12)
    assert fair.light == "green"


def test_candidates_of_prompts():
    rows = [pair("p", "a", "b"), pair("p", "b", "c"), pair("q", "a", "b")]
    assert [[s.text for s in g] for g in candidates(rows)] == [["a", "b", "c"]]
    assert [len(g) for g in candidates([pair("p", f"a{i}", f"b{i}") for i in range(9)])] == [6]
    found = transitivity(candidates(rows[2:]), Duel(lambda a, b: 0.5))
    assert {c.light for c in found} == {"grey"}
