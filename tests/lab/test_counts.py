"""How many: what is no number of instances, members, prompts or completions is one clear line."""

from pathlib import Path

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab import find_experiment, instances
from plaudit.lab.counts import check_counts
from plaudit.lab.members import seeds_of
from plaudit.lab.worlds.arithmetic import draw_problems
from plaudit.lab.worlds.assistant.prepared import Prepared
from plaudit.lab.worlds.assistant.world import World
from plaudit.shaping.groups import group_win_rates
from plaudit.shaping.steps import placed_at_ends


@pytest.fixture(scope="module")
def world():
    return World.drawn(0)


@pytest.fixture(scope="module")
def claim():
    return find_experiment("shaping/potential_shaping").claim


@pytest.mark.parametrize(("count", "said"), [(-1, "-1"), (0, "0"), (1.5, "1.5"), ("2", "'2'")])
def test_instances_are_counted_in_whole_numbers_from_one(claim, count, said):
    with pytest.raises(InputError) as error:
        instances(claim, "confirmatory", count=count)
    assert str(error.value) == f"instances: count is {said}; give a whole number of at least 1"


def test_numbers_that_make_sense_still_do(claim, world):
    assert [i.key for i in instances(claim, "confirmatory", count=np.int64(2))] == ["confirmatory-0", "confirmatory-1"]
    assert len(instances(claim, "development", count=99)) == len(instances(claim, "development")) == 4
    assert world.prompts(0, seed=0) == []
    assert draw_problems(0, seed=0) == []
    check_counts("nobody", least=3, three=3, more=np.int32(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: w.world.prompts(-1, seed=0), "prompts: n is -1; give a whole number of at least 0"),
        (lambda w: w.pairs(-1, seed=0), "pairs: n is -1; give a whole number of at least 0"),
        (lambda w: w.lists(-2, each=4, seed=0), "lists: n is -2; give a whole number of at least 0"),
        (lambda w: w.lists(2, each=0, seed=0), "lists: each is 0; give a whole number of at least 1"),
        (lambda w: w.groups(2, each=-1, seed=0), "groups: each is -1; give a whole number of at least 1"),
        (lambda w: w.pool(0), "pool: prompts is 0; give a whole number of at least 1"),
        (lambda w: w.pool(4, 2.5), "pool: completions is 2.5; give a whole number of at least 1"),
        (lambda w: draw_problems(-1, seed=0), "arithmetic: n is -1; give a whole number of at least 0"),
        (lambda w: seeds_of(0, "pretrain", 0), "seeds_of: count is 0; give a whole number of at least 1"),
        (lambda w: seeds_of(0, "pretrained", 1), "kind 'pretrained' is not known; did you mean 'pretrain'"),
        (lambda w: group_win_rates([], [], n=-1), "n is -1; give the number of samples"),
        (lambda w: placed_at_ends([], [], -1), "placed_at_ends: length is -1; give the completion's number of tokens"),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(call, message, world):
    with pytest.raises(InputError, match=message):
        call(Prepared(world, Path("nowhere")))
    assert not Path("nowhere").exists()
