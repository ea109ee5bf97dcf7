"""Every named online algorithm is built of the parts that its paper names, and runs."""

import json
import re

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.worlds.arithmetic.symbols import build_tokenizer
from plaudit.policy.advantages.base import AdvantageInputs
from plaudit.policy.advantages.filtering import WithinAccuracy
from plaudit.policy.advantages.pairwise import WinRates
from plaudit.policy.advantages.relative import GroupRelative, LeaveOneOut
from plaudit.policy.advantages.whitening import ReinforcePlusPlus
from plaudit.policy.advantages.wrapping import WithoutOutliers
from plaudit.policy.losses.surrogates import reinforce
from plaudit.policy.losses.tokens import TokenBatch
from plaudit.policy.online import Method, OnlineConfig, improve
from plaudit.policy.online.methods import ONLINE, online
from plaudit.records.rows import PromptOnly
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.likelihood.saved import write_causal
from plaudit.shaping.constraints.judges import calibrated_reward
from plaudit.shaping.transforms.base import Shaped
from plaudit.shaping.transforms.fixed import Squash
from small_policies import SMALL, MoreSevens, Sevens, losses, policy, prompts, run, weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAUDIT_QUIET", "1")


def batch(spread=1.0):
    draw = torch.Generator().manual_seed(3)
    owner = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    logp = torch.randn(9, generator=draw, dtype=torch.float64)
    old = logp - spread * torch.randn(9, generator=draw, dtype=torch.float64)
    advantage = torch.tensor([0.7, -1.3, 0.2], dtype=torch.float64)[owner]
    return TokenBatch(logp.requires_grad_(), old, advantage, owner, 3)


OF_TOKENS = [name for name, one in ONLINE.items() if not one.reads]


@pytest.mark.parametrize("name", OF_TOKENS)
def test_on_fresh_samples_every_algorithm_follows_the_policy_gradient(name):
    """At a ratio of 1 each loss has the gradient `-A`, a token: algorithms differ in what comes after."""
    method = online(name)[1]
    fresh = batch(spread=0.0)
    (grad,) = torch.autograd.grad(method.surrogate(fresh).loss.sum(), fresh.logp)
    if method.weights == "sequence" and name in ("gspo", "gmpo", "rloo"):  # a completion's number, once a token
        ratio = {"gspo": 1.0, "gmpo": 1.0, "rloo": fresh.lengths[fresh.owner].double()}[name]
        assert torch.allclose(grad, -fresh.advantage * ratio, atol=1e-9)
    else:
        assert torch.allclose(grad, -fresh.advantage, atol=1e-9)


def test_options_reach_their_parts():
    method = online("grpo?scale=none&clip_low=0.5&clip_high=0.1&delta=3.0&weights=token")[1]
    assert method.estimator == GroupRelative("none")
    assert method.weights == "token"
    far = batch()
    ratio = (far.logp - far.old_logp).exp().detach()
    free = torch.minimum(ratio, torch.tensor(3.0))
    expected = -torch.minimum(free * far.advantage, ratio.clamp(0.5, 1.1) * far.advantage)
    assert torch.allclose(method.surrogate(far).loss, expected)
    assert online("rloo?normalise=true")[1].estimator == LeaveOneOut(normalise=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grop", "algorithm 'grop' is not known; did you mean 'grpo'"),
        ("grpo?cliphigh=1", "algorithm grpo: unknown option 'cliphigh'"),
        ("grpo?weights=tokens", "weights 'tokens' is not known; did you mean 'token'"),
        ("grpo?scale=groups", "scale 'groups' is not known"),
        ("pf-ppo?filter=top", "filter 'top' is not known"),
        ("pref-grpo?clip=0", "win-rates: weights are 1.0 and 0.0 and clip 0.0"),
        ("pref-gpro", "algorithm 'pref-gpro' is not known; did you mean 'pref-grpo'"),
        ("pairwise-rlhf?clip=5", "algorithm pairwise-rlhf: unknown option 'clip'"),
        ("ppo?value_rate=0", "value_rate 0.0; give a coefficient and a rate above 0"),
        ("ppo?gama=1", "algorithm ppo: unknown option 'gama'; did you mean 'gamma'"),
        ("prime?beta=-1", "process rewards: beta is -1.0; give a number above 0"),
        ("prime?outcome=0&process=0", "weights are 0.0 and 0.0; give at least 0, and one above it"),
        ("oreal?weights=token", "algorithm oreal: unknown option 'weights'"),
        ("grpo?weights=outcome", "weights 'outcome' is not known"),
        ("grpo?weights=batch-token", "weights 'batch-token' depend on how a step is cut .*; give 'token'"),
    ],
)
def test_what_is_not_known(text, words):
    with pytest.raises(InputError, match=words):
        online(text)
    with pytest.raises(InputError, match=words):
        OnlineConfig(algorithm=text)


