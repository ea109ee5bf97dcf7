"""Whether two worlds rank the same methods alike."""

from dataclasses import replace

import numpy as np
import pytest
from small_claims import claim_of

from plaudit.errors import InputError
from plaudit.lab import evidence_page, instances, ranking_agreements
from plaudit.lab.evidence import summarise


def ranked(claim, world, means, **changes):
    """A claim in a world, and runs whose arms have these means; each instance is off by as much for all arms."""
    here = replace(claim, name=f"area/{world}", world=world, arms=tuple(means), **changes)
    rows = instances(claim, "confirmatory")
    runs = {r.key: {arm: {here.metric: mean + i} for arm, mean in means.items()} for i, r in enumerate(rows)}
    return here, runs


def test_rankings_between_worlds(tmp_path):
    claim = replace(claim_of(tmp_path), contrast=("a@20", "b@20"), oracle="best")
    first = ranked(claim, "one", {"a@20": 1.0, "b@20": 2.0, "c@20": 3.0, "d@20": 9.0, "linear@20": 0.0, "best": 20.0})
    # c and b are the other way round, and d is not there; at dose 40 and among controls and oracle all would agree
    means = {"c": 2.0, "a": 1.0, "b": 3.0, "c@40": 9.0, "linear": 0.0, "best": 20.0}
    second = ranked(claim, "two", means, contrast=("a", "b"), ranked_like="area/one")
    results = {c.name: (c, runs) for c, runs in (first, second)}
    (found,) = ranking_agreements(results)
    assert (found.first, found.second, found.worlds) == ("area/one", "area/two", ("one", "two"))
    assert found.methods == ("a", "b", "c")
    # of three pairs of methods two are ordered alike: tau = (2 - 1) / 3; all instances have the same ranking
    assert found.tau.value == found.tau.low == found.tau.high == pytest.approx(1 / 3)
    page = evidence_page(summarise(results), [found])
    assert "| area/one, area/two | one and two | 3: a, b, c | 0.33 [0.33, 0.33] | 1.00 and 1.00 |" in page
    # an instance without one of the methods does not count for its mean: here it would turn the ranking of a and b
    odd = {"a@20": {"u": 99.0}, "c@20": {"u": 0.0}}
    again = ranking_agreements(results | {"area/one": (first[0], first[1] | {"confirmatory-12": odd})})
    assert again[0].tau == found.tau


def test_the_interval_of_an_agreement_says_when_rankings_are_noise(tmp_path):
    claim = replace(claim_of(tmp_path), contrast=("a", "b"))
    means = {"a": 1.0, "b": 2.0, "c": 3.0}
    two = ranked(claim, "two", means, ranked_like="area/one")
    results = {c.name: (c, runs) for c, runs in (ranked(claim, "one", means), two)}
    noise = np.random.default_rng(0)
    for arms in results["area/two"][1].values():
        for numbers in arms.values():
            numbers["u"] += 9 * noise.standard_normal()
    (found,) = ranking_agreements(results)
    assert found.tau.low < 0 < found.tau.high  # means of twelve with a deviation of 9: as unsure as 2.6
    assert found.tau.n == 12
    # the same ranking in every instance; halves of six with a deviation of 9 are as unsure as 3.7
    assert found.within[0] == 1
    assert abs(found.within[1]) < 0.6


def test_rankings_that_are_not_compared(tmp_path):
    claim = replace(claim_of(tmp_path), contrast=("a", "b"))
    first = ranked(claim, "one", {"a": 1.0, "b": 2.0, "c": 3.0})
    second = ranked(claim, "two", {"a": 1.0, "b": 2.0, "c": 3.0})
    results = {c.name: (c, runs) for c, runs in (first, second)}
    assert ranking_agreements(results) == []  # nobody says that they are measured alike
    assert "no experiment here repeats" in evidence_page(summarise(results))
    like = replace(second[0], ranked_like="area/one")
    assert len(ranking_agreements(results | {"area/two": (like, second[1])})) == 1
    assert ranking_agreements({"area/two": (like, second[1])}) == []  # of another area than is shown
    assert ranking_agreements(results | {"area/two": (like, {})}) == []  # not run
    other = replace(like, metric="v")
    with pytest.raises(InputError, match="measure v and u of 3 methods"):
        ranking_agreements(results | {"area/two": (other, second[1])})
    few = replace(like, arms=("a", "d"))
    with pytest.raises(InputError, match="of 1 methods that both have"):
        ranking_agreements(results | {"area/two": (few, second[1])})


def test_whose_ranking_is_repeated_is_no_part_of_the_hash(tmp_path):
    folder, other = tmp_path / "area" / "method", tmp_path / "area" / "one"
    for made in (folder, other):
        made.mkdir(parents=True)
    with pytest.raises(InputError, match="ranked_like names 'area/one', which is no experiment"):
        claim_of(folder, ranked_like="area/one")
    claim_of(other, name="area/one")
    plain, like = claim_of(folder), claim_of(folder, ranked_like="area/one")
    assert (plain.ranked_like, like.ranked_like) == ("", "area/one")
    assert plain.hash == like.hash
