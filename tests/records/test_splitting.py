import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records import Sample, folds_by_prompt, prompt_key, split_by_prompt

ROWS = [Sample(f"q{i % 100}", f"a{i}") for i in range(300)]


def test_no_prompt_is_on_two_sides_and_no_row_is_lost():
    parts = split_by_prompt(ROWS, {"train": 0.7, "valid": 0.1, "test": 0.2})
    keys = {name: {prompt_key(row) for row in rows} for name, rows in parts.items()}
    assert {name: len(k) for name, k in keys.items()} == {"train": 70, "valid": 10, "test": 20}
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["valid"]
    assert sorted(r.completion for rows in parts.values() for r in rows) == sorted(r.completion for r in ROWS)


@given(st.permutations(range(30)))
def test_the_order_of_the_rows_does_not_matter(order):
    rows = [ROWS[i] for i in range(30)]
    parts = split_by_prompt(rows, {"a": 0.5, "b": 0.5})
    again = split_by_prompt([rows[i] for i in order], {"a": 0.5, "b": 0.5})
    assert {r.completion for r in parts["a"]} == {r.completion for r in again["a"]}


def test_another_seed_is_another_split_and_the_same_seed_the_same():
    one, again, two = (split_by_prompt(ROWS, {"a": 0.5, "b": 0.5}, seed=s)["a"] for s in (1, 1, 2))
    assert one == again
    assert one != two


def test_a_few_more_rows_move_only_prompts_next_to_the_cut():
    more = [*ROWS, *(Sample(f"new{i}", "a") for i in range(10))]
    before = {prompt_key(r) for r in split_by_prompt(ROWS, {"a": 0.5, "b": 0.5})["a"]}
    after = {prompt_key(r) for r in split_by_prompt(more, {"a": 0.5, "b": 0.5})["a"]}
    old = {prompt_key(r) for r in ROWS}
    # 10 new prompts shift the cut among the 100 old ones by at most 10
    assert len(before ^ (after & old)) <= 10


def test_folds_test_every_row_once():
    folds = folds_by_prompt(ROWS, 5, seed=3)
    assert sorted(i for fold in folds for i in fold.test) == list(range(300))
    for fold in folds:
        assert len(fold.test) == 60
        assert not {prompt_key(ROWS[i]) for i in fold.test} & {prompt_key(ROWS[i]) for i in fold.train}


def test_bad_fractions_are_refused():
    with pytest.raises(InputError, match=r"must be positive and sum to 1, got a=0.5, b=0.4"):
        split_by_prompt(ROWS, {"a": 0.5, "b": 0.4})
    with pytest.raises(InputError, match="positive"):
        split_by_prompt(ROWS, {"a": 1.5, "b": -0.5})
    with pytest.raises(InputError, match="1 distinct prompts leave none for b"):
        split_by_prompt(ROWS[:1], {"a": 0.9, "b": 0.1})
    with pytest.raises(InputError, match="from 2 to 100"):
        folds_by_prompt(ROWS, 101)
