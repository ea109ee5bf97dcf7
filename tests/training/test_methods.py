"""Each objective by its name: it trains, it survives being saved, and it says what the data lacks."""

import json
import subprocess
import sys

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated
from plaudit.records.sample import Sample
from plaudit.training.config import FitConfig
from plaudit.training.methods import METHODS, chosen

ASKED = (Message("user", "how are you"),)


def ranked_rows(n=8, k=4):
    return [
        Ranked(
            (Message("user", f"question {i}"),), tuple(f"{'good ' * j}answer {i}" for j in range(k)),
            tuple(float(j + 1) for j in range(k)),
        )
        for i in range(n)
    ]  # fmt: skip


def rated_rows(n=8, k=3):
    asked = [(Message("user", f"question {i}"),) for i in range(n)]
    return [Rated(prompt, f"{'good ' * j}answer", float(j + 1)) for prompt in asked for j in range(k)]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_it_trains_and_survives_a_new_process(name, fit, tmp_path):
    fitted = fit(tmp_path, ranked_rows(), objective=name, epochs=3.0)
    assert np.isfinite(fitted.losses).all()
    samples = [Sample(ASKED, f"{'good ' * j}answer") for j in range(4)]
    here = fitted.reward(samples)
    code = (
        "import json, sys, plaudit; from plaudit import Sample, Message\n"
        "r, asked = plaudit.load(sys.argv[1]), (Message('user', 'how are you'),)\n"
        "b = r([Sample(asked, 'good ' * j + 'answer') for j in range(4)])\n"
        "noise = None if b.noise is None else b.noise.tolist()\n"
        "print(json.dumps([b.reward.tolist(), noise, r.fingerprint]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    reward, noise, fingerprint = json.loads(done.stdout.splitlines()[-1])
    assert np.allclose(reward, here.reward, atol=1e-6)
    assert (noise is None) == (here.noise is None)
    assert noise is None or np.allclose(noise, here.noise, atol=1e-6)
    assert fingerprint == fitted.reward.fingerprint
    assert fitted.reward.manifest.objective == name
    assert fitted.reward.manifest.head.get("outputs", 1) == chosen(name).head.outputs


@pytest.mark.parametrize("name", sorted(METHODS))
def test_it_learns_what_is_better(name, fit, tmp_path):
    fitted = fit(tmp_path, ranked_rows(16), objective=name, epochs=12.0)
    scores = fitted.reward(
        [Sample((Message("user", f"question {i}"),), f"{'good ' * j}answer {i}") for i in range(4) for j in (0, 3)]
    )
    better = scores.reward.reshape(4, 2)
    assert (better[:, 1] > better[:, 0]).all()


@pytest.mark.parametrize("name", sorted(n for n, m in METHODS.items() if m.labels == "values"))
def test_ratings_come_from_rated_rows_and_scored_pairs_too(name, fit, tmp_path):
    fitted = fit(tmp_path / "a", rated_rows(), objective=name)
    assert fitted.groups == 8  # the three ratings of a prompt are one group, whose prompt is run once
    scored = [Pair(ASKED, "a good answer", "an answer", chosen_score=2.0, rejected_score=1.0)] * 3
    fit(tmp_path / "b", scored, objective=name)
    with pytest.raises(InputError, match="row 1: this objective learns from ratings, and the pair has none"):
        fit(tmp_path / "c", [Pair(ASKED, "a", "b")], objective=name)


def test_only_logistic_objectives_give_log_odds(fit, tmp_path):
    for name in sorted(METHODS):
        reward = fit(tmp_path / name, ranked_rows(4), objective=name).reward
        assert hasattr(reward, "log_odds_per_unit") == (name in ("bradley-terry", "plackett-luce"))


def test_options_are_read_and_checked():
    assert chosen("quantile?levels=0.1,0.9").options == {"levels": (0.1, 0.9)}
    assert chosen("quantile?levels=0.1,0.9").head.outputs == 2
    for text, message in (
        ("quantiles", "objective 'quantiles' is not known; did you mean 'quantile'"),
        ("quantile?level=0.5", "objective quantile: unknown option 'level'; did you mean 'levels'"),
        ("quantile?levels=a", "objective quantile: levels is 'a'; give numbers divided by commas"),
        ("plackett-luce?top=x", "objective plackett-luce: top is 'x'; give int"),
    ):
        with pytest.raises(InputError, match=message):
            FitConfig(objective=text)


def test_an_option_of_bradley_terry_is_refused_elsewhere():
    with pytest.raises(InputError, match="label_smoothing has no effect on regression"):
        FitConfig(objective="regression", label_smoothing=0.1)


def test_accumulated_steps_equal_one_step(fit, parameters, tmp_path):
    for name in ("plackett-luce", "gaussian"):
        whole = parameters(fit(tmp_path / f"{name}-1", ranked_rows(), objective=name, batch_size=8))
        parts = parameters(fit(tmp_path / f"{name}-8", ranked_rows(), objective=name, batch_size=1, accumulation=8))
        for key, value in whole.items():
            assert np.allclose(value.numpy(), parts[key].numpy(), atol=1e-5), (name, key)


def test_the_command_lists_them(capsys):
    from plaudit.cli.main import main

    assert main(["train", "--objective", "help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and METHODS[name].needs in out for name in METHODS)
