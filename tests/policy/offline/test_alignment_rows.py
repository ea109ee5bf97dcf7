"""What algorithms make of rows: selections, goals, directions and certainties."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.policy.algorithms import algorithm
from plaudit.policy.offline.data import (
    best_of,
    centred,
    checked_rows,
    consistent_pairs,
    directed_samples,
    goal_conditioned_pairs,
    goal_conditioned_samples,
    goal_words,
    quoted_pairs,
)
from plaudit.records import Message, Pair, Ranked, Rated, Sample
from plaudit.records.rows import Unpaired

ASK, OTHER = (Message("user", "why?"),), (Message("system", "Be brief."), Message("user", "how?"))


def scored(*rewards, prompt=ASK):
    return [Sample(prompt, f"answer {i}", meta={"reward": r}) for i, r in enumerate(rewards)]


def test_the_best_of_each_prompt():
    rows = [*scored(0.1, 0.9, 0.9), *scored(0.3, prompt=OTHER)]
    assert [(s.text, s.meta["reward"]) for s in best_of(rows)] == [("answer 1", 0.9), ("answer 0", 0.3)]
    assert [s.text for s in best_of(rows, keep=2)] == ["answer 1", "answer 2", "answer 0"]
    # half of four, whatever the prompt: the two of 0.9
    assert [s.text for s in best_of(rows, share=0.5)] == ["answer 1", "answer 2"]
    assert [s.text for s in best_of([Ranked(ASK, ("a", "b"), (1.0, 2.0))])] == ["b"]
    assert best_of([*scored(0.1, None)])[0].meta["reward"] == 0.1  # no reward: it has not been scored


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=6))
def test_no_better_one_is_left_out(rewards):
    assert best_of(scored(*rewards))[0].meta["reward"] == max(rewards)


def test_best_of_k_follows_its_law():
    """[119]: of K = 4 draws from (.5, .3, .2), ascending in reward, the best is distributed (.0625, .3471, .5904)."""
    from itertools import product

    chance, law = (0.5, 0.3, 0.2), [0.0, 0.0, 0.0]
    for draw in product(range(3), repeat=4):
        (best,) = best_of([Sample(ASK, str(i), meta={"reward": float(x)}) for i, x in enumerate(draw)])
        law[int(best.meta["reward"])] += math.prod(chance[x] for x in draw)
    assert law == pytest.approx([0.0625, 0.3471, 0.5904], abs=1e-9)


def test_two_goals_a_pair():
    row = Pair(OTHER, "good", "bad", chosen_score=8.0, rejected_score=3.0)
    first, second = goal_conditioned_pairs([row])
    assert (first.chosen, first.rejected, second.chosen, second.rejected) == ("good", "bad", "bad", "good")
    assert first.prompt[0] == Message("system", f"Be brief.\n\n{goal_words(8.0)}")
    assert second.prompt[0].text.endswith(goal_words(3.0))
    assert first.prompt[1:] == OTHER[1:]
    # -(g - r)^2: 0 where the goal is met, -25 five away from it
    assert (first.chosen_score, first.rejected_score) == (0.0, -25.0)
    assert "8" in goal_words(8.0)


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=2, max_size=5).filter(lambda s: len(set(s)) > 1))
def test_relabelling_is_its_own_inverse(scores):
    """Exchanging labels and goals gives the same set of pairs; equal scores, which contradict themselves, give none."""
    made = goal_conditioned_pairs([Ranked(ASK, tuple(map(str, range(len(scores)))), tuple(scores))])
    unequal = sum(a != b for i, a in enumerate(scores) for b in scores[i + 1 :])
    assert len(made) == 2 * unequal
    told = {(p.chosen, p.rejected, p.meta["goal"]) for p in made}
    turned = {(p.rejected, p.chosen, scores[int(p.rejected)]) for p in made}
    assert told == turned


def test_every_completion_is_asked_for_its_score():
    samples = goal_conditioned_samples(scored(0.25, 1.0))
    assert [(s.text, s.prompt[0].text) for s in samples] == [
        ("answer 0", goal_words(0.25)), ("answer 1", goal_words(1.0))
    ]  # fmt: skip


def test_quoted_pairs_keep_both_inequalities_and_the_highest_mean():
    texts = {"x" * 100: 0.9, "y" * 95: 0.5, "z" * 99: 0.75, "w" * 300: 0.1, "v" * 96: 0.85}
    rows = [Sample(ASK, text, meta={"reward": r}) for text, r in texts.items()]
    (pair,) = quoted_pairs(rows)
    # 0.9 and 0.85 differ by less than 0.1; of the others 0.9 with 0.75 has the highest mean, lengths 100 and 99
    assert (pair.chosen_score, pair.rejected_score) == (0.9, 0.75)
    with pytest.raises(InputError, match=r"no prompt has two completions whose scores differ by more than 0.1"):
        quoted_pairs([Sample(ASK, "same", meta={"reward": 0.5})] * 3)
    with pytest.raises(InputError, match="no prompt has two"):  # twice as long: length is not to be taught
        quoted_pairs([Sample(ASK, "x" * 20, meta={"reward": 0.9}), Sample(ASK, "y" * 10, meta={"reward": 0.1})])


def test_scores_are_centred_by_prompt():
    made = centred([*scored(1.0, 3.0), *scored(5.0, prompt=OTHER)])
    assert [row.scores for row in made] == [(-1.0, 1.0)]  # a single completion says nothing
    with pytest.raises(InputError, match="gpo: no prompt has two completions of different scores"):
        centred(scored(1.0, 1.0))


def rated(*aspects):
    return [Rated(ASK, f"answer {i}", aspects={"helpful": a, "brief": b}) for i, (a, b) in enumerate(aspects)]


def test_directions():
    rows = rated((1.0, 0.0), (0.0, 1.0), (0.9, -0.9))
    along = directed_samples(rows, low=0.0, high=0.0, directions=1)
    assert [s.text for s in along] == ["answer 0"]  # v = (1, 0): the first aspect alone
    assert along[0].prompt[0].text == "Generate a response that weighs helpful 100 and brief 0."
    assert [s.text for s in directed_samples(rows, low=90.0, high=90.0, directions=1)] == ["answer 1"]
    # v = (1, -1) / sqrt 2: 0.9 + 0.9 beats 1
    assert [s.text for s in directed_samples(rows, low=-45.0, high=-45.0, directions=1)] == ["answer 2"]
    drawn = directed_samples(rows, directions=5, seed=3)
    assert len(drawn) == 5
    for sample in drawn:
        assert math.hypot(*sample.meta["direction"]) == pytest.approx(1)
    assert [s.prompt for s in drawn] == [s.prompt for s in directed_samples(rows, directions=5, seed=3)]


def test_a_prompt_that_asks_for_a_direction_keeps_it():
    (one,) = directed_samples(rated((1.0, 0.0)), low=-45.0, high=-45.0, directions=1)
    assert one.prompt[0].text == "Generate a response that weighs helpful 71 and brief -71."
    again = [replace(row, prompt=one.prompt) for row in rated((1.0, 0.0), (0.0, 1.0), (0.9, -0.9))]
    (next_one,) = directed_samples(again, directions=5)
    assert (next_one.prompt, next_one.text) == (one.prompt, "answer 2")
    assert next_one.meta["direction"] == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])
    turned = [replace(row, aspects=dict(reversed(list(row.aspects.items())))) for row in again]
    (same,) = directed_samples(turned, directions=5)
    assert (same.prompt, same.text) == (one.prompt, "answer 2")
    # names with signs of their own, and a system that says more
    rows = [Rated((Message("system", "Be kind."), *ASK), "a", aspects={"a.b (c)": 1.0, "d 0": 0.0})]
    (first,) = directed_samples(rows, directions=1)
    (second,) = directed_samples([replace(rows[0], prompt=first.prompt)], directions=3)
    assert second.prompt == first.prompt


def test_certainty_is_the_agreement_of_two_rankings():
    # tau of (1, 2, 3) and (1, 3, 2): (2 - 1) / 3, so c = 2/3; of equal rankings c = 1; their mean 5/6
    rows = [
        Ranked(ASK, ("a", "b", "c"), (1.0, 2.0, 3.0), meta={"previous": [1, 3, 2]}),
        Ranked(ASK, ("a", "b", "c"), (3.0, 2.0, 1.0), meta={"previous": [3, 2, 1]}),
        Ranked(ASK, ("a", "b", "c"), (1.0, 1.0, 1.0), meta={"previous": [3, 2, 1]}),
    ]
    own = consistent_pairs(rows, average=False)
    assert [(p.chosen, p.rejected) for p in own] == [("c", "a"), ("a", "c")]
    assert [p.meta["preference"] for p in own] == pytest.approx([2 / 3, 1.0])
    assert [p.meta["preference"] for p in consistent_pairs(rows)] == pytest.approx([5 / 6, 5 / 6])
    # the row that is left out stands first: nobody gets its certainty of 1/2, nor that of a neighbour
    first = [rows[2], *rows[:2]]
    assert [p.meta["preference"] for p in consistent_pairs(first, average=False)] == pytest.approx([2 / 3, 1.0])
    assert [p.meta["preference"] for p in consistent_pairs(first)] == pytest.approx([5 / 6, 5 / 6])
    with pytest.raises(InputError, match="cream: row 1 has previous None; give ranked rows with previous"):
        consistent_pairs([Ranked(ASK, ("a", "b"), (1.0, 2.0))])


def test_only_what_is_wanted_is_imitated():
    rows = [
        Pair(ASK, "good", "bad"), Unpaired(ASK, "no", False), Unpaired(ASK, "yes", True), Rated(ASK, "rated", 1.0),
        Sample(ASK, "sample"),
    ]  # fmt: skip
    assert [r.completion for r in checked_rows(rows, algorithm("sft"))] == ["good", "yes", "rated", "sample"]
    with pytest.raises(InputError, match="algorithm sft: none of the 1 rows is wanted"):
        checked_rows([Unpaired(ASK, "no", False)], algorithm("sft"))


@pytest.mark.parametrize(
    ("rows", "name", "text"),
    [
        ([Pair(ASK, "a", "b")], "rebel", r"algorithm rebel: row 1 has the scores \[None, None\]"),
        ([Pair(ASK, "a", "b", chosen_score=1.0)], "dpo-reward-augmented", "has the score None; give finite numbers"),
        ([Sample(ASK, "a")], "dpo-reward-augmented", "row 1 is a sample row; give pairs with chosen_score"),
        ([Pair(ASK, "a", "b", chosen_score=1.0, rejected_score=1.0)], "dpo-reward-augmented", "nothing to learn"),
        ([Sample(ASK, "a")], "raft", "raft: row 1 has the score None"),
        (scored(float("nan")), "raft", "raft: row 1 has the score nan"),
        (scored(1.0), "raft?keep=0", "raft: keep is 0 and share 0.0"),
        (scored(1.0), "quote-tuning?score_gap=-1", r"quote-tuning: score_gap is -1\.0"),
        ([Rated(ASK, "a", 1.0)], "dpa", "dpa: row 1 has the aspects none; give rated rows with the same two"),
        (rated((1.0, 2.0)), "dpa?directions=0", "dpa: directions is 0"),
    ],
)
def test_rows_that_do_not_do(rows, name, text):
    with pytest.raises(InputError, match=text):
        checked_rows(rows, algorithm(name))
