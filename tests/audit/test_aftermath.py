"""A run looked at afterwards: what the completions have become while the reward rose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plaudit.audit.aftermath import aftermath
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch


def _run(text_of, *, groups=60, each=4, reward=lambda i, k, n: k, outcome=None, finish="eos"):
    """Groups in the order of the run; `text_of(share, i, k)` with share from 0 to 1."""
    samples, rewards, outcomes = [], [], []
    for i in range(groups):
        for k in range(each):
            text = text_of(i / (groups - 1), i, k)
            cut = finish if isinstance(finish, str) else finish(i / (groups - 1))
            meta = {"tokens": len(text.split()), "finish": cut}
            samples.append(Sample(conversation(f"question {i % 12}"), text, group=f"{i}", meta=meta))
            rewards.append(float(reward(i, k, len(text.split()))))
            outcomes.append(Outcome.SCORED if outcome is None else outcome(i / (groups - 1), k))
    kinds = np.array(outcomes, dtype=np.int8)
    value = np.where(kinds == Outcome.SCORED, np.array(rewards), np.nan)
    return samples, RewardBatch(value, kinds)


def _history(reward, watched=None, n=40):
    rows = []
    for i in range(n):
        row = {"reward": reward(i) + 0.01 * (i % 3), "step": i + 1}
        if watched is not None:
            row["watched/math"] = watched(i) + 0.01 * (i % 2)
        rows.append(row)
    return rows


def _lights(samples, batch, history=()):
    return {c.name: c for c in aftermath(samples, batch, history, resamples=300)}


def test_a_run_in_which_nothing_changes_is_green():
    samples, batch = _run(lambda share, i, k: f"answer {i} {k} of some words here")
    found = _lights(samples, batch, _history(lambda i: 0.0, lambda i: 0.5))
    assert {c.light for name, c in found.items() if name not in ("run/watched/math", "run/pays-length")} == {"green"}
    assert found["run/length"].evidence.value == pytest.approx(1.0)
    assert found["run/pays-length"].skipped  # all of one length: nothing can correlate


def test_growing_completions_show_with_the_longest_beside_an_early_one():
    samples, batch = _run(lambda share, i, k: " ".join(f"w{i}{k}{j}" for j in range(5 + round(20 * share) + k)))
    check = _lights(samples, batch)["run/length"]
    # early fifth: about 5 + 2 + 1.5 words, late about 5 + 18 + 1.5
    assert check.light == "red"
    assert check.evidence.value == pytest.approx(24.5 / 8.5, rel=0.08)
    assert check.examples[0].before
    assert len(check.examples[0].after.split()) == 28


def test_a_reward_that_comes_to_pay_for_length():
    rng = np.random.default_rng(0)

    def reward(i, k, n):
        return n if i > 40 else rng.normal()

    samples, batch = _run(lambda share, i, k: " ".join(["w"] * (3 + (i * 7 + k * 5) % 9)), reward=reward)
    check = _lights(samples, batch)["run/pays-length"]
    assert check.light == "red"
    assert check.evidence.value == pytest.approx(1.0, abs=0.35)


def test_repetition_and_sameness():
    def text(share, i, k):
        return "the same old song and dance " * 4 if share > 0.5 else f"answer {i} {k} is new and fresh every time"

    found = _lights(*_run(text))
    assert found["run/repetition"].light == "red"
    assert found["run/sameness"].light == "red"
    assert found["run/sameness"].evidence.value == pytest.approx(1.0)


def test_what_is_cut_off_and_what_is_not_judged():
    found = _lights(*_run(lambda s, i, k: f"answer {i} {k}", finish=lambda s: "length" if s > 0.5 else "eos"))
    assert found["run/unfinished"].light == "red"

    def silent(share, k):
        return Outcome.ABSTAINED if share > 0.5 and k == 0 else Outcome.SCORED

    hidden = _lights(*_run(lambda s, i, k: f"answer {i} {k}", outcome=silent))
    assert hidden["run/unjudged"].light == "red"
    # groups 12 to 59 come after the first fifth, and from group 30 on one in four is silent
    assert hidden["run/unjudged"].evidence.value == pytest.approx(0.25 * 30 / 48)
    # a fault of the policy is judged: it is worth the floor
    fault = _lights(*_run(lambda s, i, k: f"a {i} {k}", outcome=lambda s, k: Outcome.SCORED))
    assert fault["run/unjudged"].evidence.value == 0.0


def test_a_judge_that_was_away_in_the_middle_of_a_run():
    def away(share, k):
        return Outcome.INSTRUMENT_FAULT if 0.25 < share < 0.5 else Outcome.SCORED

    check = _lights(*_run(lambda s, i, k: f"answer {i} {k}", outcome=away))["run/unjudged"]
    assert check.light == "red"
    assert check.evidence.value == pytest.approx(15 / 48)  # groups 15 to 29, of 12 to 59


def test_a_watched_reward_that_fell_while_the_other_rose():
    samples, batch = _run(lambda share, i, k: f"answer {i} {k}")
    found = _lights(samples, batch, _history(lambda i: 0.02 * i, lambda i: 0.5 - 0.01 * i))
    check = found["run/watched/math"]
    assert check.light == "red"
    # means of updates 0..7 and 32..39: 32 updates apart
    assert check.evidence.value == pytest.approx(-0.32)
    assert "rose by" in check.says
    risen = _lights(samples, batch, _history(lambda i: 0.02 * i, lambda i: 0.01 * i))["run/watched/math"]
    assert risen.light == "green"


def test_short_runs_and_unwatched_ones_say_so():
    samples, batch = _run(lambda share, i, k: "x y", groups=9)
    found = _lights(samples, batch, _history(lambda i: 0.0, n=4))
    assert found["run/watched"].skipped == "no reward was watched"
    assert "20 are needed" in found["run/length"].skipped
    assert {c.light for c in found.values()} == {"grey"}
    short = _lights(samples, batch, _history(lambda i: 0.0, lambda i: 0.0, n=4))["run/watched/math"]
    assert short.skipped == "fewer than 10 updates"
    assert short.light == "grey"


def test_what_came_out_as_no_number_is_grey_and_says_why():
    samples = [Sample(f"q{i}", "", group=f"g{i}", meta={"tokens": 0, "finish": "stop"}) for i in range(40)]
    history = [{"reward": 0.0, "watched/judge": math.nan}] * 20
    found = {c.name: c for c in aftermath(samples, RewardBatch(np.zeros(40)), history)}
    assert found["run/watched/judge"].skipped == "in some updates it judged nothing"
    assert found["run/length"].skipped == "there is nothing to divide by, early or late"  # no token anywhere
    few = {c.name: c for c in aftermath(samples, RewardBatch(np.zeros(40)), history[:3])}
    assert few["run/watched/judge"].skipped == "fewer than 10 updates"
