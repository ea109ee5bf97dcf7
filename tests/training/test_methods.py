"""Each objective by its name: it trains, it survives being saved, and it says what the data lacks."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from method_rows import (
    ASKED,
    COMPARISONS,
    REWARDS,
    pair_rows,
    partly_labelled_rows,
    ranked_rows,
    rated_rows,
    rows_for,
)

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated
from plaudit.records.sample import Sample
from plaudit.rewards.models import LOGISTIC, READINGS, ModelReward
from plaudit.rewards.preferences import PreferenceModel
from plaudit.rewards.registry import load
from plaudit.training.collating import Collator
from plaudit.training.config import FitConfig
from plaudit.training.groups import encode_groups
from plaudit.training.losses.pairs import logistic
from plaudit.training.methods import METHODS, chosen
from plaudit.training.trainer import row_outputs

ELSEWHERE = """
import json, sys, plaudit
from plaudit import Sample, Message
asked = (Message("user", "how are you"),)
samples = [Sample(asked, "good " * j + "answer") for j in range(4)]
for folder in sys.argv[1:]:
    reward = plaudit.load(folder)
    batch = reward(samples)
    names = ("reward", "std", "noise", "members")
    columns = {k: None if getattr(batch, k) is None else getattr(batch, k).tolist() for k in names}
    aspects = {k: v.tolist() for k, v in batch.aspects.items()}
    print(json.dumps({"fingerprint": reward.fingerprint, "aspects": aspects, **columns}))
