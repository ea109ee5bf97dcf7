"""What each objective says of rows that lack what it learns from, or have it out of range."""

import pytest
from method_rows import ASKED

from plaudit.errors import InputError
from plaudit.records import Message, Pair, Ranked, Rated, Sample, Unpaired, convert
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.entry import train_reward


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"labelled": False}, "objective internal-agreement: none of the 1 pairs is labelled; leave labelled out"),
        ({}, "none of the 1 rows has labelled false, and the two heads have nothing to agree about"),
        ({"labelled": True}, "none of the 1 rows has labelled false, and the two heads have nothing to agree about"),
        ({"labelled": "no"}, "row 1: labelled is 'no'; give true, or false where it is not known which is better"),
    ],
)
def test_pairs_without_labels_are_refused_alone(meta, message, fit, tmp_path):
    with pytest.raises(InputError, match=message):
        fit(tmp_path, [Pair(ASKED, "a", "b", meta=meta)], objective="internal-agreement")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "scaled-bradley-terry",
            "row 1: this objective learns from the strength of a preference, and the pair has none",
        ),
        ("soft-bradley-terry", "row 1: this objective learns from soft labels, and the row has none"),
        ("judged-bradley-terry", "row 1: this objective weighs pairs by repeated judgements"),
        ("two-raters", "row 1: this objective learns from two raters, and the row has second None"),
        ("two-ratings", "row 1: this objective learns from ratings, and the pair has none"),
        ("aspect-preferences", "row 1: this objective learns from preferences by aspect, and the row has .* None"),
        ("variational", "row 1: this objective learns who prefers what, and takes pairs that say whose they are"),
    ],
)
def test_missing_labels_are_named(name, message, fit, tmp_path):
    with pytest.raises(InputError, match=message):
        fit(tmp_path, [Pair(ASKED, "a", "b")], objective=name)


def by(*annotators):
    return [Pair(ASKED, f"a {i}", "b", annotator=who) for i, who in enumerate(annotators)]


ALIKE = [Rated(ASKED, "a", 3.0), Rated(ASKED, "b", 3.0)]
SAME = Pair(ASKED, "a", "b", meta={"chosen_aspects": {"x": 1, "y": 2}, "rejected_aspects": {"x": 1, "y": 2}})
OTHER = Pair(ASKED, "a", "b", meta={"chosen_aspects": {"x": 2}, "rejected_aspects": {"x": 1}})
APART = [Rated((Message("user", f"q {i}"),), "a", 1.0 + i) for i in range(3)]


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("dynamic-bradley-terry", [Pair(ASKED, "a", "b")], "no row has a margin or scores that differ, and without"),
        ("dynamic-bradley-terry", [Pair(ASKED, "a", "b", margin=0.0)], "no row has a margin or scores that differ"),
        ("variational", by("x", "x"), "all rows are of annotator 'x', and this objective learns how people differ"),
        ("rating-distribution?fidelity_coef=1", APART, "fidelity_coef compares the completions of a prompt, and no"),
        ("cotraining?noise=2", by("x"), "objective cotraining: noise is 2"),
        ("cotraining?ramp=-1", by("x"), "objective cotraining: ramp is -1"),
        ("plackett-luce?top=-1", [Ranked(ASKED, ("a", "b"), (1.0, 0.0))], "objective plackett-luce: top is -1; give"),
        ("variational?context=0", by("x", "y", "x"), "objective variational: context is 0; give at least 1"),
        ("variational?beta=-1", by("x", "y", "x"), "objective variational: beta is -1; give at least 0"),
        ("mixture?experts=2&experts=3", by("x"), "option 'experts' is given twice in 'experts=2&experts=3'"),
        *((name, [Ranked(ASKED, ("a", "b"), (1.0, 1.0))], "row 1: all 2 completions have the same score; nothing to")
          for name in ("bradley-terry", "cross-encoder")),
    ],
)  # fmt: skip
def test_labels_that_teach_nothing_are_refused(name, rows, message, fit, tmp_path):
    with pytest.raises(InputError, match=message):
        fit(tmp_path, rows, objective=name)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("dynamic-bradley-terry", [Pair(ASKED, "a", "b"), Pair(ASKED, "a", "c", margin=1.0)]),
        ("dynamic-bradley-terry", [Ranked(ASKED, ("a", "b"), (1.0, 0.0))]),
        ("balanced-sources", by("x", "y")),
        ("rating-distribution?fidelity_coef=1", [APART[0], *ALIKE]),
        ("aspects", [SAME, OTHER]),
    ],
)
def test_where_some_rows_teach_something_they_are_taken(name, rows, fit, tmp_path):
    assert fit(tmp_path, rows, objective=name).groups


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        *((name, ALIKE, "all 2 ratings are 3") for name in
          ("regression", "huber", "gaussian", "quantile", "evidential", "ordinal", "beliefs", "rating-distribution")),
        ("aspects", [SAME], "no aspect's ratings differ"),
        ("regression", [*ALIKE, Rated(ASKED, "c", 2.0)], None),
        ("aspects", [SAME, OTHER], None),
        ("bradley-terry", [Pair(ASKED, "a", "b")], None),
    ],
)  # fmt: skip
def test_equal_ratings_are_told(name, rows, said, small, tmp_path):
    lines = train_reward(rows, backbone=small, config=FitConfig(objective=name, max_length=64), out=tmp_path).lines()
    assert [line for line in lines if "nothing to learn" in line] == (
        [f"{said}: there was nothing to learn from"] if said else []
    )