class Allowed(Sevens):
    """Whether a completion has a seven; with an aspect that judges would give."""

    fingerprint = "allowed"

    def __call__(self, samples):
        said = np.array([float("7" in s.text) for s in samples])
        return RewardBatch(said, aspects={"allowed": np.array([float("1" not in s.text) for s in samples])})


@pytest.mark.parametrize("name", ONLINE)
def test_every_algorithm_runs(tmp_path, name):
    name = "oreal-tokens?token_first=1&token_rate=1e-2" if name == "oreal-tokens" else name  # it waits for ten batches
    method = online(name)[1]
    rows = [
        PromptOnly(p.prompt, p.reference, {"task": "ab"[i % 2], "hardness": 0.3 + 0.1 * (i % 3), "gap": 0.2 * (i % 4)})
        for i, p in enumerate(prompts(4))
    ]
    found = improve(
        rows, model=policy(), tokenizer=build_tokenizer(), out=tmp_path, method=method,
        reward=MoreSevens() if method.compares else Allowed(),
        config=OnlineConfig(
            **{**SMALL, "completions": 8, "passes": 2, "algorithm": name, "learning_rate": 1e-3, "epochs": 2}
        ),
    )  # fmt: skip
    assert len(found.history) == 4
    assert np.isfinite(losses(found)).all()
    assert max(row["grad_norm"] for row in found.history) > 1e-3
    assert json.loads((tmp_path / "model" / "alignment.json").read_text())["algorithm"] == name


REFUSED = {
    "pref-grpo": "which its advantages do not read", "pairwise-rlhf": "which its advantages do not read",
    "grpo-lambda": "which its advantages do not read", "prime": "where its own token rewards are",
    "crpg": "which it multiplies by the distance", "crraft": "which it multiplies by the distance",
}  # fmt: skip


@pytest.mark.parametrize("name", ONLINE)
def test_a_kl_in_the_reward_counts_or_is_refused(tmp_path, name):
    """50 reward units a nat to a reference that is far away decide what is learnt, or the option would do nothing."""
    text, epochs = ("oreal-tokens?token_first=0&token_rate=1e-2", 3) if name == "oreal-tokens" else (name, 1)
    method = online(text)[1]
    if name in REFUSED:
        with pytest.raises(InputError, match=f"{name}: kl_in is 'reward', {REFUSED[name]}.*; give kl_in 'loss'"):
            OnlineConfig(algorithm=text, kl_coef=50.0, kl_in="reward").check(method)
        OnlineConfig(algorithm=text, kl_coef=50.0, kl_in="loss").check(method)
        return
    write_causal(policy(seed=3), tmp_path / "start")
    build_tokenizer().save_pretrained(tmp_path / "start")
    rows = [
        PromptOnly(p.prompt, p.reference, {"task": "ab"[i % 2], "hardness": 0.3 + 0.1 * (i % 3), "gap": 0.2 * (i % 4)})
        for i, p in enumerate(prompts(4))
    ]
    after = [
        improve(
            rows, model=policy(), tokenizer=build_tokenizer(), out=tmp_path / str(kl_coef), method=method,
            reward=MoreSevens() if method.compares else Allowed(),
            config=OnlineConfig(
                **{**SMALL, "completions": 8, "kl_coef": kl_coef, "epochs": epochs}, kl_in="reward",
                reference=str(tmp_path / "start"),
            ),
        )
        for kl_coef in (1e-9, 50.0)
    ]  # fmt: skip
    one, other = (weights(found) for found in after)
    assert max(float((one[key] - other[key]).abs().max()) for key in one) > 1e-4


