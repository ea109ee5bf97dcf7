import pytest

from plaudit.errors import InputError
from plaudit.records import (
    Message,
    Pair,
    Ranked,
    Rated,
    Sample,
    Stepwise,
    Unpaired,
    conversational,
    convert,
    kind_of,
    routes,
)
from plaudit.records.converting import _ROUTES

Q, R = (Message("user", "q"),), (Message("user", "r"),)


def test_a_ranking_gives_all_pairs_of_different_scores():
    # scores 1, 3, 3, 2: of six pairs one ties, so five; the margins are the differences
    row = Ranked(Q, ("a", "b", "c", "d"), (1.0, 3.0, 3.0, 2.0), {"x": 1})
    rows = convert([row], "pairs").rows
    found = {(p.chosen, p.rejected): p.margin for p in rows}
    assert found == {("b", "d"): 1, ("b", "a"): 2, ("c", "d"): 1, ("c", "a"): 2, ("d", "a"): 1}
    assert rows[0].meta == {"x": 1}
    best = convert([row], "pairs", pairs="best-worst").rows
    assert [(p.chosen, p.rejected, p.chosen_score, p.rejected_score) for p in best] == [("b", "a", 3.0, 1.0)]


def test_level_rankings_are_counted_not_lost():
    done = convert([Ranked(Q, ("a", "b"), (1.0, 1.0)), Ranked(R, ("a", "b"), (1.0, 0.0))], "pairs")
    assert (len(done.rows), done.unused, done.why) == (1, 1, "all their completions have the same score")


def test_pairs_keep_what_they_know():
    pair = Pair(Q, "a", "b", margin=2.0, chosen_score=5.0, annotator="ann", meta={"x": 1})
    good, bad = convert([pair], "unpaired").rows
    assert good == Unpaired(Q, "a", True, {"x": 1, "margin": 2.0, "annotator": "ann", "given_score": 5.0})
    assert (bad.completion, bad.label) == ("b", False)
    first, second = convert([pair], "samples").rows
    assert first.group == second.group
    assert (first.meta["preferred"], second.meta["preferred"]) == (True, False)


def test_good_and_bad_of_one_prompt_become_pairs():
    rows = [Unpaired(Q, "a", True), Unpaired(R, "x", True), Unpaired(Q, "b", False), Unpaired(Q, "c", False)]
    done = convert(rows, "pairs")
    assert [(p.chosen, p.rejected) for p in done.rows] == [("a", "b"), ("a", "c")]
    assert done.unused == 1


def test_ratings_of_one_prompt_become_a_ranking():
    rows = [
        Rated(Q, "a", 1.0, meta={"k": "x", "w": 1}),
        Rated(R, "z", 9.0),
        Rated(Q, "b", 4.0, meta={"k": "x", "w": 2}),
    ]
    done = convert(rows, "ranked")
    assert done.rows == (Ranked(Q, ("a", "b"), (1.0, 4.0), {"k": "x", "w": [1, 2]}),)
    assert done.unused == 1
    assert [(p.chosen, p.rejected) for p in convert(rows, "pairs").rows] == [("b", "a")]


def test_steps_join_to_the_completion():
    (sample,) = convert([Stepwise(Q, ("one", "two"), (1.0, 0.0))], "samples").rows
    assert (sample.completion, sample.steps) == ("one\ntwo", ("one\n", "two"))
    assert sample.meta == {"given_labels": [1.0, 0.0]}


def test_prompts_are_listed_once():
    done = convert([Sample(Q, "a"), Sample(R, "b"), Sample(Q, "c")], "prompts")
    assert [row.prompt for row in done.rows] == [Q, R]
    assert done.unused == 1


def test_an_impossible_conversion_lists_the_possible_ones():
    with pytest.raises(InputError, match="samples cannot become pairs; they can become prompts"):
        convert([Sample(Q, "a")], "pairs")
    with pytest.raises(InputError, match="pairs cannot become rated; they can become prompts, samples, unpaired"):
        convert([Pair(Q, "a", "b")], "rated")
    with pytest.raises(InputError, match="rows of one kind are needed, got pairs, samples"):
        convert([Pair(Q, "a", "b"), Sample(Q, "a")], "prompts")


def test_every_route_gives_the_kind_that_it_names():
    examples = {
        "ranked": [Ranked(Q, ("a", "b"), (1.0, 0.0))],
        "pairs": [Pair(Q, "a", "b")],
        "unpaired": [Unpaired(Q, "a", True), Unpaired(Q, "b", False)],
        "rated": [Rated(Q, "a", 1.0), Rated(Q, "b", 0.0)],
        "stepwise": [Stepwise(Q, ("a",), (1.0,))],
    }
    for source, to in _ROUTES:
        assert to in routes(source)
        rows = convert(examples[source], to).rows
        assert rows
        assert {kind_of(row) for row in rows} == {to}


def test_conversational_makes_messages_of_text():
    row = conversational(Pair(Q, "a", (Message("assistant", "b"),)))
    assert row.chosen == (Message("assistant", "a"),)
    assert row.rejected == (Message("assistant", "b"),)
