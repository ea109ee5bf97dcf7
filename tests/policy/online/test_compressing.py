"""TRAAC's compression by hand: which steps go, by whom they are attended to, and how long the rollout is without."""

import json

import numpy as np
import pytest

from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online import OnlineConfig, improve
from plaudit.policy.online.compressing import kept_lengths, reasoning_end, step_lengths
from plaudit.policy.online.methods import online
from plaudit.policy.rollout import Rollout
from plaudit.records.sample import Sample
from small_policies import SMALL, Sevens, losses, policy, prompts


class HasSeven(Sevens):
    """1 where there is a seven, 0 where not."""

    def one(self, text):
        return float("7" in text)


class Letters:
    """A token a letter."""

    def decode(self, ids, **_):
        return "".join(map(chr, ids))


def rollout(text):
    ids = tuple(map(ord, text))
    return Rollout(Sample("q", text), tuple(map(ord, "ask")), ids, (0.0,) * len(ids), "eos")


def test_where_reasoning_ends_and_steps():
    ids = list(map(ord, "one\n\ntwo\n thr</t>four</t>"))
    assert reasoning_end(ids, Letters(), "</t>") == len("one\n\ntwo\n thr</t>")
    assert reasoning_end(ids, Letters(), "</no>") is None
    # a line keeps the empty one behind it; the marker is no step
    assert step_lengths(ids[:17], Letters(), "</t>") == [len("one\n\n"), len("two\n "), len("thr")] or step_lengths(
        ids[:17], Letters(), "</t>"
    ) == [len("one\n\n"), len("two\n"), len(" thr")]
    assert step_lengths(list(map(ord, "</t>")), Letters(), "</t>") == []


def test_the_least_attended_steps_of_easy_prompts_go():
    """Four steps of two letters, attended to by 8, 1, 1 and 0 a token: their share of the entropy is far from even.

    p = .8, .1, .1, 0: entropy .6390 of log 4 = 1.3863, so the rate is .5 * min(1, 4 * .539) = .5 for an easy prompt:
    two steps go, the last and then the later of the two that are equal. A hard prompt keeps all: .1 of four is none.
    """
    text, shares = "a\nb\nc\nd\n</t>!", [8, 8, 1, 1, 1, 1, 0, 0]
    asked = []

    def attend(ids):
        asked.append(len(ids))
        return np.array([9, 9, 9, *shares, 0, 0, 0, 0], dtype=float)

    def kept(correct, groups=(0, 0, 0, 0)):
        return kept_lengths(
            [rollout(text)] * 4, np.array(correct, dtype=float), np.array(groups), attend=attend, tokenizer=Letters(),
            marker="</t>",
        ).tolist()  # fmt: skip

    assert kept([1, 1, 1, 1]) == [len(text) - 4] * 4
    assert set(asked) == {3 + len("a\nb\nc\nd\n</t>")}  # the prompt, and what leads up to the marker
    hard = kept([1, 0, 0, np.nan])  # a third is right: hard
    assert hard[0] == len(text)
    assert np.isnan(hard[1:]).all()
    # attended to alike, nothing goes; nor without a marker, nor where nothing is attended to
    even = dict(tokenizer=Letters(), marker="</t>")
    one, first = np.ones(1), np.zeros(1, dtype=np.int64)
    assert kept_lengths([rollout(text)], one, first, attend=lambda ids: np.ones(len(ids)), **even) == [len(text)]
    assert kept_lengths([rollout(text)], one, first, attend=lambda ids: np.zeros(len(ids)), **even) == [len(text)]
    assert kept_lengths([rollout("a\nb")], one, first, attend=attend, **even) == [3]


def test_a_run_is_paid_by_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    name = "traac?compress=7"  # the first seven closes the reasoning
    config = OnlineConfig(**{**SMALL, "completions": 8, "algorithm": name, "learning_rate": 1e-3})
    found = improve(
        prompts(4), model=policy(), tokenizer=build_tokenizer(), out=tmp_path, method=online(name)[1],
        reward=HasSeven(), config=config,
    )  # fmt: skip
    assert np.isfinite(losses(found)).all()
    shares = [json.loads(line).get("kept_share") for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    told = [x for x in shares if x is not None]
    assert told
    assert all(0 < x <= 1 for x in told)
    assert online("traac")[1].compress == ""


def test_the_option_is_that_of_traac_alone():
    with pytest.raises(Exception, match="unknown option 'compress'"):
        online("grpo?compress=x")