def levels_of(score, good=2.0):
    """Seven rows whose labels every objective of levels can read, and an eighth of this rating."""
    return [Rated(ASKED, f"a {i}", x, meta={"second": 2}) for i, x in enumerate([good] * 7 + [score])]


def strengths_of(**last):
    return [*[Pair(ASKED, "a", "b", margin=1.0)] * 7, Pair(ASKED, "a", "b", **last)]


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        *((name, levels_of(6.0), "row 8: a rating is 6, and this objective takes whole levels, 1 to 5; set its levels")
          for name in ("ordinal", "beliefs", "two-ratings")),
        ("ordinal?levels=3", levels_of(1.5), "row 8: a rating is 1.5, and this objective takes whole levels, 1 to 3"),
        ("rating-distribution", levels_of(9.0), "row 8: a rating is 9, and this objective takes ratings from 1 to 5"),
        ("rating-distribution", levels_of(0.0, 2.5), "row 8: a rating is 0, and this objective takes ratings from 1"),
        ("dynamic-bradley-terry", strengths_of(margin=-1.0), "row 8: margin is -1, so rejected would be the better"),
        ("scaled-bradley-terry", strengths_of(margin=-1.0), "row 8: margin is -1, so rejected would be the better"),
        ("variational", [Pair(ASKED, "a", "b", annotator=str(i)) for i in range(4)],
         "all 4 annotators have one pair each"),
        ("aspect-preferences", [Pair(ASKED, "a", "b", meta={"aspect_preferences": {"x": x}}) for x in (0.5, 1.5)],
         "row 2: aspect_preferences of 'x' is 1.5; give a probability, 0 to 1"),
        ("aspect-preferences", [Ranked(ASKED, ("a", "b"), (1.0, 0.0), {"aspect_preferences": {"x": 1}})],
         "row 1: this objective learns from preferences by aspect"),
        ("combined-strength", strengths_of(chosen_score=1.0, rejected_score=3.0),
         "row 8: chosen_score is 1.0 and rejected_score 3.0, so rejected would be the better"),
    ],
)  # fmt: skip
def test_labels_out_of_range_are_named_before_training(name, rows, message, fit, tmp_path):
    with pytest.raises(InputError) as error:
        fit(tmp_path, rows, objective=name, batch_size=1)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Rated(ASKED, "a", 2.0), "row 1: this objective learns from two ratings .* has second None; give rated rows"),
        (Rated(ASKED, "a", 2.0, meta={"second": True}), "has second True"),
        (Rated(ASKED, "a", 2.0, meta={"second": 1.5}), "row 1: a rating is 1.5, and this objective takes whole levels"),
        (Pair(ASKED, "a", "b", chosen_score=2.0, rejected_score=1.0), r"second \[None, None\]"),
        (Ranked(ASKED, ("a", "b"), (2.0, 1.0), {"second": [1.0]}), r"second \[1.0\]"),
    ],
)
def test_a_missing_second_rating_is_named(row, message, fit, tmp_path):
    with pytest.raises(InputError, match=message):
        fit(tmp_path, [row], objective="two-ratings")


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("bradley-terry", Unpaired(ASKED, "a", True),
         "row 1: an unpaired row holds no preference; convert it first (plaudit data convert --to pairs)"),
        ("plackett-luce", Rated(ASKED, "a", 1.0),
         "row 1: a rated row holds no preference; convert it first (plaudit data convert --to pairs)"),
        ("scaled-bradley-terry", Rated(ASKED, "a", 1.0),
         "row 1: a rated row holds no preference; convert it first (plaudit data convert --to ranked)"),
        ("regression", Unpaired(ASKED, "a", True),
         "row 1: an unpaired row is none that objective regression learns from; it needs rated rows, ranked rows with "
         "scores, or pairs with chosen_score and rejected_score"),
        ("aspects", Unpaired(ASKED, "a", True),
         "row 1: an unpaired row is none that objective aspects learns from; it needs rated rows with aspects, or "
         "pairs with chosen_aspects and rejected_aspects"),
        ("margin-regression", Unpaired(ASKED, "a", True),
         "row 1: an unpaired row is none that objective margin-regression learns from; it needs pairs with margin or "
         "both scores, ranked rows"),
        ("soft-bradley-terry", Rated(ASKED, "a", 1.0),
         "row 1: a rated row is none that objective soft-bradley-terry learns from; it needs pairs with preference, a "
         "probability"),
        ("aspect-preferences", Rated(ASKED, "a", 1.0),
         "row 1: a rated row is none that objective aspect-preferences learns from; it needs pairs with "
         "aspect_preferences, name to a probability"),
        ("variational", Rated(ASKED, "a", 1.0),
         "row 1: a rated row is none that objective variational learns from; it needs pairs with annotator, who occurs "
         "again"),
        ("dynamic-bradley-terry", Rated(ASKED, "a", 1.0),
         "row 1: a rated row holds no preference; convert it first (plaudit data convert --to pairs)"),
    ],
)  # fmt: skip
def test_rows_of_another_kind_are_told_what_helps(name, row, message, small, tmp_path):
    with pytest.raises(InputError) as error:
        train_reward([row], backbone=small, config=FitConfig(objective=name), out=tmp_path)
    assert str(error.value) == message


