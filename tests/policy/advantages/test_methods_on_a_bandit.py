"""Estimators and losses together, on a policy of a few tokens: signs, denominators and filters in one piece."""

import numpy as np
import pytest
import torch

from plaudit.policy import AdvantageInputs, Compared
from plaudit.policy.advantages import (
    BestAllowed,
    BranchCredit,
    Constrained,
    Filtered,
    GroupRelative,
    LeaveOneOut,
    OneOfEachKind,
    ReinforcePlusPlus,
    ReinforcePlusPlusBaseline,
    StreamCredit,
    Strengths,
    ValueBased,
    WinRates,
    WithinAccuracy,
    WithoutOutliers,
)
from plaudit.policy.losses import (
    TokenBatch,
    cispo,
    clipped,
    gmpo,
    importance,
    outcome_loss,
    reinforce,
    sapo,
    token_weights,
    vespo,
)
from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.agreement import CrossViewReward
from plaudit.shaping.groups import pairs_within

GROUPS, SIZE, LENGTH, WORDS = 8, 8, 3, 4
RIGHT = torch.tensor([1, 3, 0])  # the word that pays at each place


def drawn(logits, rng):
    """A batch of completions of three words by a policy that knows its place only; each right word pays 1/3."""
    n = GROUPS * SIZE
    p = logits.detach().softmax(-1).numpy()
    words = np.stack([rng.choice(WORDS, size=n, p=p[place]) for place in range(LENGTH)], axis=1)
    right = words == RIGHT.numpy()
    reward = right.mean(1)
    groups = np.repeat(np.arange(GROUPS), SIZE)
    logp = np.log(p[np.arange(LENGTH), words]).reshape(-1)
    pairs = pairs_within(groups)
    apart = reward[pairs[:, 0]] - reward[pairs[:, 1]]
    return words, AdvantageInputs(
        reward, groups, np.full(n, LENGTH), correct=(reward > 0.6).astype(float), tokens=words.reshape(-1),
        token_rewards=0.1 * (right - right.mean()).reshape(-1), values=np.full(n * LENGTH, reward.mean()), logp=logp,
        ref_logp=np.full(n * LENGTH, np.log(1 / WORDS)), columns={"allowed": (words[:, 0] != 2).astype(float)},
        compared=Compared(pairs, (np.sign(apart) + 1) / 2, apart),
    )  # fmt: skip


def learned(estimator, surrogate, *, how="token", updates=25, inner=2, rate=0.5, seed=0):
    """Expected reward after some updates of a few steps each, from a uniform policy (1/4)."""
    rng, logits = np.random.default_rng(seed), torch.zeros(LENGTH, WORDS, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([logits], lr=rate * LENGTH)
    for _ in range(updates):
        words, inputs = drawn(logits, rng)
        found = estimator(inputs)
        weights = token_weights(inputs.lengths, found.included, how=how, max_tokens=LENGTH, count=found.weight)
        owner = torch.tensor(inputs.owner)
        for _ in range(inner):
            logp = logits.log_softmax(-1)[torch.arange(LENGTH), torch.tensor(words)].reshape(-1)
            flat = torch.tensor(found.flat(inputs.lengths))
            batch = TokenBatch(logp, torch.tensor(inputs.logp), flat, owner, len(inputs))
            loss = (surrogate(batch).loss * torch.tensor(weights)[owner]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        estimator = estimator.updated(inputs)
    return logits.detach().softmax(-1)


def worth(policy):
    return policy[torch.arange(LENGTH), RIGHT].mean().item()


ESTIMATORS = {
    "grpo": GroupRelative(), "dr-grpo": GroupRelative(scale="none"), "rloo": LeaveOneOut(kl_coef=0.001),
    "reinforce++": ReinforcePlusPlus(), "reinforce++-baseline": ReinforcePlusPlusBaseline(), "ppo": ValueBased(),
    "tempo": BranchCredit(), "prime": StreamCredit(), "pref-grpo": WinRates(), "think-rm": Strengths(),
    "pf-ppo": Filtered(), "stable": WithoutOutliers(), "filtered": WithinAccuracy(low=0.0, high=1.0, open=True),
}  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_learns(name):
    assert worth(learned(ESTIMATORS[name], clipped)) > 0.5


SURROGATES = {
    "clipped": clipped, "importance": importance, "cispo": cispo, "sapo": sapo, "vespo": vespo, "gmpo": gmpo,
    "gspo": lambda b: clipped(b, level="sequence"), "dual": lambda b: clipped(b, delta=3.0, clamp=(1e-3, 1e3)),
    "reinforce": reinforce,
}  # fmt: skip


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_learns(name):
    assert worth(learned(GroupRelative(), SURROGATES[name], how="sequence")) > 0.5


def test_oreal_learns():
    def loss(batch):
        right = torch.zeros(batch.n, dtype=torch.bool)
        right[batch.owner] = batch.advantage > 0
        return outcome_loss(batch, torch.ones_like(batch.logp), right)

    assert worth(learned(OneOfEachKind(), loss)) > 0.5


def test_what_is_forbidden_is_left_off_by_cgpo():
    # the first word 2 breaks a constraint: under CRPG and CRRAFT it fades
    for estimator, loss in (
        (Constrained(of=GroupRelative(scale="none"), kl_max=50.0), reinforce),
        (BestAllowed(), reinforce),
    ):
        policy = learned(estimator, loss, inner=1, rate=1.0)
        assert policy[0, 2] < 0.1
        assert worth(policy) > 0.5


def test_outliers_and_extreme_ratios_do_no_harm_to_stable_reinforce():
    """[15]: one reward in fifty is a thousand times too large, one token in fifty has moved by nats."""
    rng = np.random.default_rng(0)
    n = 400
    reward = rng.normal(size=n)
    reward[rng.random(n) < 0.02] *= 1000
    given = AdvantageInputs(reward, np.arange(n), np.ones(n, dtype=int))
    logp = torch.tensor(rng.normal(-2, 1, n)).clamp(max=-0.01)
    moved = torch.tensor(rng.normal(size=n) * np.where(rng.random(n) < 0.02, 9, 0.1))
    steps = {}
    for name, estimator, clamp in (
        ("plain", ReinforcePlusPlus(), None),
        ("stable", WithoutOutliers(of=ReinforcePlusPlus()), (1e-3, 1e3)),
    ):
        own = logp.clone().requires_grad_()
        batch = TokenBatch(own, logp - moved, torch.tensor(estimator(given).token), torch.arange(n), n)
        loss = clipped(batch, clamp=clamp).loss
        (gradient,) = torch.autograd.grad(loss.sum(), own)
        steps[name] = gradient.abs().max().item()
    assert steps["stable"] < 10
    assert steps["plain"] > 1e3


def test_co_reward_is_a_reward_and_then_grpo_on_each_wording():
    """[140]: the reward sees all wordings of a question together; completions are compared within a wording."""
    answers = [("first", "4"), ("first", "4"), ("first", "5"), ("second", "5"), ("second", "5"), ("second", "4")]
    samples = [
        Sample("2 + 2, put otherwise", f"\\boxed{{{answer}}}", group="q", meta={"view": view})
        for view, answer in answers
    ]
    reward = CrossViewReward()(samples).reward
    # most of the second wording say 5, most of the first say 4: each is judged by the other
    assert reward.tolist() == [0, 0, 1, 0, 0, 1]
    inputs = AdvantageInputs(reward, [("q", view) for view, _ in answers], np.ones(6, dtype=int))
    found = GroupRelative(scale="none")(inputs).sequence
    assert found == pytest.approx(np.array([-1, -1, 2, -1, -1, 2]) / 3)
