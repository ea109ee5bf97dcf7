"""The terms of KL and entropy in the loss of a run: what each counts for, in every update of a batch."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.policy.losses.kl import AdaptiveCoefficient
from plaudit.policy.losses.surrogates import clipped
from plaudit.policy.online import Method, OnlineConfig
from plaudit.policy.online.methods import online
from plaudit.policy.online.packing import Learned, TokenOutputs
from plaudit.policy.online.state import State
from plaudit.policy.online.trainer import OnlineTrainer
from plaudit.policy.online.watching import Watch
from plaudit.rewards.base import RewardBatch
from plaudit.rewards.likelihood.saved import write_causal
from small_policies import Sevens, losses, policy, run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


class Equal(Sevens):
    """The same reward for everything: the policy has no gradient but that of the terms beside it."""

    fingerprint = "equal"

    def __call__(self, samples):
        return RewardBatch([0.5] * len(samples))


def loss_of_a_run(logits, drawn_from, reference, **options):
    """The trainer's loss of both tokens of a policy, each weighted by the chance with which it was once drawn."""
    logp = logits.log_softmax(-1)
    row = {
        "old_logp": drawn_from.log(), "advantage": torch.zeros(2), "owner": torch.tensor([0, 1]), "count": 2,
        "ref_logp": reference.log(), "weight": drawn_from,
    }  # fmt: skip
    state = State(Method(GroupRelative(), clipped), kl=AdaptiveCoefficient(2.0))
    trainer = SimpleNamespace(_now=state, options=OnlineConfig(kl_coef=2.0, **options), watch=Watch())
    return OnlineTrainer._loss(trainer, TokenOutputs(logp, torch.zeros(2)), row)


@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        # pi = (1/2, 1/2), start = (1/4, 3/4), d = (ln 2, ln 2/3); drawn with chances of 1/5 and 4/5
        ("k1", 0.0),
        ("k2", math.log(3) / 4),  # of KL(pi, start): pi_0 (d_0 - KL) = (d_0 - d_1) / 4
        ("k3", 0.25),  # of KL(start, pi): pi_0 - start_0
    ],
)
@pytest.mark.parametrize("passes", [{"passes": 2}, {"minibatches": 3}, {"passes": 2, "minibatches": 2}])
def test_the_gradient_is_that_of_the_estimator_on_tokens_of_an_older_policy(estimator, by_hand, passes):
    logits = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    drawn, reference = (torch.tensor(p, dtype=torch.float64) for p in ([0.2, 0.8], [0.25, 0.75]))
    loss = loss_of_a_run(logits, drawn, reference, kl_estimator=estimator, **passes)
    (found,) = torch.autograd.grad(loss, logits)
    assert found.tolist() == pytest.approx([2 * by_hand, -2 * by_hand], abs=1e-12)  # kl_coef is 2


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_first_update_of_a_batch_is_the_same_however_many_follow(tmp_path, estimator):
    """The policy has not moved yet: all ratios are 1."""
    write_causal(policy(seed=3), tmp_path / "start")
    build_tokenizer().save_pretrained(tmp_path / "start")
    norms = []
    for passes in (1, 2):
        found = run(
            tmp_path / str(passes), reward=Equal(), rows=4, passes=passes, kl_coef=0.5, kl_estimator=estimator,
            reference=str(tmp_path / "start"),
        )  # fmt: skip
        norms.append(found.history[0]["grad_norm"])
    assert norms[0] > 0.1
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    assert losses(found)[1] != losses(found)[0]


HOWS = ["token", "sequence", "constant", "sequence-sum"]


@pytest.mark.parametrize("how", HOWS)
def test_entropies_count_by_token_whatever_the_weights_of_the_loss(how):
    """Completions of 1 and 3 tokens with entropies of 1, 2, 3 and 4 nats, twice their mean: -5."""
    group = Learned(
        (5,), ((6,), (7, 8, 9)), {"often": [np.ones(1), np.ones(3)], "advantage": [np.zeros(1), np.zeros(3)]}
    )
    trainer = SimpleNamespace(
        _now=State(Method(GroupRelative(), clipped, how)), options=OnlineConfig(entropy_coef=2.0, max_tokens=10),
        watch=Watch(), everywhere=lambda mine: (mine, 0),
    )  # fmt: skip
    (weighted,) = OnlineTrainer._weighted(trainer, [group])
    by_hand = {
        "token": [1 / 4] * 4, "sequence": [1 / 2, 1 / 6, 1 / 6, 1 / 6], "constant": [1 / 20] * 4,
        "sequence-sum": [1 / 2] * 4,
    }  # fmt: skip
    assert np.concatenate(weighted.columns["weight"]).tolist() == pytest.approx(by_hand[how])
    row = {name: torch.tensor(np.concatenate(parts)) for name, parts in weighted.columns.items()}
    row |= {"old_logp": torch.zeros(4), "owner": torch.tensor([0, 1, 1, 1]), "count": 2}
    entropy = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    loss = OnlineTrainer._loss(trainer, TokenOutputs(torch.zeros(4, dtype=torch.float64), entropy), row)
    assert loss.item() == pytest.approx(-5.0)


@pytest.mark.parametrize("name", ["reinforce", "grpo", "dr-grpo", "luspo", "rloo"])
def test_the_loss_of_a_bonus_alone_is_the_mean_entropy(tmp_path, name):
    """All advantages are 0, so that the loss of an update is minus the entropy of its tokens."""
    found = run(
        tmp_path, reward=Equal(), rows=8, accumulation=2, batch_size=2, entropy_coef=1.0, skip_kl=True,
        method=online(name)[1],
    )  # fmt: skip
    assert losses(found) == pytest.approx([-row["entropy"] for row in found.history], rel=1e-5)
    assert losses(found)[0] < -1
