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
from plaudit.records.converting import _BY_REWARD, _ROUTES
from plaudit.records.rewarded import SAMPLED
from plaudit.training.policies.sampled import SAMPLED as TRAINED
from plaudit.training.policies.sampled import sampled_ids

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


def rewarded():
    """A scored file: one without a reward, one alone, two alike."""
    told = [(Q, "a", 1.0), (R, "x", 3.0), (Q, "b", None), (Q, "c", 4.0), (Q, "d", 2)]
    cells = {"outcome": "scored", "language": "en"}
    rows = [Sample(q, text, "ref", "g", meta={"reward": r, "detail": {"i": text}, **cells}) for q, text, r in told]
    same = [Sample((Message("user", "s"),), text, meta={"reward": 0.5}) for text in "yz"]
    return [*rows, *same]


def test_rewards_of_one_prompt_become_pairs():
    done = convert(rewarded(), "pairs", by_reward=True)
    assert [(p.chosen, p.rejected, p.margin) for p in done.rows] == [("c", "d", 2), ("c", "a", 3), ("d", "a", 1)]
    assert [(p.chosen_score, p.rejected_score) for p in done.rows] == [(4, 2), (4, 1), (2, 1)]
    # what is said of single completions has no place beside two
    assert done.rows[0].meta == {"outcome": "scored", "language": "en", "reference": "ref"}
    assert (done.unused, done.why) == (4, "their prompt has no second, different reward")
    (best,) = convert(rewarded(), "pairs", pairs="best-worst", by_reward=True).rows
    assert (best.chosen, best.rejected) == ("c", "a")
    good, bad = convert([best], "unpaired").rows
    assert (good.completion, good.label, bad.completion, bad.label) == ("c", True, "a", False)


def test_rewards_of_one_prompt_become_a_ranking_or_ratings():
    ranked = convert(rewarded(), "ranked", by_reward=True)
    assert [(r.completions, r.scores) for r in ranked.rows] == [(("a", "c", "d"), (1, 4, 2)), (("y", "z"), (0.5, 0.5))]
    assert ranked.rows[0].meta["detail"] == [{"i": "a"}, {"i": "c"}, {"i": "d"}]
    assert (ranked.unused, ranked.why) == (2, "they have no reward, or their prompt has no second one")
    rows = [*rewarded(), Sample(Q, "e", meta={"reward": 0.0, "aspects": {"brief": 1.0, "true": None}})]
    rated = convert(rows, "rated", by_reward=True)
    assert [(r.completion, r.score) for r in rated.rows][:3] == [("a", 1), ("x", 3), ("c", 4)]
    assert rated.rows[-1] == Rated(Q, "e", 0.0, {"brief": 1.0})
    assert (len(rated.rows), rated.unused, rated.why) == (7, 1, "they have no reward")


def test_pairs_of_samples_know_what_was_sampled():
    """A pair carries the tokens of all completions of its prompt: what `plaudit align` reads."""
    assert SAMPLED == TRAINED

    def sample(text, ids, reward, vocabulary="v"):
        column = {"vocabulary": vocabulary, "completions": [[text, ids]]}
        return Sample(Q, text, meta={"reward": reward, SAMPLED: column})

    (pair,) = convert([sample("a", [1], 0.0), sample("b", [2, 3], 1.0)], "pairs", by_reward=True).rows
    assert pair.meta == {SAMPLED: {"vocabulary": "v", "completions": [["a", [1]], ["b", [2, 3]]]}}
    assert sampled_ids(("b", "a"), (pair.meta,) * 2, vocabulary="v") == ((2, 3), (1,))
    (pair,) = convert([sample("a", [1], 0.0), sample("b", [2], 1.0, "w")], "pairs", by_reward=True).rows
    assert pair.meta == {}  # ids of two vocabularies: the text is what is known


def test_samples_are_compared_by_a_reward_only_where_that_is_asked():
    for to in ("pairs", "ranked", "rated"):
        with pytest.raises(InputError, match=f"samples cannot become {to}; plaudit score gives them a reward, which c"):
            convert([Sample(Q, "a"), Sample(Q, "b")], to, by_reward=True)
        with pytest.raises(InputError, match=r"plaudit data convert takes their reward.*they can become prompts$"):
            convert(rewarded(), to)
    rows = [Sample(Q, "a", meta={"reward": 1}), Sample(Q, "b", meta={"reward": []})]
    with pytest.raises(InputError, match=r"convert: sample 2: reward = \[\]: it is list; give a number"):
        convert(rows, "pairs", by_reward=True)


def test_steps_join_to_the_completion():
    (sample,) = convert([Stepwise(Q, ("one", "two"), (1.0, 0.0))], "samples").rows
    assert (sample.completion, sample.steps) == ("one\ntwo", ("one\n", "two"))
    assert sample.meta == {"given_labels": [1.0, 0.0]}


def test_prompts_are_listed_once():
    done = convert([Sample(Q, "a"), Sample(R, "b"), Sample(Q, "c")], "prompts")
    assert [row.prompt for row in done.rows] == [Q, R]
    assert done.unused == 1


def test_an_impossible_conversion_lists_the_possible_ones():
    with pytest.raises(InputError, match="samples cannot become unpaired; they can become prompts"):
        convert([Sample(Q, "a")], "unpaired", by_reward=True)
    with pytest.raises(InputError, match="samples cannot become unpaired; they can become pairs, prompts, ranked, r"):
        convert(rewarded(), "unpaired", by_reward=True)
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
        "samples": [Sample(Q, "a", meta={"reward": 1.0}), Sample(Q, "b", meta={"reward": 0.0})],
    }
    for source, to in [*_ROUTES, *_BY_REWARD]:
        assert to in routes(source, by_reward=True)
        rows = convert(examples[source], to, by_reward=True).rows
        assert rows
        assert {kind_of(row) for row in rows} == {to}


def test_conversational_makes_messages_of_text():
    row = conversational(Pair(Q, "a", (Message("assistant", "b"),)))
    assert row.chosen == (Message("assistant", "a"),)
    assert row.rejected == (Message("assistant", "b"),)