"""


def test_each_trains_learns_what_is_better_and_survives_a_new_process(fit, tmp_path, elsewhere):
    longer = {"cotraining": 8.0}  # it leaves pairs out
    fitted = {n: fit(tmp_path / n, rows_for(n, 16), objective=n, epochs=longer.get(n, 5.0)) for n in REWARDS}
    printed = elsewhere(ELSEWHERE, *(str(tmp_path / name / "model") for name in REWARDS))
    samples = [Sample(ASKED, f"{'good ' * j}answer") for j in range(4)]
    asked = [(Message("user", f"question {i}"),) for i in range(4)]
    for name, line in zip(REWARDS, printed.splitlines()[-len(REWARDS) :], strict=True):
        assert np.isfinite(fitted[name].losses).all(), name
        reward, there = fitted[name].reward, json.loads(line)
        here = reward(samples)
        assert there["reward"] == pytest.approx(here.reward, rel=0, abs=1e-6), name
        assert list(there["aspects"]) == list(here.aspects), name
        for aspect, value in here.aspects.items():
            assert there["aspects"][aspect] == pytest.approx(value, rel=0, abs=1e-6, nan_ok=True), (name, aspect)
        for column in ("std", "noise", "members"):
            value = getattr(here, column)
            assert (there[column] is None) == (value is None), name
            assert value is None or np.allclose(there[column], value, rtol=0, atol=1e-6), name
        assert there["fingerprint"] == reward.fingerprint, name
        assert reward.manifest.objective == name
        assert reward.manifest.head.get("outputs", 1) == chosen(name).head_for(rows_for(name)).outputs, name
        several = ("bradley-terry-heads", "gaussian-heads")
        assert (here.members is not None) == (name in several), name
        better = reward([Sample(prompt, f"{'good ' * j}answer {i}") for i, prompt in enumerate(asked) for j in (0, 3)])
        assert (better.reward[1::2] > better.reward[0::2]).all(), name


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_trains_and_survives_a_new_process(name, fit, tmp_path, elsewhere, monkeypatch):
    fitted = fit(tmp_path, rows_for(name, 16), objective=name, epochs=12.0)
    here = PreferenceModel(fitted.reward)
    long, short = ([Sample(ASKED, f"{'good ' * j}answer")] for j in (3, 0))
    forth, back = here(long, short), here(short, long)
    assert forth.probability[0] > 0.5  # it learned what is better
    assert np.allclose(forth.probability + back.probability, 1, atol=1e-6)
    assert np.allclose(here(long, long).probability, 0.5, atol=1e-6)
    assert forth.std is None or np.allclose(forth.std, back.std)  # which one is named first means nothing
    # a deviation that is read in another way is logged under another fingerprint
    again = ModelReward.load(tmp_path / "model")
    assert again.fingerprint == fitted.reward.fingerprint
    monkeypatch.delitem(READINGS, "twice")
    assert (ModelReward.load(tmp_path / "model").fingerprint == again.fingerprint) == (name != "two-raters")
    code = (
        "import sys, plaudit; from plaudit import Sample, Message; from plaudit.rewards.registry import resolve\n"
        "c, asked = resolve(sys.argv[1]), (Message('user', 'how are you'),)\n"
        "said = c([Sample(asked, 'good ' * 3 + 'answer')], [Sample(asked, 'answer')])\n"
        "print(float(said.probability[0]), None if said.std is None else float(said.std[0]))"
    )
    printed = elsewhere(code, str(tmp_path / "model"))
    probability, std = printed.splitlines()[-1].split()
    assert float(probability) == pytest.approx(forth.probability[0], abs=1e-6)
    assert (std == "None") == (forth.std is None)
    assert forth.std is None or float(std) == pytest.approx(forth.std[0], abs=1e-6)
    assert (forth.std is not None) == (name == "two-raters")  # the one that knows how sure it is
    with pytest.raises(InputError, match="is a comparison of two samples, and a reward of one is needed; turn it into"):
        load(tmp_path / "model")


def test_general_preference_begins_undecided(fit, tmp_path):
    """Published heads begin with deviation 1 / (d + 1): scores near 0 and scales near 1, at temperature 0.1 too."""
    first = [fit(tmp_path / str(s), rows_for("general-preference"), objective="general-preference", seed=s).losses[0]
             for s in (0, 1)]  # fmt: skip
    assert first == pytest.approx([math.log(2)] * 2, abs=0.1)  # the states are 16 wide
    wide = fit(tmp_path / "wide", rows_for("general-preference"), objective="general-preference?init=unit").losses[0]
    assert abs(wide - math.log(2)) > 0.2
    with pytest.raises(InputError, match="init is 'big'; give one of unit, small"):
        fit(tmp_path / "no", rows_for("general-preference"), objective="general-preference?init=big")


def test_a_comparison_needs_one_prompt_a_pair(fit, tmp_path):
    model = PreferenceModel(fit(tmp_path, ranked_rows(4), objective="general-preference").reward)
    other = Sample((Message("user", "and you"),), "answer")
    with pytest.raises(InputError, match="pair 0 answers two prompts"):
        model([Sample(ASKED, "answer")], [other])
    with pytest.raises(InputError, match="1 samples on one side and 0 on the other"):
        model([other], [])


def test_two_raters_who_differ_at_random_leave_nothing_unknown(fit, tmp_path):
    """By hand: p = 1/2 and q = 1/2 give no deviation; raters who always agree on a coin give sqrt(1/2 * 1/2) = 1/2."""
    orders = [("left", "right") if i % 2 else ("right", "left") for i in range(24)]
    found = {}
    for name, second in (("agree", lambda _: True), ("independent", lambda i: i % 4 < 2)):
        rows = [Pair(ASKED, a, b, meta={"second": second(i)}) for i, (a, b) in enumerate(orders)]
        model = PreferenceModel(fit(tmp_path / name, rows, objective="two-raters", epochs=40.0).reward)
        found[name] = model([Sample(ASKED, "left")], [Sample(ASKED, "right")])
    for said in found.values():
        assert said.probability[0] == pytest.approx(0.5, abs=0.1)
    assert found["agree"].std[0] > 0.3 > found["independent"].std[0]


def test_the_order_of_a_pair_without_a_label_means_nothing(fit, parameters, tmp_path):
    rows = partly_labelled_rows()
    turned = [r if r.meta["labelled"] else replace(r, chosen=r.rejected, rejected=r.chosen) for r in rows]
    found = [
        parameters(fit(tmp_path / str(i), x, objective="internal-agreement")) for i, x in enumerate((rows, turned))
    ]
    told = [replace(r, meta={}) for r in turned[:-1]]
    others = parameters(fit(tmp_path / "2", [*told, turned[-1]], objective="internal-agreement"))
    for key, value in found[0].items():
        assert np.allclose(value.numpy(), found[1][key].numpy(), atol=1e-5), key
    assert any(not np.allclose(v.numpy(), others[k].numpy(), atol=1e-3) for k, v in found[0].items())


def test_a_gap_that_no_pair_meets_is_refused_before_anything_is_trained(pairs, fit, tmp_path):
    """A pair without scores has grades of our own, 1 and 0, which say nothing in units of scores."""
    for gap in (0.5, 2):
        with pytest.raises(InputError, match="row 1: min_gap is in units of scores, and the pair has none"):
            fit(tmp_path, pairs(4), objective=f"rank-list?min_gap={gap}")
    with pytest.raises(InputError, match="min_gap is 4, and none of the 8 rows has two completions that far apart"):
        fit(tmp_path, pair_rows(), objective="rank-list?min_gap=4")  # their scores are 4 and 1
    assert not list(tmp_path.iterdir())
    assert fit(tmp_path, pair_rows(), objective="rank-list?min_gap=3").losses[0] > 0.1


def test_a_head_whose_second_layer_is_zero_says_nothing(fit, tmp_path):
    """Entry 93: whatever the first layer is, all rewards are alike, every pair loses log 2, and it can still learn."""
    model = fit(tmp_path, ranked_rows(4), head_depth=2).reward
    last = [p for p in model.model.score.parameters() if p.ndim == 2][-1]
    last.data.zero_()
    samples = [Sample(ASKED, f"{'good ' * j}answer") for j in range(4)]
    said = model(samples).reward
    assert np.ptp(said) == 0
    groups = encode_groups(ranked_rows(4), model.encoder)
    (row,) = Collator(tree=model.engine.gate.open)(groups)["rows"]
    outputs = row_outputs(model.model.train(), row)
    loss = logistic(outputs, row)
    assert loss.item() == pytest.approx(4 * 6 * np.log(2), rel=1e-6)  # 4 lists of 4 give 6 pairs each
    loss.backward()
    assert last.grad.abs().max() > 0


def test_heads_of_several_layers_and_their_refusals(fit, tmp_path):
    form = {"head_depth": 2, "head_activation": "tanh", "head_width": 5}
    deep = fit(tmp_path, ranked_rows(), objective="gaussian", **form).reward
    assert deep.manifest.head["network"]["depth"] == 2
    assert next(iter(deep.model.score.parameters())).shape[0] == 5  # the hidden layer
    assert [tuple(p.shape) for p in deep.model.score.parameters()][-1] == (2,)  # mean and variance
    samples = [Sample(ASKED, f"{'good ' * j}answer") for j in range(3)]
    assert np.allclose(load(tmp_path / "model")(samples).reward, deep(samples).reward, atol=1e-6)
    with pytest.raises(InputError, match="head_activation has no effect on a linear head; set head_depth to 2"):
        FitConfig(head_activation="tanh")
    with pytest.raises(InputError, match="head_width has no effect on a linear head; set head_depth to 2"):
        FitConfig(head_width=8)
    with pytest.raises(InputError, match="head_width is -1; it must be at least 0"):
        FitConfig(head_depth=2, head_width=-1)


def test_two_ratings_tell_what_is_not_known_from_what_raters_disagree_about(fit, tmp_path):
    """By hand: levels 1 and 2 by a coin. Raters who agree leave std 1/2 and no noise, independent ones the reverse."""
    found = {}
    for name, second in (("agree", lambda first, _: first), ("independent", lambda _, i: 1 + i // 2 % 2)):
        rows = [Rated(ASKED, "left", 1 + i % 2, meta={"second": second(1 + i % 2, i)}) for i in range(24)]
        reward = fit(tmp_path / name, rows, objective="two-ratings?levels=2", epochs=40.0).reward
        scale, said = reward.manifest.scale, reward([Sample(ASKED, "left")])
        found[name] = said.std[0] * scale, said.noise[0] * scale
        assert said.detail[0]["score"] == pytest.approx(1.5, abs=0.1)
    assert found["agree"] == pytest.approx((0.5, 0.0), abs=0.2)
    assert found["independent"][0] < 0.25
    assert found["independent"][1] == pytest.approx(0.5, abs=0.1)


def test_scores_are_on_the_raters_scale_whatever_it_is(fit, tmp_path):
    high = [Rated(r.prompt, r.completion, 100 + 10 * r.score) for r in rated_rows()]  # 110, 120 and 130
    for name in sorted(n for n, m in METHODS.items() if m.standardised):
        reward = fit(tmp_path / name, high, objective=name, epochs=30.0).reward
        head = reward.head
        assert head.centre == pytest.approx(120)
        assert head.spread == pytest.approx(10 * (2 / 3) ** 0.5, rel=1e-6)  # of 1, 2 and 3, ten apart
        scores = np.array([d["score"] for d in reward([Sample(r.prompt, r.completion) for r in high]).detail])
        assert np.abs(scores - [r.score for r in high]).mean() < 6, (
            name
        )  # untrained it would be 20 / 3 at the best constant


def test_ties_are_learned_from_equal_scores(fit, tmp_path):
    often = [Ranked((Message("user", f"q {i}"),), ("a b", "c d", "e"), (2.0, 2.0, 2.0)) for i in range(8)]
    never = [Ranked((Message("user", f"q {i}"),), ("a b", "c d", "e"), (3.0, 2.0, 1.0)) for i in range(8)]
    for name in ("rao-kupper", "davidson"):
        learned = [
            float(
                fit(tmp_path / f"{name}-{i}", rows, objective=name, epochs=8.0).reward.model.score.constants.detach()[0]
            )
            for i, rows in enumerate((often, never))
        ]
        assert learned[0] > 0 > learned[1], name  # from 0: wider where ties are common, narrower where there are none


@pytest.mark.parametrize("name", sorted(n for n in REWARDS if METHODS[n].labels == "values"))
def test_ratings_come_from_rated_rows_and_scored_pairs_too(name, fit, tmp_path):
    fitted = fit(tmp_path / "a", rated_rows(), objective=name)
    assert fitted.groups == 8  # the three ratings of a prompt are one group, whose prompt is run once
    seconds = {"chosen_second": 2, "rejected_second": 1}
    scored = [Pair(ASKED, "a good answer", "an answer", chosen_score=2.0, rejected_score=1.0, meta=seconds)] * 3
    fit(tmp_path / "b", scored, objective=name)
    with pytest.raises(InputError, match="row 1: this objective learns from ratings, and the pair has none"):
        fit(tmp_path / "c", [Pair(ASKED, "a", "b")], objective=name)


def test_only_logistic_objectives_give_log_odds(fit, tmp_path):
    for name in (*LOGISTIC, "regression", "thurstone", "dynamic-bradley-terry"):
        reward = fit(tmp_path / name, rows_for(name, 4), objective=name).reward
        assert hasattr(reward, "log_odds_per_unit") == (name in LOGISTIC)


def test_a_margin_moves_the_log_odds(fit, tmp_path):
    for i, (options, odds) in enumerate(
        (({}, True), ({"use_margin": True}, False), ({"use_margin": True, "margin_scale": 0.0}, True))
    ):
        reward = fit(tmp_path / str(i), rows_for("bradley-terry", 2), **options).reward
        assert hasattr(reward, "log_odds_per_unit") == odds


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
