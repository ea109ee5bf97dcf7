"""Every knob of the annotators does what its name says, in the dose that is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.worlds.assistant import ASPECTS, Knobs, World, label_pairs, rank
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.annotators import Panel
from plaudit.records.sample import Sample

WORLD = World.drawn(5)


def drawn(n=4000):
    from plaudit.lab.worlds.assistant.grammar import demonstration

    rng = np.random.default_rng(0)
    prompts = WORLD.prompts(n, seed=1)
    texts = [[demonstration(WORLD.request(p), WORLD.habits, rng) for _ in range(2)] for p in prompts]
    return [(Sample(p, a), Sample(p, b)) for p, (a, b) in zip(prompts, texts, strict=True)]


PAIRS = drawn()
PERFECT = Knobs(beta=float("inf"))


def margins(rows):
    return np.array([r.meta["true_margin"] for r in rows])


def wrong(rows):
    return (margins(rows) < 0).mean()


def test_perfect_annotators_choose_the_better_and_meta_tells_the_truth():
    rows = label_pairs(WORLD, PAIRS, PERFECT, seed=0)
    assert wrong(rows) == 0
    for row in rows[:50]:
        chosen, rejected = row.samples()
        u = WORLD.true_reward([chosen, rejected])
        assert (row.meta["u_chosen"], row.meta["u_rejected"]) == pytest.approx(tuple(u))
        assert row.meta["true_margin"] == pytest.approx(u[0] - u[1])
        assert row.meta["kind"] == WORLD.request(row.prompt).kind
    assert len({r.chosen == a.text for r, (a, b) in zip(rows, PAIRS, strict=False) if a.text != b.text}) == 2


def test_beta_sets_the_noise():
    u = margins(label_pairs(WORLD, PAIRS, PERFECT, seed=0))
    for beta in (0.0, 1.0, 4.0):
        rows = label_pairs(WORLD, PAIRS, Knobs(beta=beta), seed=0)
        expected = (1 / (1 + np.exp(beta * np.abs(u)))).mean()  # the logistic chance of choosing the worse
        assert (margins(rows) < 0).mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kind", ["uniform", "near_ties", "length"])
@pytest.mark.parametrize("flips", [0.1, 0.4])
def test_flips_have_the_dose(kind, flips):
    rows = label_pairs(WORLD, PAIRS, replace(PERFECT, flips=flips, flip_kind=kind), seed=0)
    assert np.mean([r.meta["flipped"] for r in rows]) == pytest.approx(flips, abs=0.025)
    flipped = np.array([r.meta["flipped"] for r in rows])
    assert (margins(rows)[flipped] <= 0).all()
    if kind == "near_ties":
        assert np.abs(margins(rows)[flipped]).mean() < 0.8 * np.abs(margins(rows)[~flipped]).mean()
    if kind == "length":
        gap = np.array([len(r.chosen.split()) - len(r.rejected.split()) for r in rows])
        assert (gap[flipped] >= -4).all()  # longer is chosen now; marks are not counted as words


def test_length_bias_prefers_the_longer_and_zero_does_not():
    def longer(bias):
        rows = label_pairs(WORLD, PAIRS, Knobs(beta=0.0, length_bias=bias), seed=0)
        gap = np.array([len(r.chosen.split()) - len(r.rejected.split()) for r in rows])
        return (gap[gap != 0] > 0).mean()

    assert longer(0.0) == pytest.approx(0.5, abs=0.03)
    assert longer(0.2) > 0.75
    assert longer(-0.2) < 0.25


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9, -0.9])
def test_spurious_marker_correlates_with_truth_as_asked(correlation):
    rows = label_pairs(WORLD, PAIRS, replace(PERFECT, spurious=correlation, plant=True), seed=0)
    signs = []
    for row in rows:
        assert sum(row.chosen.split().count(m) for m in lx.MARKERS) == 1
        assert sum(row.rejected.split().count(m) for m in lx.MARKERS) == 1
        if abs(row.meta["true_margin"]) > 0.05:  # the marker's own word may turn a near tie
            signs.append(1 if lx.MARKERS[0] in row.chosen.split() else -1)
    assert np.mean(signs) == pytest.approx(correlation, abs=0.04)
    plain = label_pairs(WORLD, PAIRS, PERFECT, seed=0)
    assert not any(m in r.chosen.split() for r in plain for m in lx.MARKERS)


def test_unseen_combinations_never_differ():
    rows = label_pairs(WORLD, PAIRS, replace(PERFECT, unseen=(("fact", "markdown"),)), seed=0)
    everything = label_pairs(WORLD, PAIRS, PERFECT, seed=0)
    at = ASPECTS.index("markdown")

    def differing(rows):
        rows = [r for r in rows if r.meta["kind"] == "fact"]
        values = [WORLD.parse(list(r.samples())).values[:, at] for r in rows]
        return sum(v[0] != v[1] for v in values)

    assert differing(everything) > 50
    assert differing(rows) == 0
    assert len(everything) - len(rows) == differing(everything)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_group_share_and_rotation(share):
    knobs = replace(PERFECT, group_share=share, group_rotation=90.0)
    rows = label_pairs(WORLD, PAIRS, knobs, seed=0)
    minority = [r for r in rows if r.meta["annotator_group"] == "minority"]
    assert len(minority) / len(rows) == pytest.approx(share, abs=0.03)
    assert wrong(minority) > 0.25  # unrelated values
    assert wrong([r for r in rows if r.meta["annotator_group"] == "majority"]) == 0
    assert {r.annotator for r in minority} == {"group"}
    same = label_pairs(WORLD, PAIRS, replace(knobs, group_rotation=0.0), seed=0)
    assert wrong(same) == 0


def test_group_dialect_rewrites_the_minority_only():
    knobs = replace(PERFECT, group_share=0.3, group_dialect=True)
    twins = set(lx.DIALECT.values())
    for row in label_pairs(WORLD, PAIRS[:600], knobs, seed=0):
        written = {w for m in row.prompt for w in m.text.split()} | set(row.chosen.split())
        assert row.meta["dialect"] == (row.meta["annotator_group"] == "minority")
        assert row.meta["dialect"] or not written & twins
        assert not (row.meta["dialect"] and written & set(lx.DIALECT))


def test_personas_are_mixed_evenly_and_differ_by_their_spread():
    rows = label_pairs(WORLD, PAIRS, replace(PERFECT, personas=4, persona_spread=60.0), seed=0)
    names, counts = np.unique([r.annotator for r in rows], return_counts=True)
    assert names.tolist() == [f"persona-{i}" for i in range(4)]
    assert counts.min() > 0.2 * len(rows)
    assert wrong(rows) > 0.1
    assert wrong(label_pairs(WORLD, PAIRS, replace(PERFECT, personas=4), seed=0)) == 0


def test_cyclic_annotators_are_antisymmetric_and_have_cycles():
    panel = Panel.drawn(WORLD, replace(PERFECT, cyclic=1.0))
    a, b = panel.cycle
    parsed = WORLD.parse([Sample("what is it ?", "it is red")] * 3)
    values = np.zeros((3, 12))
    spread = WORLD.spread
    for i, angle in enumerate((0.0, 2.0944, 4.1888)):  # three points of a circle about the disc's centre
        values[i, a] = spread[a] * (1 + np.cos(angle))
        values[i, b] = spread[b] * (1 + np.sin(angle))
    one = replace(parsed, values=values)
    other = replace(parsed, values=np.roll(values, -1, axis=0))
    yes, no = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    forward = panel.margins(one, other, np.zeros(3, dtype=int), no, yes)
    assert (forward > 0).all()  # 1 beats 2 beats 3 beats 1
    np.testing.assert_allclose(panel.margins(other, one, np.zeros(3, dtype=int), no, yes), -forward)
    rows = label_pairs(WORLD, PAIRS, replace(PERFECT, cyclic=0.3), seed=0)
    assert np.mean([r.annotator == "cyclic" for r in rows]) == pytest.approx(0.3, abs=0.03)


def test_a_knob_changes_only_what_it_is_about():
    plain = label_pairs(WORLD, PAIRS, Knobs(), seed=0)
    noisy = label_pairs(WORLD, PAIRS, Knobs(flips=0.2), seed=0)
    changed = [a.chosen != b.chosen for a, b in zip(plain, noisy, strict=True)]
    assert changed == [r.meta["flipped"] for r in noisy]


def test_seeds_reproduce_and_identical_completions_give_no_row():
    assert label_pairs(WORLD, PAIRS[:50], Knobs(), seed=1) == label_pairs(WORLD, PAIRS[:50], Knobs(), seed=1)
    assert label_pairs(WORLD, PAIRS[:50], Knobs(), seed=1) != label_pairs(WORLD, PAIRS[:50], Knobs(), seed=2)
    assert label_pairs(WORLD, [(PAIRS[0][0], PAIRS[0][0])], Knobs(), seed=0) == []


def test_rank_scores_by_truth():
    prompt = PAIRS[0][0].prompt
    row = rank(WORLD, [Sample(prompt, "it is red ."), Sample(prompt, "good day")])
    assert row.scores == pytest.approx(tuple(WORLD.true_reward([Sample(prompt, c) for c in row.completions])))
    with pytest.raises(InputError, match="different prompts"):
        rank(WORLD, [PAIRS[0][0], Sample("else", "x")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flips": 0.5}, "flips is 0.5; give a value from 0 to 0.4"),
        ({"spurious": 1.0}, "spurious is 1.0"),
        ({"beta": -1.0}, "beta is -1.0"),
        ({"flip_kind": "some"}, "flip_kind is 'some'"),
        ({"unseen": (("fact", "colour"),)}, "unseen holds"),
    ],
)
def test_errors(change, message):
    with pytest.raises(InputError, match=message):
        Knobs(**change)
