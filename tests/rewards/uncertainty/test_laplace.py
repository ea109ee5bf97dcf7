"""The posterior of a head: mathematics against slow references, and its life beside the weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import plaudit
from plaudit.errors import InputError, IntegrityError, MissingError, UnsupportedError
from plaudit.records import Message, Pair, Ranked
from plaudit.rewards.calibrators import Calibration, Temperature
from plaudit.rewards.uncertainty import Posterior, best_prior, fit_laplace, leaf_features, log_evidence
from plaudit.rewards.uncertainty.posterior import logistic_hessian
from plaudit.testing import RewardContract

ASKED = (Message("user", "What is the capital of Peru?"),)


def pairs(n=24):
    prompts = [(Message("user", f"Write {i} lines about rain."),) for i in range(n // 2)]
    return [Pair(p, f"Lima {'la ' * (i % 5)}", f"I cannot {i}") for i, p in enumerate(prompts) for _ in (0, 1)]


@pytest.fixture
def fitted(make_reward):
    return fit_laplace(make_reward(objective="bradley-terry"), pairs())


class TestLaplace(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _made(self, fitted):
        self.reward = fitted

    def make_reward(self):
        return self.reward


def test_hessian_by_hand():
    # logits 0 and log 3: p (1 - p) is 1/4 and 3/16
    found = logistic_hessian(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([0.0, np.log(3.0)]))
    assert np.allclose(found, [[1.0, 0.0], [0.0, 3.0]])


def test_hessian_is_the_second_derivative():
    rng = np.random.default_rng(0)
    d, w, weight = rng.normal(size=(30, 3)), rng.normal(size=3), rng.random(30)

    def loss(v):
        return float((weight * np.logaddexp(0, -d @ v)).sum())

    h, eye = 1e-4, np.eye(3)
    slow = [
        [(loss(w + h * (a + b)) - loss(w + h * (a - b)) - loss(w + h * (b - a)) + loss(w - h * (a + b))) / (4 * h * h)
         for b in eye] for a in eye
    ]  # fmt: skip
    assert np.allclose(logistic_hessian(d, d @ w, weight), slow, atol=1e-5)


def test_deviations_by_hand():
    # precision diag(3, 0) + 1 = diag(4, 1): a feature (2, 3) from the centre has variance 4/4 + 9/1
    posterior = Posterior.of(np.diag([3.0, 0.0]), prior=1.0, center=np.array([1.0, 1.0]), pairs=5)
    assert posterior.std(np.array([[3.0, 4.0], [1.0, 1.0]])).tolist() == pytest.approx([10**0.5, 0.0])
    first, second = np.array([[3.0, 4.0]]), np.array([[3.0, 1.0]])
    assert posterior.difference_std(first, second).tolist() == pytest.approx([3.0])
    with pytest.raises(InputError, match="prior is 0; it must be positive"):
        Posterior.of(np.eye(2), prior=0, center=np.zeros(2), pairs=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_sigma_points_have_the_posterior_s_moments(seed, d):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    posterior = Posterior.of(root @ root.T, prior=0.5, center=rng.normal(size=d), pairs=1)
    a, b = rng.normal(size=(2, 6, d))
    covariance = np.linalg.inv(root @ root.T + 0.5 * np.eye(d))
    points = posterior.deviations(a, members=2 * d), posterior.deviations(b, members=2 * d)
    assert np.allclose(points[0].mean(axis=1), 0, atol=1e-9)
    assert np.allclose(points[0].std(axis=1), posterior.std(a), rtol=1e-6)
    gap = a - b
    exact = np.sqrt(np.einsum("ni,ij,nj->n", gap, covariance, gap))
    assert np.allclose(posterior.difference_std(a, b), exact, rtol=1e-6)
    assert np.allclose((points[0] - points[1]).std(axis=1), exact, rtol=1e-6)


def test_draws_come_near_the_deviation_and_belong_to_the_head():
    posterior = Posterior.of(np.eye(40), prior=1.0, center=np.zeros(40), pairs=1)
    x = np.random.default_rng(1).normal(size=(200, 40))
    draws = posterior.deviations(x, members=32)
    assert draws.shape == (200, 32)
    assert np.median(draws.std(axis=1) / posterior.std(x)) == pytest.approx(1.0, abs=0.15)
    assert np.allclose(posterior.deviations(x[3:4], members=32), draws[3:4])  # a member is one head, whatever the batch
    with pytest.raises(InputError, match="members is 3"):
        posterior.deviations(x, members=3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.floats(0.01, 10))
def test_the_best_prior_has_the_highest_evidence(eigenvalues, norm2):
    values = np.array(eigenvalues)
    found = best_prior(values, norm2)
    slow = minimize_scalar(
        lambda x: -log_evidence(values, norm2, float(np.exp(x))), bounds=(-25, 15), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert log_evidence(values, norm2, found) >= -slow.fun - 1e-7
    assert found * norm2 == pytest.approx((values / (values + found)).sum(), rel=1e-6)


def test_the_evidence_is_the_integral():
    # one weight: the integral of prior(w) exp(-h (w - m)^2 / 2) by quadrature, without the terms that know no prior
    h, m = 3.0, 0.7
    grid = np.linspace(-30, 30, 400_001)

    def exact(prior):  # with the mode held at m: the prior's density at m times the Gaussian's volume
        volume = np.trapezoid(np.exp(-0.5 * (h + prior) * (grid - m) ** 2), grid)
        return np.log(np.sqrt(prior / (2 * np.pi)) * np.exp(-0.5 * prior * m * m) * volume)

    values = np.array([h])
    gap = log_evidence(values, m * m, 2.0) - log_evidence(values, m * m, 0.1)
    assert gap == pytest.approx(float(exact(2.0) - exact(0.1)), abs=1e-9)
    with pytest.raises(InputError, match="chooses no prior; give prior"):
        best_prior(np.zeros(2), 1.0)


def test_the_reward_is_the_model_s_and_the_deviation_is_in_its_unit(make_reward, samples):
    reward = make_reward(objective="bradley-terry")
    laplace = fit_laplace(reward, pairs(), members=2 * 32)
    batch, plain = laplace(samples), reward(samples)
    assert np.allclose(batch.reward, plain.reward, atol=1e-5)
    features = leaf_features(reward, samples).double().numpy()
    assert np.allclose(batch.std, laplace.posterior.std(features) / reward.manifest.scale, atol=1e-9)
    assert np.allclose(batch.members.std(axis=1), batch.std, rtol=1e-5)
    assert np.allclose(batch.members.mean(axis=1), batch.reward, atol=1e-9)
    members = laplace(samples[:6]).members
    exact = laplace.difference_std(samples[:3], samples[3:6])
    assert np.allclose((members[:3] - members[3:]).std(axis=1), exact, rtol=1e-4)


def test_more_pairs_make_it_surer(make_reward, samples):
    reward = make_reward(objective="bradley-terry")
    few, many = (fit_laplace(reward, pairs() * k, prior=1.0)(samples).std for k in (1, 20))
    assert (many < few).all()


def test_ranked_rows_count_as_their_pairs(make_reward):
    reward = make_reward(objective="bradley-terry")
    ranked = [Ranked(ASKED, ("Lima", "no", "I cannot"), (2.0, 1.0, 1.0))]
    as_pairs = [Pair(ASKED, "Lima", "no"), Pair(ASKED, "Lima", "I cannot")]
    a, b = (fit_laplace(reward, rows, prior=1.0).posterior for rows in (ranked, as_pairs))
    assert a.pairs == b.pairs == 2
    assert np.allclose(a.factor @ a.factor.T, b.factor @ b.factor.T, atol=1e-5)


def test_rows_weigh_what_they_weighed_in_the_fit(make_reward):
    """A row of weight 3 is the row three times; one that would be balanced by length, its share of both kinds."""
    one, two = [replace(p, meta={"sure": w}) for p, w in zip(pairs()[:2], (3, 1), strict=True)]
    weighed = make_reward(objective="bradley-terry", training={"config": {"row_weight": "sure"}})
    plain = make_reward(objective="bradley-terry")
    a, b = fit_laplace(weighed, [one, two], prior=1.0), fit_laplace(plain, [one, one, one, two], prior=1.0)
    covariance = [p.factor @ p.factor.T for p in (a.posterior, b.posterior)]
    assert np.allclose(*covariance, atol=1e-5)
    ranked = Ranked(ASKED, ("Lima", "no", "I cannot"), (2.0, 1.0, 1.0), {"sure": 2})
    twice = [fit_laplace(m, rows, prior=1.0).posterior for m, rows in ((weighed, [ranked]), (plain, [ranked] * 2))]
    assert np.allclose(*(p.factor @ p.factor.T for p in twice), atol=1e-5)
    with pytest.raises(InputError, match="row_weight: row 1 has no value in the column 'sure'"):
        fit_laplace(weighed, pairs(), prior=1.0)
    longer, shorter = Pair(ASKED, "a b c", "a"), Pair(ASKED, "b", "b c d")
    balanced = make_reward(objective="bradley-terry", training={"config": {"balance": "length"}})
    rows = [longer, longer, longer, shorter]  # 4/6 each, and 4/2
    by_hand = [replace(r, meta={"sure": w}) for r, w in zip(rows, (2 / 3, 2 / 3, 2 / 3, 2), strict=True)]
    both = [fit_laplace(m, r, prior=1.0).posterior for m, r in ((balanced, rows), (weighed, by_hand))]
    assert np.allclose(*(p.factor @ p.factor.T for p in both), atol=1e-9)


def test_it_survives_a_new_process(make_reward, tmp_path, elsewhere):
    make_reward(objective="bradley-terry").save(tmp_path / "model")
    rows = [{"prompt": p.prompt[0].text, "chosen": p.chosen, "rejected": p.rejected} for p in pairs()]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reference = f"uncertainty/laplace?of={tmp_path / 'model'}"
    with pytest.raises(MissingError, match=r"holds no laplace\.safetensors; fit it with uncertainty/laplace"):
        plaudit.load(reference)
    made = plaudit.load(f"{reference}&pairs={tmp_path / 'pairs.jsonl'}")
    here = made([plaudit.Sample(ASKED, "Lima"), plaudit.Sample(ASKED, "no")])
    code = (
        "import json, sys, plaudit; from plaudit import Sample, Message\n"
        "asked = (Message('user', 'What is the capital of Peru?'),)\n"
        "r = plaudit.load(sys.argv[1]); b = r([Sample(asked, 'Lima'), Sample(asked, 'no')])\n"
        "print(json.dumps([b.reward.tolist(), b.std.tolist(), b.members.tolist(), r.fingerprint]))"
    )
    printed = elsewhere(code, reference)
    reward, std, members, fingerprint = json.loads(printed.splitlines()[-1])
    for found, wanted in ((reward, here.reward), (std, here.std), (members, here.members)):
        assert np.allclose(found, wanted, rtol=0, atol=1e-6)
    assert fingerprint == made.fingerprint


def test_a_posterior_of_another_model_is_refused(make_reward, tmp_path):
    for seed in (0, 1):
        make_reward(seed=seed, objective="bradley-terry").save(tmp_path / str(seed))
    fit_laplace(plaudit.load(tmp_path / "0"), pairs()).save(tmp_path / "1")
    with pytest.raises(IntegrityError, match="was fitted to another model"):
        plaudit.load(f"uncertainty/laplace?of={tmp_path / '1'}")
    (tmp_path / "1" / "laplace.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="torn or not safetensors"):
        plaudit.load(f"uncertainty/laplace?of={tmp_path / '1'}")


def test_what_is_refused(make_reward):
    with pytest.raises(InputError, match="was fitted by regression; Laplace's Hessian is that of Bradley-Terry"):
        fit_laplace(make_reward(objective="regression"), pairs())
    calibrated = make_reward(objective="regression")
    calibrated.calibration = Calibration(Temperature(0.5, 60), 60, 50, "hash")
    assert calibrated.log_odds_per_unit > 0  # a temperature makes its differences log-odds, and its pairs' Hessian not
    with pytest.raises(InputError, match="was fitted by regression"):
        fit_laplace(calibrated, pairs())
    with pytest.raises(InputError, match="0 rows hold no preference"):
        fit_laplace(make_reward(objective="bradley-terry"), [])
    with pytest.raises(UnsupportedError, match="is not a linear one at the last token"):
        fit_laplace(make_reward("bert", reader="classification"), pairs())
    with pytest.raises(InputError, match="members is 3"):
        fit_laplace(make_reward(objective="bradley-terry"), pairs(), members=3)
