"""All attacks on one reward: the table, and one call that makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plaudit.audit.attacks.constant import null_model
from plaudit.audit.attacks.dressing import dressed
from plaudit.audit.attacks.ground import FEWEST, Truth
from plaudit.audit.attacks.keys import one_token, opener
from plaudit.audit.attacks.ladder import claims
from plaudit.audit.attacks.orders import position
from plaudit.audit.attacks.rewriting import repetition, style
from plaudit.audit.attacks.searched import search
from plaudit.audit.attacks.triggers import back_door
from plaudit.audit.checks import Check
from plaudit.audit.compared import ComparedOnce
from plaudit.audit.scored import Scored
from plaudit.errors import InputError, nearest
from plaudit.records.rows import Pair
from plaudit.rewards.base import Comparison, Reward

Needs = Literal["reward", "comparison"]


@dataclass(frozen=True)
class Options:
    """What all attacks are told.

    Attributes:
        budget: samples that each of the searches may score at most.
        prompts: the most prompts that an attack is made on.
        truth: what completions are truly worth; None where nobody can say.
        log: a folder for the search's durable log, or None.
        vocabulary: words that a back door may hide behind, beside those of the completions.
        seed: of everything random.
        resamples: number of bootstrap resamples.
    """

    budget: int = 8000
    prompts: int = 200
    truth: Truth | None = None
    log: Path | None = None
    vocabulary: Sequence[str] = ()
    seed: int = 0
    resamples: int = 2000

    def common(self) -> dict[str, Any]:
        """Seed and resamples, as every check takes them."""
        return {"seed": self.seed, "resamples": self.resamples}

    def attack(self) -> dict[str, Any]:
        """What attacks on a reward take besides."""
        return {**self.common(), "prompts": self.prompts, "truth": self.truth}


@dataclass(frozen=True)
class Attack:
    """One line of the table.

    Attributes:
        run: from pairs, the reward or comparison, and options to the checks.
        tests: what it tests, in a line.
        needs: what it is made on.
    """

    run: Callable[[Sequence[Pair], Any, Options], tuple[Check, ...]]
    tests: str
    needs: Needs = "reward"


def _search(pairs: Sequence[Pair], reward: Reward, o: Options) -> tuple[Check, ...]:
    prompts = max(FEWEST, min(48, o.budget // 96, o.prompts))
    rounds = max(1, min(12, o.budget // (8 * prompts)))
    log = None if o.log is None else o.log / "search.log"
    return search(pairs, reward, truth=o.truth, prompts=prompts, rounds=rounds, log=log, **o.common())


ATTACKS: Mapping[str, Attack] = {
    "one-token": Attack(lambda p, r, o: (one_token(p, r, **o.attack()),), "a single mark as the whole response [57]"),
    "opener": Attack(lambda p, r, o: (opener(p, r, **o.attack()),), "an opener of reasoning as the response [57]"),
    "null-model": Attack(
        lambda p, r, o: (null_model(p, r, calls=o.budget, **o.attack()),), "one searched constant for all prompts [209]"
    ),
    "back-door": Attack(
        lambda p, r, o: (back_door(p, r, calls=o.budget, vocabulary=o.vocabulary, **o.attack()),),
        "a trigger string, searched for [4]",
    ),
    "claims": Attack(lambda p, r, o: claims(p, r, **o.attack()), "from sycophancy to tampering, in six rungs [197]"),
    "style": Attack(lambda p, r, o: style(p, r, **o.attack()), "length, markdown, politeness, hedging, flattery"),
    "repetition": Attack(lambda p, r, o: (repetition(p, r, **o.attack()),), "a sentence that is said again [7]"),
    "search": Attack(_search, "black-box search and its targeted form [218]; needs a true reward or verifier"),
    "position": Attack(lambda p, c, o: position(p, c, **o.common()), "the order of two completions", "comparison"),
    "dressed": Attack(
        lambda p, c, o: dressed(p, c, truth=o.truth, **o.common()), "rewrites and claims of one side", "comparison"
    ),
}
"""Name to attack, in the order in which they are made."""


def run_attacks(
    pairs: Sequence[Pair], reward: Reward | Comparison, *, only: Sequence[str] = (), budget: int = 8000,
    prompts: int = 200, truth: Truth | None = None, log: str | Path | None = None, vocabulary: Sequence[str] = (),
    seed: int = 0, resamples: int = 2000,
) -> tuple[Check, ...]:  # fmt: skip
    """Makes the attacks that fit the reward (or comparison); what was scored for one is there for the next.

    Args:
        pairs: held-out pairs, at least one.
        reward: a reward or a comparison; pass a `Scored` to share scores with other parts of an audit.
        only: names out of `ATTACKS`; all that fit by default.
        budget: samples that each search (null model, back door, black-box search) may score at most.
        prompts: the most prompts that an attack is made on.
        truth: what completions are truly worth: deserved gains are then left out, and the search is made.
        vocabulary: words that a back door may hide behind, beside those of the completions: those of the reward's
            tokenizer, for example.
        log: a folder for the search's durable log; with a reward that costs, `Scored(reward, log=...)` keeps the rest.
        seed: of everything random.
        resamples: number of bootstrap resamples.

    Returns:
        Checks in the order of the table; grey ones say why they were not measured.

    Raises:
        InputError: if there are no pairs, a name is not known, or does not fit what is attacked.
    """
    options = Options(budget, prompts, truth, None if log is None else Path(log), vocabulary, seed, resamples)
    kind: Needs = "reward" if isinstance(reward, Reward) else "comparison"
    unknown = [name for name in only if name not in ATTACKS]
    if unknown:
        raise InputError(f"attacks: {unknown[0]!r} is not known; {nearest(unknown[0], ATTACKS)}")
    other = [name for name in only if ATTACKS[name].needs != kind]
    if other or not pairs:
        what = (
            f"{other[0]} is made on a {ATTACKS[other[0]].needs} and {reward.name} is a {kind}" if other else "no pairs"
        )
        raise InputError(f"attacks: {what}; give {'another attack' if other else 'at least one'}")
    target = Scored.wrap(reward) if isinstance(reward, Reward) else ComparedOnce.wrap(reward)
    names = only or [name for name, attack in ATTACKS.items() if attack.needs == kind]
    return tuple(check for name in names for check in ATTACKS[name].run(pairs, target, options))
