"""What an algorithm's name stands for is what its line in the table of docs/policy.md says, and what its paper does."""

import inspect
import re
from pathlib import Path

import pytest

from plaudit.policy import advantages, losses
from plaudit.policy.advantages.critic import ValueBased
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.policy.advantages.whitening import ReinforcePlusPlus
from plaudit.policy.online.methods import ONLINE, online

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"


def table():
    """Name to the cells of its line: estimator, surrogate, weights."""
    lines = PAGE.read_text().split("## Methods")[1].split("\n\n")[1].splitlines()[2:]
    found = {}
    for line in lines:
        title, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        name = re.search(r"`([a-z+\-]+(?:\?\S+)?)`", title)
        if name and name[1].partition("?")[0] in ONLINE:
            found[name[1]] = cells
    return found


def code(cell):
    """The first code of a cell."""
    return re.match(r"`([^`]+)`", cell)[1]


def arguments(function, given):
    """All arguments of a loss that have a value, with their defaults."""
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items() if p.default is not p.empty}
    return {**defaults, **given}


def test_every_algorithm_has_a_line():
    assert {name.partition("?")[0] for name in table()} == set(ONLINE)


@pytest.mark.parametrize("name", table())
def test_the_page_says_what_a_name_stands_for(name):
    estimator, surrogate, weights = table()[name]
    method = online(name)[1]
    assert eval(code(estimator), {one: getattr(advantages, one) for one in advantages.__all__}) == method.estimator
    function, _, given = code(surrogate).removesuffix(")").partition("(")
    loss = getattr(losses, function)
    assert method.surrogate.func is loss
    assert arguments(loss, method.surrogate.keywords) == arguments(loss, eval(f"dict({given})"))
    assert code(weights) == method.weights
    assert ("value head" in surrogate) == (method.critic is not None)


def test_what_papers_and_their_code_say():
    """Constants of the catalogue's entries [132], [105], [15], [83], and of the code that they were read in."""
    rlpr = online("rlpr")[1]
    assert (rlpr.surrogate.keywords["clip_low"], rlpr.surrogate.keywords["clip_high"]) == (0.2, 0.27)
    pf_ppo = online("pf-ppo")[1]  # PPO, its advantages normalised over the whole buffer before the filter draws from it
    assert pf_ppo.estimator.of == ValueBased(whiten=True)
    stable = online("stable-reinforce")[1]  # a loss that is a mean over completions of means over their tokens
    assert (stable.estimator.of, stable.estimator.threshold) == (ReinforcePlusPlus(), 3.0)
    assert (stable.surrogate.keywords["clamp"], stable.weights) == ((1e-3, 1e3), "sequence")
    assert online("ema-grpo")[1].weights == "token"  # the default of the trainer that the authors changed
    assert online("cispo")[1].estimator == GroupRelative("group")
