"""Prompts that a reward judges together, such as wordings of a question [140], and that are learnt from apart."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.online import OnlineConfig, improve
from plaudit.policy.online.methods import online
from plaudit.records.rows import PromptOnly
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.files import read_scored
from plaudit.rewards.registry import load
from small_policies import SMALL, losses, policy, prompts


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Wordings:
    """Reward: which of the two wordings is answered; keeps what it saw as one group."""

    name, scope, bounds, fingerprint = "wordings", "group", (0.0, 1.0), "wordings"

    def __init__(self):
        self.seen = []

    def __call__(self, samples):
        groups = {}
        for sample in samples:
            groups.setdefault(sample.group, []).append((sample.meta["question"], sample.prompt[0].text))
        self.seen += list(groups.values())
        return RewardBatch(np.array([float(s.meta["view"]) for s in samples]))


def rows(questions=4, views=2):
    asked = prompts(questions * views)
    # all first wordings, then all second ones: what belongs together does not lie together
    return [
        PromptOnly(asked[v * questions + q].prompt, "1", {"question": f"q{q}", "view": v})
        for v in range(views)
        for q in range(questions)
    ]


def together(out, reward, given=None, **options):
    config = OnlineConfig(**{**SMALL, "together": "question", "sequences": 6, **options})
    return improve(
        rows() if given is None else given, model=policy(), tokenizer=build_tokenizer(), reward=reward, config=config,
        method=online("grpo")[1], out=out,
    )  # fmt: skip


def test_a_reward_sees_all_wordings_and_completions_are_compared_within_one(tmp_path):
    reward = Wordings()
    found = together(tmp_path, reward, epochs=2)
    assert len(reward.seen) == 8  # four questions, twice
    for members in reward.seen:
        (question,) = {q for q, _ in members}
        assert len(members) == 6  # three completions of two wordings
        assert len({text for _, text in members}) == 2, question
    # within a wording all rewards are equal, over both they are not: nothing is learnt
    assert [row["silent_groups"] for row in found.history if "reward" in row] == [1, 1, 1, 1]
    assert losses(found) == [0, 0, 0, 0]
    assert found.history[0]["reward"] == 0.5
    assert {s.meta["view"] for s in read_scored(tmp_path / "samples.jsonl").samples} == {0, 1}


def test_the_agreement_of_wordings_is_such_a_reward(tmp_path):
    found = together(tmp_path, load("verify/co-reward?extract=last"))
    assert len(found.history) == 2
    assert all(np.isfinite(losses(found)))


def test_what_cannot_be_kept_together_is_refused(tmp_path):
    with pytest.raises(InputError, match="2 prompts of a question are judged together, and batch_size is 3"):
        together(tmp_path, Wordings(), batch_size=3)
    with pytest.raises(InputError, match="question 'q3' has 1 prompts and 'q2' 2; give as many of each"):
        together(tmp_path, Wordings(), rows()[:7])
    with pytest.raises(InputError, match="prompt 1 has no column 'topic', which says what is judged together"):
        together(tmp_path, Wordings(), together="topic")