def test_what_a_message_says_to_convert_can_be_trained_on_then(small, tmp_path):
    """Ratings of one prompt become a ranking, whose differences are strengths."""
    rated = [Rated(ASKED, "good", 3.0), Rated(ASKED, "bad", 1.0)]
    rows = convert(rated, to="ranked").rows
    config = FitConfig(objective="scaled-bradley-terry", epochs=1.0, max_length=64)
    assert train_reward(rows, backbone=small, config=config, out=tmp_path).facts["pairs"] == 1


@pytest.mark.parametrize("rated", [False, True])
def test_a_row_without_room_is_named(rated, fit, tmp_path):
    told = (Message("system", "be brief " * 90), Message("user", "q"))
    rows = [Rated(ASKED, "a", 2.0), Rated(told, "a", 1.0)] if rated else [Pair(ASKED, "a", "b"), Pair(told, "a", "b")]
    with pytest.raises(InputError, match="row 2: truncation: template and system message alone exceed max_length 96"):
        fit(tmp_path, rows, objective="regression" if rated else "bradley-terry")


def test_samples_are_told_the_way_to_pairs(small, tmp_path):
    config = FitConfig(objective="bradley-terry")
    with pytest.raises(InputError, match=r"row 1: .* give the samples rewards \(plaudit score\), then convert them"):
        train_reward([Sample(ASKED, "a")], backbone=small, config=config, out=tmp_path)


def test_a_model_is_not_written_over_the_one_that_it_starts_from(small, tmp_path):
    rows, config = [Pair(ASKED, "good", "bad")], FitConfig(epochs=1.0, max_length=64)
    train_reward(rows, backbone=small, config=config, out=tmp_path / "run")
    first = Backbone(str(tmp_path / "run" / "model"))
    for named in (first, Backbone(str(tmp_path / "run"))):
        with pytest.raises(InputError, match=r"run/model is or holds .*run/model, which is read; name another folder"):
            train_reward(rows, backbone=named, config=config, out=tmp_path / "run")
    again = train_reward(rows, backbone=first, config=config, out=tmp_path / "next")
    assert again.facts["pairs"] == 1
    assert not any("from scratch" in line for line in again.lines())


@pytest.mark.parametrize(("rate", "told"), [(1e-5, True), (1e-3, False)])
def test_a_learning_rate_for_pretrained_models_is_told_from_scratch(rate, told, small, tmp_path):
    config = FitConfig(epochs=1.0, max_length=64, learning_rate=rate)
    lines = train_reward([Pair(ASKED, "good", "bad")], backbone=small, config=config, out=tmp_path).lines()
    assert ("learning rate 1e-05 is one for pretrained models; a model from scratch wants about 1e-3" in lines) == told
