"""Rewards smoothed over near completions: hand values, outcomes, the reward by its name."""

import json
from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.functions import FunctionReward
from plaudit.rewards.registry import load
from plaudit.shaping import FusedReward, fused_rewards

CORPUS, THEIRS = np.array([[2.0, 0], [0, 1], [1, 0]]), np.array([4.0, 100, 7])


def fused(own, vector, **options):
    return fused_rewards(np.array([own]), np.array([vector]), **{"corpus_rewards": THEIRS, "corpus": CORPUS, **options})


def test_hand_values():
    assert fused(1.0, [1.0, 0]).tolist() == [4.0]  # neighbours at cosine 1 twice: (1 + 4 + 7) / 3
    # cosine 0.8 with the second, 0.6 with the others, which are too far
    assert fused(1.0, [3.0, 4], threshold=0.75)[0] == pytest.approx((1 + 0.8 * 100) / 1.8)
    assert fused(1.0, [1.0, 1]).tolist() == [1.0]  # nobody near
    assert fused(1.0, [0.0, 0]).tolist() == [1.0]  # no direction, so near nobody
    assert fused(1.0, [1.0, 0], corpus_rewards=THEIRS[:0], corpus=CORPUS[:0]).tolist() == [1.0]
    assert fused(1.0, [1.0, 0], neighbours=1)[0] in (2.5, 4.0)  # one of the two at cosine 1
    assert np.isnan(fused(np.nan, [1.0, 0])[0])


def test_it_takes_noise_out():
    """Noisy rewards of a smooth truth: the mean over near completions is closer to it."""
    rng = np.random.default_rng(9)
    corpus = rng.normal(size=(3000, 3))
    corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    truth = corpus @ [1.0, 2, -1]
    noisy = truth + rng.normal(size=3000)
    smooth = fused_rewards(noisy[:300], corpus[:300], corpus_rewards=noisy[300:], corpus=corpus[300:], threshold=0.98)
    assert np.square(smooth - truth[:300]).mean() < 0.4 * np.square(noisy[:300] - truth[:300]).mean()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fused(1.0, [1.0, 0], neighbours=0), InputError, "neighbours is 0; it must be at least 1"),
        (lambda: fused(1.0, [1.0, 0], threshold=0.0), InputError, r"threshold is 0\.0; it must lie in \(0, 1\]"),
        (lambda: fused(1.0, [1.0, 0], corpus_rewards=THEIRS[:2]), ShapeError, "2 corpus_rewards and 3 embeddings"),
        (
            lambda: fused(1.0, [1.0, 0], corpus_rewards=np.array([1.0, np.nan, 2.0])),
            InputError,
            "a reward of the corpus is not finite",
        ),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": "q", "chosen": "alpha beta gamma delta", "rejected": "x"},
        {"prompt": "r", "chosen": "skip", "rejected": "y"},
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def words(samples):
    """Words, but nothing is said of a completion that says so."""
    return [None if s.text == "skip" else float(len(s.text.split())) for s in samples]


def test_the_reward_keeps_outcomes_and_its_own_values(pairs):
    reward = FusedReward(FunctionReward(words), pairs, threshold=0.9)
    batch = reward([Sample("q", "alpha beta gamma delta alpha"), Sample("q", "nothing like it"), Sample("q", "skip")])
    cosine = (5 - batch.reward[0]) / (batch.reward[0] - 4)  # (5 + 4 c) / (1 + c), solved for c
    assert 0.9 <= cosine <= 1.0
    assert batch.reward[1] == 3.0
    assert batch.detail[0]["own"] == 5.0
    assert batch.outcome.tolist() == [Outcome.SCORED, Outcome.SCORED, Outcome.ABSTAINED]
    assert np.isnan(batch.reward[2])
    other = FusedReward(FunctionReward(words), pairs, threshold=0.8)
    assert other.fingerprint != reward.fingerprint


def test_the_same_words_to_another_prompt_are_not_near(tmp_path):
    path = tmp_path / "pairs.jsonl"
    asked, said = "Is the sky green over the hills of Peru?", "No, it is not."
    path.write_text(json.dumps({"prompt": asked, "chosen": said, "rejected": "x"}) + "\n")
    reward = FusedReward(
        FunctionReward(lambda samples: [1.0 if "green" in s.prompt[-1].text else -1.0 for s in samples]), path
    )
    batch = reward(
        [Sample(asked, said), Sample("Name three rivers.", said), Sample(asked, "Yes, and blue in the valley.")]
    )
    assert batch.reward.tolist() == [1.0, -1.0, 1.0]
    assert [d["own"] for d in batch.detail] == [1.0, -1.0, 1.0]


def test_members_and_deviations_are_drawn_as_the_reward_is(pairs):
    class Sure(FunctionReward):
        def __call__(self, samples):
            batch = super().__call__(samples)
            members = np.stack([batch.reward - 1, batch.reward + 1], axis=1)
            return replace(batch, members=members, std=np.full(len(samples), 1.0), noise=batch.reward)

    reward = FusedReward(Sure(words), pairs, threshold=0.9)
    batch = reward([Sample("q", "alpha beta gamma delta alpha"), Sample("q", "skip")])
    assert 4 < batch.reward[0] < 5
    assert batch.members[0] == pytest.approx([batch.reward[0] - 1, batch.reward[0] + 1])
    assert batch.std[0] == pytest.approx(1.0)
    assert batch.noise[0] == pytest.approx(batch.reward[0])
    assert np.isnan(batch.members[1]).all()


def test_what_is_not_near_says_nothing_where_it_has_no_number(tmp_path):
    class Sure(FunctionReward):
        def __call__(self, samples):
            batch = super().__call__(samples)
            return replace(batch, std=np.where([s.text == "odd one" for s in samples], np.nan, 1.0))

    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "q", "chosen": c, "rejected": "x"} for c in ("alpha beta gamma delta", "odd one")]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    batch = FusedReward(Sure(words), path)([Sample("q", "alpha beta gamma delta"), Sample("far", "away")])
    assert batch.std == pytest.approx([1.0, 1.0])


def test_by_its_name_and_what_it_refuses(pairs, tmp_path):
    assert load(f"shape/fused?of=rule/length&corpus={pairs}&threshold=0.95").name.startswith("fused(")
    (tmp_path / "none.jsonl").write_text('{"prompt": "q", "completion": "a"}\n')
    empty = FusedReward(FunctionReward(words), tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="holds no pairs; give those that the reward learned from"):
        empty([Sample("q", "a")])
    with pytest.raises(InputError, match="majority is scored by the group"):
        FusedReward(load("verify/majority"), pairs)
