"""Advantages, whitening, selection weights and the overlong penalty beside verl's own functions, in float64.

verl is no dependency: where it is not installed this file is skipped. It was run against verl 0.9.1 in an environment
of its own (`pip install verl==0.9.1 --no-deps` and what its import asks for: ray, tensordict, omegaconf, orjson, ...).
"""

from types import SimpleNamespace

import numpy as np
import pytest

from plaudit.shaping.combine import normalised_sum
from plaudit.shaping.groups import (
    batch_standardised,
    best_random_weights,
    best_worst_weights,
    leave_one_out,
    mean_only,
    power_weights,
    standardised,
)
from plaudit.shaping.length import overlong_penalty
from plaudit.shaping.steps import Stream, discounted_returns, stream_advantages
from plaudit.shaping.transforms import whitened

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore"),  # verl's and ray's own
]
algos = pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed")
torch = pytest.importorskip("torch")

REWARDS = np.array([0.0, 1, 1, 0, 0.25, 0.25, 0.25, 0.25, -2, 5, 0.5, 0.3, 7])
GROUPS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3])  # one all equal, one of different rewards, one alone
SEVERAL = GROUPS < 3
LENGTHS = np.array([3, 1, 4, 1, 5, 2, 2, 5, 3, 5, 4, 1, 2])
MASK = np.arange(5) < LENGTHS[:, None]


def tokens(reward, mask=MASK):
    """Rewards a completion at its last token, as verl has them."""
    found = np.zeros(mask.shape)
    found[np.arange(len(reward)), mask.sum(axis=1) - 1] = reward
    return torch.tensor(found)


def of_verl(name, reward=REWARDS, mask=MASK, groups=GROUPS, **options):
    found, _ = algos.get_adv_estimator_fn(name)(
        token_level_rewards=tokens(reward, mask), response_mask=torch.tensor(mask, dtype=torch.float64),
        index=groups, **options,
    )  # fmt: skip
    return found.numpy()


def spread(advantage, mask=MASK):
    return np.where(mask, advantage[:, None], 0.0)


def test_grpo_where_a_group_has_two():
    ours = standardised(REWARDS, GROUPS, epsilon=1e-6)
    theirs = of_verl("grpo")
    assert np.allclose(spread(ours)[SEVERAL], theirs[SEVERAL], atol=1e-9, rtol=0)
    # a completion by itself: there its own reward, as if the mean were 0; here nothing, for there is nothing to compare
    assert theirs[-1, 0] == pytest.approx(7 / (1 + 1e-6))
    assert ours[-1] == 0.0


def test_dr_grpo():
    theirs = of_verl("grpo", norm_adv_by_std_in_grpo=False)
    assert np.allclose(spread(mean_only(REWARDS, GROUPS))[SEVERAL], theirs[SEVERAL], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["rloo", "rloo_vectorized"])
def test_rloo(name):
    theirs = of_verl(name)
    at = SEVERAL if name == "rloo" else slice(None)  # the vectorised one gives a completion by itself 0, as ours does
    assert np.allclose(spread(leave_one_out(REWARDS, GROUPS))[at], theirs[at], atol=1e-9, rtol=0)


def test_reinforce_plus_plus_with_a_baseline():
    """verl's statistics are those of tokens: a completion counts as often as it has tokens."""
    r, g, mask = REWARDS[SEVERAL], GROUPS[SEVERAL], MASK[SEVERAL]
    theirs = of_verl("reinforce_plus_plus_baseline", r, mask, g)
    by_token = whitened(np.repeat(mean_only(r, g), mask.sum(axis=1)), epsilon=1e-8)
    assert np.allclose(by_token, theirs[mask], atol=1e-8, rtol=0)
    # one token each: the statistics of completions, epsilon beside the deviation instead of in the variance
    single = np.ones((len(r), 1), dtype=bool)
    theirs = of_verl("reinforce_plus_plus_baseline", r, single, g)[:, 0]
    assert np.allclose(batch_standardised(r, g, epsilon=0.0), theirs, atol=1e-7, rtol=0)