def test_a_comparison_beside_a_reward_may_lose_its_kl_there():
    method = Method(WinRates(pointwise=0.5), reinforce)
    OnlineConfig(kl_coef=0.1, kl_in="reward").check(method)
    with pytest.raises(InputError, match="which its advantages do not read"):
        OnlineConfig(kl_coef=0.1, kl_in="reward").check(Method(WithoutOutliers(WinRates()), reinforce))


@pytest.mark.parametrize(
    "text",
    [
        "ppo?value_rate=3",
        "pairwise-rlhf",
        "online-dno?beta=1",
        "online-inpo?eta=0.05&tau=0.01",
        "prime?low=0&high=1",
        "oreal",
        "oreal-tokens?token_rate=1e-2&token_first=4",
    ],
)
def test_what_is_rewarded_is_said_more_often(tmp_path, text):
    """The share of sevens, by algorithms whose loss or advantages are not those of GRPO."""

    class HasSeven(Sevens):
        def one(self, told):
            return float("7" in told)

    method = online(text)[1]
    reward = MoreSevens() if method.compares else HasSeven()
    found = run(
        tmp_path, rows=16, epochs=12, batch_size=8, completions=8, learning_rate=2e-2, reward=reward, method=method,
        watched={"sevens": Sevens()},
    )  # fmt: skip
    sevens = [row["watched/sevens"] for row in found.history if "watched/sevens" in row]
    assert np.mean(sevens[-4:]) > np.mean(sevens[:4]) + 0.1


def test_a_method_of_ones_own_is_recorded_as_what_it_is(tmp_path):
    """Not by the configuration's algorithm, which is another."""
    run(tmp_path, rows=4, method=Method(LeaveOneOut(), reinforce, "token"))
    record = json.loads((tmp_path / "model" / "alignment.json").read_text())
    assert record["algorithm"] == "LeaveOneOut with reinforce, token"
    assert "LeaveOneOut(kl_coef=0.0, normalise=False" in record["method"][0]


class Never:
    """A sampler that must not be asked."""

    def __init__(self, *_):
        pass

    def __call__(self, *_, **__):
        raise AssertionError("something was sampled")


@pytest.mark.parametrize(
    ("name", "meta", "words"),
    [
        (
            "grpo-s",
            {},
            "grpo-s reads 'gap', and neither do the prompts have such a column nor the reward such an aspect",
        ),
        ("grpo-s", {"gap": 0.5}, "grpo-s reads 'hardness', and neither do the prompts"),
        ("crpg", {}, "crpg reads 'allowed', and neither do the prompts"),
        ("crraft", {}, "crraft reads 'allowed', and neither do the prompts"),
        ("ema-grpo", {}, "ema-grpo reads the column 'task' of prompts, and prompt 1 has none; add it"),
    ],
)
def test_what_an_algorithm_reads_must_be_there_before_anything_is_sampled(tmp_path, name, meta, words):
    reward = Sevens()
    with pytest.raises(InputError, match=words):
        improve(
            [PromptOnly(p.prompt, p.reference, meta) for p in prompts(4)], model=policy(), tokenizer=build_tokenizer(),
            out=tmp_path, method=online(name)[1], reward=reward, config=OnlineConfig(**SMALL), sampler=Never,
        )  # fmt: skip
    assert len(reward.seen) <= 1  # a question about the first prompt's reference says which aspects there are


