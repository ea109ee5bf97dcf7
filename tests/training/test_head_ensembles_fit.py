"""`bradley-terry-heads` and `gaussian-heads` as they are trained, saved and loaded."""

import json

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked
from plaudit.records.sample import Sample
from plaudit.training.config import FitConfig
from plaudit.training.identity import row_identity
from plaudit.training.methods import chosen

ASKED = (Message("user", "how are you"),)


def test_members_survive_a_new_process_and_are_centred_over_the_training_data(fit, pairs, tmp_path, elsewhere):
    rows = pairs(12)
    fitted = fit(tmp_path, rows, objective="bradley-terry-heads?heads=3", epochs=3.0)
    trained = fitted.reward([s for r in rows for s in r.samples()])
    assert trained.members.shape == (24, 3)
    assert np.allclose(trained.members.mean(axis=0), 0, atol=1e-4)  # every head has its own zero
    assert trained.reward.mean() == pytest.approx(0, abs=1e-4)
    assert trained.reward.std() == pytest.approx(1, abs=1e-4)
    assert np.allclose(trained.reward, trained.members.mean(axis=1), atol=1e-6)
    assert (trained.std > 1e-4).all()  # heads that started apart and saw other rows differ
    samples = [Sample(ASKED, f"{'good ' * j}answer") for j in range(4)]
    here = fitted.reward(samples)
    code = (
        "import json, sys, plaudit; from plaudit import Sample, Message\n"
        "r, asked = plaudit.load(sys.argv[1]), (Message('user', 'how are you'),)\n"
        "b = r([Sample(asked, 'good ' * j + 'answer') for j in range(4)])\n"
        "print(json.dumps([b.members.tolist(), b.std.tolist()]))"
    )
    printed = elsewhere(code, str(tmp_path / "model"))
    members, std = json.loads(printed.splitlines()[-1])
    assert np.allclose(members, here.members, rtol=0, atol=1e-6)
    assert np.allclose(std, here.std, rtol=0, atol=1e-6)


def test_what_a_head_sees_does_not_depend_on_how_steps_are_divided(fit, pairs, parameters, tmp_path):
    options = dict(objective="bradley-terry-heads?heads=2", rows=pairs(8))
    whole = parameters(fit(tmp_path / "a", **options, batch_size=8))
    parts = parameters(fit(tmp_path / "b", **options, batch_size=1, accumulation=8))
    for name, value in whole.items():
        assert np.allclose(value.numpy(), parts[name].numpy(), atol=1e-5), name


def test_options_change_what_is_learnt(fit, pairs, parameters, tmp_path):
    found = {}
    for options in ("", "&bootstrap=0.5", "&bootstrap=1", "&draw=1", "&center_coef=0.1"):
        at = tmp_path / str(len(found))
        found[options] = parameters(fit(at, pairs(8), objective=f"bradley-terry-heads?heads=2{options}"))
    weights = [p["score.weight"].numpy().round(6).tobytes() for p in found.values()]
    assert len(set(weights)) == len(weights)


def test_a_likelihood_says_the_noise_and_the_sampled_error_forgets_it(fit, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        Pair(ASKED, "a good answer", "a bad answer", chosen_score=1 + float(a), rejected_score=-1 + float(b))
        for a, b in rng.normal(scale=0.7, size=(24, 2))
    ]
    noise = {}
    for likelihood in ("true", "false"):
        objective = f"gaussian-heads?heads=2&likelihood={likelihood}"
        reward = fit(tmp_path / likelihood, rows, objective=objective, epochs=30.0).reward
        batch = reward([Sample(ASKED, "a good answer")])
        noise[likelihood] = float(batch.noise.mean() * reward.manifest.scale)
        assert batch.members.shape == (1, 2)
    assert noise["true"] == pytest.approx(0.7, abs=0.35)
    assert noise["false"] < noise["true"] / 2


def test_a_row_s_identity_is_what_it_says():
    row = Pair(ASKED, "a", "b", annotator="x")
    assert row_identity("", row, 0, 1) == row_identity("", Pair(ASKED, "a", "b", annotator="x"), 0, 1)
    other = [Pair(ASKED, "b", "a", annotator="x"), Pair(ASKED, "a", "b", annotator="y"), Pair(ASKED, "a", "c")]
    assert len({row_identity("", r, 0, 1) for r in [row, *other]}) == 4
    ranked = Ranked(ASKED, ("a", "b", "c"), (3.0, 2.0, 1.0))
    assert row_identity("", ranked, 0, 1) == row_identity("", ranked, 1, 2)
    assert float(np.float32(row_identity("", row, 0, 1))) == row_identity("", row, 0, 1)  # exact in float32


@pytest.mark.parametrize("draw", [2**63 - 1, -(2**63)])
def test_a_draw_may_be_any_number_of_64_bits(draw, fit, pairs, tmp_path):
    fitted = fit(tmp_path, pairs(4), objective=f"bradley-terry-heads?heads=2&draw={draw}")
    assert np.isfinite(fitted.losses).all()


def test_options_are_checked():
    assert chosen("bradley-terry-heads").head.outputs == 5
    assert chosen("gaussian-heads?heads=3").head.outputs == 6
    for text, message in (
        ("bradley-terry-heads?heads=1", "heads is 1; an ensemble has at least 2"),
        ("bradley-terry-heads?bootstrap=none", "bootstrap is 'none'; give 'poisson', or the share"),
        ("bradley-terry-heads?bootstrap=2", "bootstrap is '2'"),
        ("bradley-terry-heads?center_coef=-1", "center_coef is -1.0; it must be at least 0"),
        ("gaussian-heads?heads=0", "heads is 0"),
        (f"bradley-terry-heads?draw={2**63}", r"draw is 9223372036854775808; give a whole number from -2\^63 to 2\^63"),
        (f"bradley-terry-heads?draw={-(2**63) - 1}", "draw is -9223372036854775809; give a whole number from"),
    ):
        with pytest.raises(InputError, match=message):
            _ = chosen(FitConfig(objective=text).objective).head
