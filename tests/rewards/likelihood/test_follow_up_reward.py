"""Follow-up likelihood: its formula, its trees, and what a model of users makes of it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.likelihood import FollowUpReward, FollowUps, follow_up_reward
from plaudit.rewards.likelihood.followups import SHIPPED, read_follow_ups
from plaudit.testing import RewardContract

TWO = {"a": FollowUps(("Good.", "Thank you."), ("Bad.",)), "b": FollowUps(("Yes.",), ("No.",))}
SAMPLES = [Sample("What is the capital of Peru?", c) for c in ("Lima", "", "I cannot help")]


def test_the_formula_by_hand_and_its_symmetries():
    positive, negative = np.array([[-1.0, -3.0], [0.0, -1.0]]), np.array([[-4.0], [-1.0]])
    assert follow_up_reward(positive, negative).tolist() == [2.0, 0.5]  # -2 - (-4), -0.5 - (-1)
    assert follow_up_reward(negative, positive).tolist() == [-2.0, -0.5]  # the sets swapped
    assert follow_up_reward(positive + 7, negative + 7).tolist() == [2.0, 0.5]  # a constant cancels
    assert follow_up_reward(positive, np.zeros((2, 0))).tolist() == [-2.0, -0.5]


def test_it_equals_plain_forward_calls(strong, slow_logps):
    batch = FollowUpReward(strong, TWO)(SAMPLES)
    for i, sample in enumerate(SAMPLES):
        parts = {}
        for name, sets in TWO.items():
            means = []
            for said in (sets.positive, sets.negative):
                rows = []
                for f in said:
                    turns = (*sample.messages, Message("user", f))
                    text = strong.encoder.text(turns)
                    read = strong.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
                    start = text.rindex(f)
                    inside = [t for t, (a, b) in enumerate(read["offset_mapping"]) if b > start and a < start + len(f)]
                    rows.append(slow_logps(strong, read["input_ids"])[np.array(inside) - 1].mean())
                means.append(np.mean(rows))
            parts[name] = means[0] - means[1]
        for name, value in parts.items():
            assert batch.aspects[name][i] == pytest.approx(value, abs=1e-5)
        assert batch.reward[i] == pytest.approx(np.mean(list(parts.values())), abs=1e-5)


def test_a_conversation_is_run_once_for_all_follow_ups(strong):
    reward = FollowUpReward(strong, TWO)
    said = [f for sets in TWO.values() for f in (*sets.positive, *sets.negative)]
    located = [one.ids for one in reward._located(SAMPLES[:1], said)[0]]
    from plaudit.engine.planning import distinct_tokens

    once = len(strong.locate(SAMPLES[:1])[0].ids)
    branches = sum(len(ids) - once for ids in located)
    assert distinct_tokens(located) <= once + branches


def test_a_flood_is_the_policy_s_fault(language):
    batch = FollowUpReward(language(max_length=80), TWO)([Sample("q", "rain " * 200), Sample("q", "Lima")])
    assert batch.outcome.tolist() == [Outcome.POLICY_FAULT, Outcome.SCORED]
    assert batch.reward[0] == -100.0


def test_a_follow_up_that_never_fits_is_nobody_s_fault(language):
    long = {"a": FollowUps(("Good.",), ("bad " * 200,))}
    batch = FollowUpReward(language(max_length=80), long)([Sample("q", "Lima"), Sample("q", "")])
    assert batch.outcome.tolist() == [Outcome.ABSTAINED] * 2
    assert batch.detail[0]["reason"] == "a follow-up leaves no room for a completion within max_length"


def test_sets_come_from_a_file(tmp_path, strong):
    path = tmp_path / "f.yaml"
    path.write_text("a:\n  positive: [Good., Thank you.]\n  negative: [Bad.]\nb: {positive: [Yes.], negative: [No.]}\n")
    assert read_follow_ups(path) == TWO
    assert set(SHIPPED) == {"understanding", "engagement", "instruction"}
    assert FollowUpReward(strong, TWO).fingerprint != FollowUpReward(strong).fingerprint
    path.write_text("a: {negative: [Bad.]}\n")
    with pytest.raises(InputError, match=r"f.yaml: a: follow-ups: a category needs positive utterances"):
        read_follow_ups(path)
    path.write_text("a: {positiv: [Bad.]}\n")
    with pytest.raises(InputError, match="unknown key 'positiv'; did you mean 'positive'"):
        read_follow_ups(path)


class TestFollowUpContract(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, strong):
        self.reward = FollowUpReward(strong, {"a": FollowUps(("Good.",), ("Bad.",))})

    def make_reward(self):
        return self.reward


def test_a_model_of_users_gives_qualities_back(language):
    """Entry 6: a tiny model learns what users say to five answers; its reward is the log-odds that they are content."""
    odds = {"red": 0.0, "blue": 2.0, "green": -2.0, "black": 1.0, "white": -1.0}
    users = language(0, lines=["user: Good", "user: Wrong", *odds])  # each follow-up is one token
    turns = [
        (Message("user", "q"), Message("assistant", a), Message("user", said))
        for a in odds
        for said in ("Good", "Wrong")
    ]
    ids = torch.tensor([users.tokenizer(users.encoder.text(t), add_special_tokens=False)["input_ids"] for t in turns])
    # how often each follow-up is heard: the second of two has minus the first's log-odds
    share = torch.tensor([1 / (1 + math.exp(-sign * z)) for z in odds.values() for sign in (1, -1)])
    optimiser = torch.optim.Adam(users.model.parameters(), lr=3e-3)
    users.model.set_attn_implementation("sdpa")
    for _ in range(150):
        logits = users.model(ids).logits[:, :-1].transpose(1, 2)
        loss = share @ F.cross_entropy(logits, ids[:, 1:], reduction="none").sum(dim=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    users.model.set_attn_implementation("plaudit_tree")
    reward = FollowUpReward(users, {"a": FollowUps(("Good",), ("Wrong",))})([Sample("q", a) for a in odds]).reward
    assert reward == pytest.approx(list(odds.values()), abs=0.3)


def test_more_follow_ups_and_both_signs_rank_better():
    """A model of users: log p(f | answer) is its quality, a bias by the answer (say, its length), and noise.

    Each follow-up's own noise is averaged away, and the bias that all follow-ups share goes only with the negatives.
    """
    rng = np.random.default_rng(0)
    quality, bias = rng.normal(size=2000), 2.0 * rng.normal(size=2000)

    def accuracy(k, both):
        positive = quality[:, None] + bias[:, None] + 3 * rng.normal(size=(2000, k))
        negative = -quality[:, None] + bias[:, None] + 3 * rng.normal(size=(2000, k))
        reward = follow_up_reward(positive, negative if both else negative[:, :0])
        return np.mean((reward[::2] > reward[1::2]) == (quality[::2] > quality[1::2]))

    few, many, positive_only = accuracy(1, True), accuracy(16, True), accuracy(16, False)
    assert many > few + 0.1
    assert many > positive_only + 0.1