class Silent(Allowed):
    """Cannot judge references, and gives completions no aspect."""

    fingerprint = "silent"

    def __call__(self, samples):
        lost = [s.group == "asked first" for s in samples]
        return RewardBatch(np.where(lost, np.nan, 0.5), np.where(lost, Outcome.ABSTAINED, Outcome.SCORED))


def test_what_could_not_be_told_before_is_told_by_the_first_batch(tmp_path):
    with pytest.raises(InputError, match="crpg reads 'allowed', and neither do the prompts"):
        run(tmp_path, method=online("crpg")[1], reward=Silent())


class Punishing(Allowed):
    """-5 where there is no seven, -1 where there is one."""

    bounds, fingerprint = (-5.0, -1.0), "punishing"

    def __call__(self, samples):
        said = super().__call__(samples)
        return RewardBatch(4 * said.reward - 5, aspects=said.aspects)


@pytest.mark.parametrize("name", ["crpg", "crraft"])
def test_constrained_rewards_are_calibrated(tmp_path, name):
    """At a reward of -5 or -1, the 0 of what is forbidden would be the best; a sigmoid of it is between 0 and 1."""
    method = online(name)[1]
    words = f"to {name} what is not allowed is worth 0, and sevens has rewards from -5 to -1; give one between 0 and 1"
    with pytest.raises(InputError, match=words):
        run(tmp_path / "a", method=method, reward=Punishing(), sampler=Never)
    found = run(tmp_path / "b", method=method, reward=Shaped(Punishing(), Squash("sigmoid", center=-3.0)), epochs=1)
    assert np.isfinite(losses(found)).all()


def test_the_forbidden_earn_less_than_the_allowed_by_calibrated_rewards():
    """R_c = sigmoid(-5 + 3) and sigmoid(-1 + 3); at a log-ratio of 0 they are worth 0 and 0.881, mean 0.440."""
    calibrated = calibrated_reward([-5.0, -1.0], [-3.0, -3.0])
    inputs = AdvantageInputs(
        reward=calibrated, groups=["a", "a"], lengths=[1, 1], logp=np.zeros(2), ref_logp=np.zeros(2),
        columns={"allowed": [0.0, 1.0]},
    )  # fmt: skip
    found = online("crpg")[1].estimator(inputs).sequence
    assert found.tolist() == pytest.approx([-0.4403985, 0.4403985])


@pytest.mark.parametrize("name", ONLINE)
def test_one_completion_of_a_prompt_teaches_or_is_refused(tmp_path, name):
    alone = {"reinforce++", "stable-reinforce", "pf-ppo", "crraft", "ppo"}
    method = online(name)[1]
    if name not in alone:
        with pytest.raises(
            InputError, match=f"{re.escape(name)} compares siblings and completions is 1; give at least 2"
        ):
            OnlineConfig(completions=1).check(method)
        return
    found = run(tmp_path, method=method, reward=Allowed(), completions=1, batch_size=8)
    assert max(row["grad_norm"] for row in found.history) > 1e-3


def test_a_method_of_ones_own_is_refused_as_a_named_one_is():
    with pytest.raises(InputError, match="weights 'tokens' is not known; did you mean 'token'"):
        Method(GroupRelative(), reinforce, "tokens")
    with pytest.raises(InputError, match="weights 'batch-token' depend on"):
        Method(GroupRelative(), reinforce, "batch-token")
    with pytest.raises(InputError, match="compares siblings and completions is 1"):
        OnlineConfig(completions=1).check(Method(WithoutOutliers(), reinforce))
    OnlineConfig(completions=1).check(Method(WithinAccuracy(ReinforcePlusPlus(), low=0.0, high=1.0), reinforce))
