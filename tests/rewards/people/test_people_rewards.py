"""One person's reward: Hedge over experts, and the variational user model."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import plaudit
from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.records import Message, Pair, Sample
from plaudit.records.writing import write
from plaudit.rewards.people import (
    UserModel,
    VariationalUsers,
    adapted,
    hedge,
    query_information,
    user_tilt,
    win_probability,
)
from plaudit.rewards.people.hedging import expert_losses
from plaudit.rewards.people.network import UserNetwork, on_sphere
from plaudit.rewards.readers import Head
from plaudit.testing import RewardContract
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.fitting import fit_reward_model
from plaudit.training.people import UserFit, fit_user_network, fit_users

SEEDS = st.integers(0, 10**6)
SMALL = Backbone(width=32, layers=2, heads=2, vocabulary=300)


def pairs(n=24, users=4):
    """Half of the users like `good`, the others dislike it."""
    rows = []
    for i in range(n):
        both = f"a good answer {i}", f"an answer {i}"
        liked, other = both if i % users < users // 2 else both[::-1]
        rows.append(Pair((Message("user", f"question {i}"),), liked, other, annotator=f"user {i % users}"))
    return rows


def fitted(out, objective, rows=None):
    config = FitConfig(
        objective=objective, epochs=2.0, learning_rate=3e-3, batch_size=4, max_length=2048, save_steps=1000
    )
    return fit_reward_model(rows or pairs(), backbone=SMALL, config=config, out=out).reward


@pytest.fixture(scope="module")
def quiet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAUDIT_QUIET", "1")
        yield


@pytest.fixture(scope="module")
def mixture(quiet, tmp_path_factory):
    out = tmp_path_factory.mktemp("mixture")
    fitted(out, "mixture?experts=3")
    return out / "model"


@pytest.fixture(scope="module")
def users(quiet, tmp_path_factory):
    out = tmp_path_factory.mktemp("users")
    made = fit_users(fitted(out, "bradley-terry"), pairs(), config=UserFit(latent=4, width=8, steps=20))
    made.save(out / "model")
    return made, out / "model"


def test_hedge_by_hand():
    # shares 1/2 each, losses 0 and log 3: 1/2 : 1/6, three quarters and one
    assert hedge(np.array([0.5, 0.5]), np.array([0.0, math.log(3)])).tolist() == pytest.approx([0.75, 0.25])
    assert hedge(np.array([1.0, 0.0]), np.array([9.0, 0.0])).tolist() == [1.0, 0.0]
    assert user_tilt(np.array([[1.0, 2.0], [0.5, 2.0]]), temperature=0.5).tolist() == [0.0, -5.0]
    assert np.allclose(expert_losses(np.array([[0.0, 9.0]]), np.array([[0.0, 9.0]])), math.log(2))
    with pytest.raises(InputError, match="temperature is 0; it must be positive"):
        hedge(np.ones(2) / 2, np.ones(2), temperature=0)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_hedge_in_its_limits_and_in_steps(seed, k):
    rng = np.random.default_rng(seed)
    shares, losses = rng.dirichlet(np.ones(k)), rng.random((3, k))
    moved = hedge(shares, losses[0])
    assert moved.sum() == pytest.approx(1)
    assert hedge(shares, losses[0], temperature=1e9) == pytest.approx(shares)
    assert hedge(shares, losses[0], temperature=1e-6).argmax() == losses[0].argmin()
    order = rng.permutation(k)
    assert hedge(shares[order], losses[0][order]) == pytest.approx(moved[order])
    assert np.allclose(hedge(np.tile(shares, (3, 1)), losses)[0], moved)  # a row a pair
    one_by_one = hedge(hedge(moved, losses[1]), losses[2])
    at_once = shares * np.exp(user_tilt(losses))
    assert one_by_one == pytest.approx(at_once / at_once.sum())


def test_mixture_reader_by_hand():
    # shares 1/4 and 3/4 of scores 4 and 8: 7; with a tilt of log 3 for the first they are equal: 6
    outputs = torch.tensor([[4.0, 8.0, 0.0, math.log(3)]], dtype=torch.float64)
    found = Head("mixture", 4).read(outputs)
    assert found.score.tolist() == pytest.approx([7.0])
    assert {k: v.tolist() for k, v in found.aspects.items()} == {"expert_1": [4.0], "expert_2": [8.0]}
    assert Head("mixture", 4, {"tilt": [math.log(3), 0.0]}).read(outputs).score.tolist() == pytest.approx([6.0])
    with pytest.raises(InputError, match="1 numbers in tilt for 2 experts"):
        Head("mixture", 4, {"tilt": [1.0]}).read(outputs)


def test_aspect_readers_by_hand():
    outputs = torch.tensor([[1.0, -1.0, 0.0, math.log(3), math.log(2)]], dtype=torch.float64)
    options = {"names": ["help", "brief"], "centres": [5.0, 0.0], "spreads": [2.0, 10.0]}
    plain = Head("aspects", 2, {**options, "weights": [3.0, 1.0]}).read(outputs[:, :2])
    assert {k: v.tolist() for k, v in plain.aspects.items()} == {"help": [7.0], "brief": [-10.0]}
    assert plain.score.tolist() == [(3 * 7 - 10) / 4]
    gated = Head("gated-aspects", 5, options).read(outputs)
    assert gated.score.tolist() == pytest.approx([2 * (1 / 4 - 3 / 4)])  # of the standardised ones
    assert gated.aspects["brief"].tolist() == [-10.0]
    with pytest.raises(InputError, match="weights are"):
        Head("aspects", 2, {**options, "weights": [1.0]}).read(outputs[:, :2])
    with pytest.raises(InputError, match="2 outputs for 2 names, 1 centres and 2 spreads"):
        Head("aspects", 2, {**options, "centres": [1.0]}).read(outputs[:, :2])


def test_cosine_reader_by_hand():
    outputs = torch.tensor([[3.0, 0.0, 2.0, 0.0], [0.0, 1.0, 5.0, 0.0], [1.0, 1.0, -1.0, -1.0]], dtype=torch.float64)
    assert Head("cosine", 4).read(outputs).score.tolist() == pytest.approx([1.0, 0.0, -1.0])


def test_a_user_s_pairs_move_the_shares(mixture, tmp_path):
    reward = plaudit.load(mixture)
    row = pairs(1)[0]
    said = reward(list(row.samples())).aspects
    moved = adapted(reward, [row] * 200, temperature=0.01)
    best = max(said, key=lambda name: said[name][0] - said[name][1])  # the expert to whom the pair says most
    samples = [Sample(f"q {i}", f"good {i}") for i in range(3)]
    experts = reward(samples).aspects[best]
    offset, scale = reward.manifest.offset, reward.manifest.scale
    assert moved(samples).reward == pytest.approx((experts - offset) / scale, abs=1e-6)
    assert moved.fingerprint != reward.fingerprint
    again = adapted(adapted(reward, pairs(2)), pairs(4)[2:])
    assert again(samples).reward == pytest.approx(adapted(reward, pairs(4))(samples).reward, abs=1e-6)
    moved.save(tmp_path / "mine")
    assert plaudit.load(tmp_path / "mine")(samples).reward == pytest.approx(moved(samples).reward, abs=1e-6)
    write(tmp_path / "pairs.jsonl", [row] * 200)
    opened = plaudit.load(f"personal/mixture?of={mixture}&context={tmp_path / 'pairs.jsonl'}&temperature=0.01")
    assert opened(samples).reward == pytest.approx(moved(samples).reward, abs=1e-6)


def test_only_mixtures_are_adapted(users):
    with pytest.raises(InputError, match="its head is 'scalar', and Hedge moves the shares of a mixture's experts"):
        adapted(users[0].reward, pairs(2))


def test_latents_lie_on_a_sphere_and_order_of_pairs_means_nothing():
    network = UserModel(UserNetwork(3, latent=5, width=8)).double()
    g = torch.Generator().manual_seed(0)
    chosen, rejected = torch.randn(2, 2, 6, 3, generator=g, dtype=torch.float64)
    known = torch.ones(2, 6, dtype=torch.bool)
    known[1, 4:] = False
    mean, log_variance = network.encode(chosen, rejected, known)
    order = torch.tensor([3, 1, 0, 2, 4, 5])
    for a, b in zip((mean, log_variance), network.encode(chosen[:, order], rejected[:, order], known), strict=True):
        assert torch.allclose(a, b)
    # what is not known does not count
    chosen[1, 4:] = 1e6
    assert torch.allclose(network.encode(chosen, rejected, known)[0], mean)
    assert (mean.abs() <= 1).all()
    assert on_sphere(mean).norm(dim=1).tolist() == pytest.approx([math.sqrt(5)] * 2)
    features = chosen[0]
    scores = network.decode(features, mean[:1].expand(6, -1))
    assert torch.allclose(network.decode(features, 7 * mean[:1].expand(6, -1)), scores)
    with pytest.raises(InputError, match="somebody has no pair"):
        network.encode(chosen, rejected, torch.zeros(2, 6, dtype=torch.bool))
    with pytest.raises(InputError, match="sizes are at least 1"):
        UserNetwork(0)


def _people(users, each, seed):
    """Two opposed types on one direction of eight numbers, with log-odds of 4 a unit."""
    g = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(8, generator=torch.Generator().manual_seed(7)), dim=0)
    a, b = torch.randn(2, users * each, 8, generator=g)
    person = torch.arange(users).repeat_interleave(each)
    sign = 1.0 - 2.0 * (person % 2)
    gap = sign * ((a - b) @ direction)
    first = (torch.rand(len(gap), generator=g) < torch.sigmoid(4 * gap))[:, None]
    return torch.where(first, a, b), torch.where(first, b, a), person, direction, sign


def test_it_tells_opposed_people_apart_the_better_the_more_it_is_told():
    chosen, rejected, person, *_ = _people(100, 20, seed=0)
    network = fit_user_network(chosen, rejected, person, config=UserFit(steps=300, beta=1e-2))
    chosen, rejected, _, direction, sign = _people(100, 20, seed=1)
    c, r = (x.double().reshape(100, 20, 8) for x in (chosen, rejected))
    truth = torch.sign(((c - r)[:, 8:] @ direction.double()) * sign.reshape(100, 20)[:, 8:])
    accuracy, deviation = {}, {}
    with torch.inference_mode():
        for n in (1, 8):
            mean, log_variance = network.encode(c[:, :n], r[:, :n], torch.ones(100, n, dtype=torch.bool))
            z = mean.repeat_interleave(12, dim=0)
            gap = network.decode(c[:, 8:].reshape(-1, 8), z) - network.decode(r[:, 8:].reshape(-1, 8), z)
            accuracy[n] = float(((gap.reshape(100, 12) * truth) > 0).double().mean())
            deviation[n] = float((0.5 * log_variance).exp().mean())
    # one score for both types is right half of the time
    assert accuracy[8] > accuracy[1] > 0.7
    assert accuracy[8] > 0.9
    assert deviation[8] < deviation[1]


def test_a_huge_beta_forgets_who_asks():
    chosen, rejected, person, direction, sign = _people(40, 10, seed=0)
    first, second = torch.randn(2, 200, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    likes = ((first - second) @ direction.double())[None] * sign.reshape(40, 10)[:, :1] > 0  # (40, 200)
    spread, apart, accuracy = {}, {}, {}
    for beta in (1e-3, 1e4):
        network = fit_user_network(chosen, rejected, person, config=UserFit(steps=150, beta=beta, cycles=1))
        c, r = (x.double().reshape(40, 10, 8)[:, :8] for x in (chosen, rejected))
        with torch.inference_mode():
            mean, _ = network.encode(c, r, torch.ones(40, 8, dtype=torch.bool))
            lead = [network.decode(first, z.expand(200, -1)) - network.decode(second, z.expand(200, -1)) for z in mean]
        spread[beta] = float(mean.std(dim=0).mean())
        said = torch.stack(lead).sigmoid()
        apart[beta] = float(said.std(dim=0).max())
        accuracy[beta] = float(((said > 0.5) == likes).double().mean())
    assert spread[1e4] < 0.1 * spread[1e-3]
    # whoever asks gets the same answer, which of two opposed types is right for one
    assert apart[1e4] < 0.01 < 0.1 < apart[1e-3]
    assert accuracy[1e4] == pytest.approx(0.5, abs=0.05)
    assert accuracy[1e-3] > 0.6


class TestPersonal(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _made(self, users):
        self.reward = users[0].for_user(pairs(8)[:2])

    def make_reward(self):
        return self.reward


def test_members_are_mirrored_draws(users):
    made, _ = users
    reward = made.for_user(pairs(4), draws=6)
    assert torch.allclose(reward.latents().mean(dim=0), reward.mean)
    samples = [s for row in pairs(3) for s in row.samples()]
    batch = reward(samples)
    assert batch.members.shape == (6, 6)
    assert batch.std == pytest.approx(batch.members.std(axis=1))
    assert made.for_user(pairs(4), draws=0)(samples).std is None
    with pytest.raises(InputError, match="draws is 3; they come in mirrored pairs"):
        made.for_user(pairs(4), draws=3)


def test_the_same_in_a_new_process(users, tmp_path, elsewhere):
    made, folder = users
    write(tmp_path / "context.jsonl", pairs(6)[:3])
    samples = [s for row in pairs(3) for s in row.samples()]
    here = made.for_user(pairs(6)[:3])
    code = (
        "import json, sys, plaudit; from plaudit import Sample\n"
        "reward = plaudit.load(sys.argv[1])\n"
        "batch = reward([Sample(p, c) for p, c in json.loads(sys.argv[2])])\n"
        "print(json.dumps([batch.reward.tolist(), batch.std.tolist(), reward.fingerprint]))"
    )
    told = json.dumps([[s.prompt[0].text, s.text] for s in samples])
    reference = f"personal/variational?of={folder}&context={tmp_path / 'context.jsonl'}"
    printed = elsewhere(code, reference, told)
    reward, std, fingerprint = json.loads(printed.splitlines()[-1])
    assert reward == pytest.approx(here(samples).reward, abs=1e-6)
    assert std == pytest.approx(here(samples).std, abs=1e-6)
    assert fingerprint == here.fingerprint
    assert fingerprint != made.for_user(pairs(6)[3:]).fingerprint


def test_refusals(users, mixture, tmp_path, quiet):
    made, _ = users
    write(tmp_path / "context.jsonl", pairs(3))
    with pytest.raises(MissingError, match=r"holds no variational\.safetensors; fit one to pairs with annotators"):
        plaudit.load(f"personal/variational?of={mixture}&context={tmp_path / 'context.jsonl'}")
    with pytest.raises(InputError, match="row 1: a user model learns who prefers what, and the row has no annotator"):
        fit_users(made.reward, [replace(pairs(1)[0], annotator=None)])
    with pytest.raises(InputError, match="nobody has two pairs"):
        fit_users(made.reward, pairs(4))
    with pytest.raises(InputError, match="UserFit: context, targets"):
        UserFit(steps=0)
    other = fitted(tmp_path / "other", "bradley-terry", pairs(8))
    made.save(tmp_path / "other" / "model")
    with pytest.raises(IntegrityError, match="was fitted to another model"):
        VariationalUsers.load(other, tmp_path / "other" / "model")


def test_what_to_ask_by_hand():
    far = 50.0
    first, second = np.array([[far, -far], [0.0, 0.0], [far, far]]), np.zeros((3, 2))
    # draws that disagree for certain are worth log 2; a coin under every draw, or agreement, is worth nothing
    assert query_information(first, second).tolist() == pytest.approx([math.log(2), 0.0, 0.0], abs=1e-9)
    assert win_probability(np.array([math.log(3)]), np.array([0.0, math.log(3)])).tolist() == pytest.approx([0.625])
