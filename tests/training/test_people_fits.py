"""Fits of several aspects, of sources and of mixtures: what they read of the rows, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from plaudit.errors import InputError, UnsupportedError
from plaudit.records import Message, Pair, Ranked, Rated, Sample
from plaudit.records.writing import write
from plaudit.rewards.people import users
from plaudit.rewards.registry import load
from plaudit.shaping import DirectionReward
from plaudit.training import FitConfig, fitting, train_reward
from plaudit.training.aspects import aspect_names, aspect_table
from plaudit.training.groups import Group, standardised_aspects
from plaudit.training.methods import Chosen, chosen
from plaudit.training.trainer import RewardTrainer

ASKED = (Message("user", "how are you"),)


def rated(n=12):
    """`good` is helpful; brevity is rated for every other prompt only, and on a scale of its own."""
    rows = []
    for i in range(n):
        prompt = (Message("user", f"question {i}"),)
        for j in range(3):
            more = {"brief": 100.0 - 10 * j} if i % 2 else {}
            rows.append(Rated(prompt, f"{'good ' * j}answer", aspects={"helpful": float(j), **more}))
    return rows


def pairs(n=12):
    return [
        Pair(
            (Message("user", f"question {i}"),), "good good answer", "answer",
            annotator="ab"[i % 2],
            meta={"chosen_aspects": {"helpful": 2.0, "brief": 80.0}, "rejected_aspects": {"helpful": 0.0}},
        )
        for i in range(n)
    ]  # fmt: skip


def test_aspects_of_each_kind_of_row():
    assert aspect_names([*rated(2), *pairs(1)]) == ("helpful", "brief")
    assert aspect_names(pairs(1)[:1]) == ("helpful", "brief")
    table = aspect_table(pairs(1)[0], ("brief", "helpful"), index=0)
    assert table.tolist()[0] == [80.0, 2.0]
    assert math.isnan(table[1, 0])
    ranked = Ranked(ASKED, ("a", "b"), (1.0, 0.0), {"aspects": [{"x": 1.0}, {"x": 2.0}]})
    assert aspect_table(ranked, ("x",), index=0).tolist() == [[1.0], [2.0]]
    lacking = "row 3: this objective learns from aspects, and not every completion of the row has some"
    for row in (
        Rated(ASKED, "a", score=1.0),
        replace(pairs(1)[0], meta={"chosen_aspects": {"x": 1.0}}),
        replace(ranked, meta={"aspects": [{"x": 1.0}]}),
    ):
        with pytest.raises(InputError, match=lacking):
            aspect_table(row, ("x",), index=2)
    with pytest.raises(InputError, match="row 1: aspect 'x' is nan; give a number, or leave it out"):
        aspect_names([Rated(ASKED, "a", aspects={"x": math.nan})])


def test_standardised_by_hand():
    nothing = np.zeros(0, dtype=np.int64)
    none, nan = np.zeros(0, dtype=np.float32), math.nan
    tables = [[[1.0, nan], [3.0, 7.0]], [[nan, 7.0]]]
    groups = [Group((), nothing, nothing, none, none, aspects=np.array(table, dtype=np.float32)) for table in tables]
    moved, units = standardised_aspects(groups)
    assert units == {"centres": [2.0, 7.0], "spreads": [1.0, 1.0]}  # equal ratings keep their unit
    assert moved[0].aspects[:, 0].tolist() == [-1.0, 1.0]
    assert moved[1].aspects[0, 1] == 0
    assert groups[0].key != moved[0].key


def test_aspects_are_on_their_raters_scales(fit, tmp_path):
    fitted = fit(tmp_path, rated(), objective="aspects?weights=1,0", epochs=25.0)
    assert fitted.groups == 12  # the ratings of a prompt share its computation
    assert fitted.reward.head.options["names"] == ["helpful", "brief"]
    assert fitted.reward.head.options["centres"] == pytest.approx([1.0, 90.0])
    reward = load(tmp_path / "model")
    said = reward([Sample(r.prompt, r.completion) for r in rated()])
    helpful = np.array([r.aspects["helpful"] for r in rated()])
    assert np.abs(said.aspects["helpful"] - helpful).mean() < 0.3
    # learned from half of the rows and said of all: 100, 90, 80
    assert np.abs(said.aspects["brief"] - (100 - 10 * helpful)).mean() < 4
    offset, scale = reward.manifest.offset, reward.manifest.scale
    assert said.reward == pytest.approx((said.aspects["helpful"] - offset) / scale, abs=1e-9)
    short = DirectionReward(reward, {"brief": 1.0})([Sample(ASKED, "answer"), Sample(ASKED, "good good answer")])
    assert short.reward[0] > short.reward[1]
    by_name = load(f"combine/direction?of={tmp_path / 'model'}&direction=brief:2")
    assert by_name([Sample(ASKED, "answer")]).reward == pytest.approx(short.reward[:1], abs=1e-6)


def test_gates_follow_the_prompt(fit, tmp_path):
    """Half of the prompts ask for brevity, the other half for help; the aspects are opposed."""
    rows = []
    for i in range(24):
        asked = (Message("user", f"{'short please' if i % 2 else 'help me well'} {i}"),)
        good, bare = ("good good answer", {"helpful": 2.0, "brief": 0.0}), ("answer", {"helpful": 0.0, "brief": 2.0})
        a, b = (bare, good) if i % 2 else (good, bare)
        rows.append(Pair(asked, a[0], b[0], meta={"chosen_aspects": a[1], "rejected_aspects": b[1]}))
    reward = fit(tmp_path, rows, objective="gated-aspects", epochs=20.0).reward
    scores = reward([s for row in rows for s in row.samples()]).reward.reshape(-1, 2)
    assert (scores[:, 0] > scores[:, 1]).mean() > 0.9
    assert load(tmp_path / "model").head.outputs == 5
    # ratings beside pairs fit; alone, or with rankings that prefer nothing, they leave the gate as it was drawn
    both = [*rated(4), *rows[:4]]
    assert np.isfinite(fit(tmp_path / "both", both, objective="gated-aspects").losses).all()
    level = Ranked(ASKED, ("a", "b"), (1.0, 1.0), {"aspects": [{"helpful": 1.0}, {"helpful": 2.0}]})
    message = "objective gated-aspects: none of the 13 rows holds a preference.* or use the objective aspects"
    with pytest.raises(InputError, match=message):
        fit(tmp_path / "rated", [*rated(4), level], objective="gated-aspects")


def test_sources_need_a_name_and_accumulated_steps_add_up(fit, tmp_path):
    with pytest.raises(InputError, match="row 1: this objective weighs sources against each other"):
        fit(tmp_path / "a", [replace(r, annotator=None) for r in pairs()], objective="balanced-sources")
    with pytest.raises(InputError, match="balanced-sources: normalise is 'l1'; give one of none, l2, loss"):
        fit(tmp_path / "b", pairs(), objective="balanced-sources?normalise=l1")
    one = [replace(r, annotator="a") for r in pairs()]
    plain, alone = (fit(tmp_path / n, one, objective=n).reward for n in ("bradley-terry", "balanced-sources"))
    samples = [s for r in one for s in r.samples()]
    assert np.allclose(plain(samples).reward, alone(samples).reward, atol=1e-4)  # one source is Bradley-Terry


def test_the_louder_source_does_not_decide_alone(fit, tmp_path):
    """Nine of ten pairs prefer long completions; the other source prefers good ones. The two do not conflict."""
    rows = [
        Pair(
            (Message("user", f"q {i}"),), *(("good answer", "bad answer") if i % 10 == 0 else ("x x x x", "x")),
            annotator="few" if i % 10 == 0 else "many",
        )
        for i in range(40)
    ]  # fmt: skip
    for objective in ("balanced-sources", "balanced-sources?normalise=loss%2B", "balanced-sources?normalise=loss+"):
        reward = fit(tmp_path / objective[-6:], rows, objective=objective, epochs=15.0, batch_size=20).reward
        said = reward([Sample(ASKED, t) for t in ("good answer", "bad answer", "x x x x", "x")]).reward
        assert said[0] > said[1]
        assert said[2] > said[3]


def test_heads_and_their_refusals(fit, tmp_path):
    assert chosen("mixture?experts=3").head.outputs == 6
    assert chosen("community?width=4").head.network == {"completion": 4, "prompt": 4}
    assert chosen("aspects").head_for(rated(2)).options["names"] == ["helpful", "brief"]
    for text, message in (
        ("mixture?experts=0", "experts is 0 and entropy_coef 0.5; give at least 1 and at least 0"),
        ("community?width=0", "width is 0 and margin 0.3"),
        ("gated-aspects?gate_coef=-1", "gate_coef is -1"),
    ):
        with pytest.raises(InputError, match=message):
            _ = chosen(text).head
    with pytest.raises(InputError, match=r"weights are \[1.0\] for the aspects \['helpful', 'brief'\]"):
        fit(tmp_path, rated(2), objective="aspects?weights=1")


def test_one_expert_trains_as_bradley_terry_does(fit, parameters, tmp_path):
    """The prompt's part of the head gets no gradient, so the score alone is fitted."""
    fitted = fit(tmp_path, pairs(), objective="mixture?experts=1", weight_decay=0.0)
    reward = fitted.reward
    network = reward.model.score
    torch.manual_seed(0)
    assert fitted.losses[0] == pytest.approx(math.log(2), abs=0.4)  # log 2 at equal scores: no entropy of one share
    before = [p.clone() for p in network.prompt.parameters()]
    again = fit(tmp_path / "more", pairs(), objective="mixture?experts=1", weight_decay=0.0, epochs=3.0)
    after = list(again.reward.model.score.prompt.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_preferences_by_aspect_fit_an_output_an_aspect(fit, tmp_path):
    """`good` makes an answer helpful, and takes from its brevity; of every other pair only the first is said."""
    rows = [
        Pair(
            (Message("user", f"question {i}"),), "good good answer", "answer",
            meta={"aspect_preferences": {"helpful": 1.0, **({"brief": 0.0} if i % 2 else {})}},
        )
        for i in range(16)
    ]  # fmt: skip
    fitted = fit(tmp_path, rows, objective="aspect-preferences?weights=1,0", epochs=15.0)
    assert fitted.reward.head.options["names"] == ["helpful", "brief"]
    said = load(tmp_path / "model")([Sample(ASKED, "good good answer"), Sample(ASKED, "answer")])
    assert said.aspects["helpful"][0] > said.aspects["helpful"][1] + 0.5
    assert said.aspects["brief"][0] < said.aspects["brief"][1] - 0.5
    assert said.reward[0] > said.reward[1]  # the score is the first aspect, as its weights say


def test_a_user_model_is_fitted_beside_the_weights(small, tmp_path, monkeypatch):
    """Half of the people like `good`, the others dislike it; a person is told by two pairs."""
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    rows = []
    for i in range(48):
        both = f"a good answer {i}", f"an answer {i}"
        liked, other = both if i % 4 < 2 else both[::-1]
        rows.append(Pair((Message("user", f"question {i}"),), liked, other, annotator=f"person {i % 4}"))
    config = FitConfig(
        objective="variational?steps=400&context=4",
        epochs=4.0,
        learning_rate=3e-3,
        batch_size=4,
        max_length=96,
    )
    trained = train_reward(rows, backbone=small, config=config, out=tmp_path)
    assert trained.facts["pairs"] == 48
    assert load(tmp_path / "model").log_odds_per_unit > 0  # of whoever is not known
    asked = [(Message("user", f"question {i}"),) for i in range(50, 58)]
    test = [Sample(p, f"{kind} answer {i}") for kind in ("a good", "an") for i, p in enumerate(asked)]
    for person, likes in ((0, True), (2, False)):
        write(tmp_path / f"{person}.jsonl", [r for r in rows if r.annotator == f"person {person}"][:4])
        reward = load(f"personal/variational?of={tmp_path / 'model'}&context={tmp_path / f'{person}.jsonl'}")
        said = reward(test).reward
        assert ((said[:8] > said[8:]) == likes).mean() > 0.8


def annotated(n=6):
    """Pairs of two people."""
    return [
        Pair((Message("user", f"question {i}"),), f"a good answer {i}", f"an answer {i}", annotator=f"person {i % 2}")
        for i in range(n)
    ]


VARIATIONAL = FitConfig(objective="variational?steps=3&context=2", epochs=1.0, batch_size=2, max_length=96)


def test_a_model_that_users_cannot_be_fitted_to_is_refused_before_it_is_trained(small, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "has_read_head", lambda model: False)  # as of an encoder
    monkeypatch.setattr(fitting, "run_steps", lambda *a, **k: pytest.fail("it was trained"))
    with pytest.raises(UnsupportedError, match="its score is read by 'classification', not at the last token"):
        train_reward(annotated(), backbone=small, config=VARIATIONAL, out=tmp_path)


def test_killed_while_users_are_fitted_nothing_is_trained_again(small, tmp_path, monkeypatch):
    def killed(self, reward, rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Chosen, "fit_beside", killed)
        with pytest.raises(KeyboardInterrupt):
            train_reward(annotated(), backbone=small, config=replace(VARIATIONAL, save_steps=1), out=tmp_path)
    assert not (tmp_path / "model").exists()  # it would open as a model without its users
    stepped = []
    step = RewardTrainer.training_step
    monkeypatch.setattr(RewardTrainer, "training_step", lambda *a, **k: stepped.append(1) or step(*a, **k))
    train_reward(annotated(), backbone=small, config=replace(VARIATIONAL, save_steps=1), out=tmp_path)
    assert not stepped
    assert (tmp_path / "model" / users.FILE).is_file()