def test_reinforce_plus_plus():
    rng = np.random.default_rng(0)
    values = np.where(MASK, rng.normal(size=MASK.shape), 0.0)
    there = algos.get_adv_estimator_fn("reinforce_plus_plus")
    advantage, returns = there(
        token_level_rewards=torch.tensor(values),
        response_mask=torch.tensor(MASK, dtype=torch.float64),
        config=SimpleNamespace(gamma=0.9),
    )
    assert np.allclose(discounted_returns(values, 0.9)[MASK], returns.numpy()[MASK], atol=1e-9, rtol=0)
    ours = stream_advantages([Stream(values, 0.9, baseline="none")], MASK, GROUPS, whiten=True, epsilon=0.0)
    n = MASK.sum()  # ours is over n, theirs over n - 1
    assert np.allclose(ours * np.sqrt((n - 1) / n), advantage.numpy(), atol=1e-7, rtol=0)
    assert np.allclose(whitened(discounted_returns(values, 0.9)[MASK]), advantage.numpy()[MASK], atol=1e-8, rtol=0)


def test_gdpo():
    """The same but for where epsilon stands, and that verl's last statistics are those of tokens, in float32."""
    rewards = np.stack([REWARDS, 128 * np.cos(np.arange(13)).round(1)], axis=1)[SEVERAL]
    g, mask = GROUPS[SEVERAL], np.ones((12, 1), dtype=bool)
    theirs = of_verl(
        "gdpo", rewards[:, 0], mask, g,
        config={"gdpo_reward_keys": ["first", "second"], "gdpo_reward_weights": [1.0, 0.5]},
        non_tensor_batch={"first": rewards[:, 0], "second": rewards[:, 1]},
        batch={"prompts": torch.zeros(12, 1), "attention_mask": torch.ones(12, 2, dtype=torch.int64)},
    )[:, 0]  # fmt: skip
    ours = normalised_sum(rewards, g, weights=[1.0, 0.5], epsilon=1e-6)
    assert np.allclose(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize("center", [True, False])
def test_whitening(center):
    """To 1e-8: verl's means divide by n + 1e-8."""
    theirs = algos.verl_F.masked_whiten(torch.tensor(REWARDS), torch.ones(13, dtype=torch.float64), shift_mean=center)
    assert np.allclose(whitened(REWARDS, center=center), theirs.numpy(), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("method", "ours"),
    [
        ("pow", lambda r, g: power_weights(r, g, power=3.0)),
        ("max_min", best_worst_weights),
        ("max_random", lambda r, g: best_random_weights(r, g, best=0.5)),
    ],
)
def test_policy_filtration_weights_of_one_group(method, ours, monkeypatch):
    """verl draws with them; what it draws with is caught. It has no groups: the whole batch is one."""
    from verl import DataProto

    reward, caught = np.array([0.5, -1.0, 2.0, 0.25, -0.75]), []
    several = {"max_random": 0.5 / 0.4}  # the paper's 0.4 and 0.1 are 0.5 and 0.125 of five
    draw = torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda w, *a, **k: caught.append(w.numpy()) or draw(w, *a, **k))
    data = DataProto.from_dict({"token_level_scores": torch.tensor(reward)[:, None]})
    algos.compute_pf_ppo_reweight_data(data, method, 3.0)
    found = ours(reward, np.zeros(5, dtype=int))
    expected = caught[0] * several.get(method, 1.0)
    assert np.allclose(found / found.sum(), expected / expected.sum(), atol=1e-7)


def test_overlong_penalty():
    """What DAPO's reward manager adds to a score of 1/2, at the last token; in float32."""
    from verl import DataProto
    from verl.workers.reward_manager.dapo import DAPORewardManager

    lengths = np.arange(1, 31)
    attention = np.arange(30) < lengths[:, None]
    data = DataProto.from_dict(
        {
            "prompts": torch.ones(30, 2, dtype=torch.int64), "responses": torch.ones(30, 30, dtype=torch.int64),
            "attention_mask": torch.tensor(np.hstack([np.ones((30, 2)), attention]), dtype=torch.int64),
        },
        non_tensors={
            "reward_model": np.array([{"ground_truth": ""}] * 30, dtype=object),
            "data_source": np.array(["none"] * 30, dtype=object),
        },
    )  # fmt: skip
    manager = DAPORewardManager(
        SimpleNamespace(decode=lambda *_, **__: "x", eos_token="</s>"), 0, compute_score=lambda **_: 0.5,
        max_resp_len=30, overlong_buffer_cfg=SimpleNamespace(enable=True, len=12, penalty_factor=1.0, log=False),
    )  # fmt: skip
    theirs = manager(data)[torch.arange(30), torch.tensor(lengths - 1)].numpy() - 0.5
    assert np.allclose(overlong_penalty(lengths, limit=30, cushion=12), theirs, atol=1e-6, rtol=0)
