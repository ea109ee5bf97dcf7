"""What every verifier promises beside what every reward does: what is right passes, and no attack does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward
from plaudit.rewards.verifiers.base import Twin, Verifier
from plaudit.rewards.verifiers.twins import Escape, derived_twins, escapes, refused_honest
from plaudit.testing import checks
from plaudit.testing.checks import ContractError
from plaudit.testing.contract import RewardContract
from plaudit.testing.examples import hostile_samples


def check_honest(reward: Reward, honest: Sequence[Sample]) -> None:
    """Right answers get the highest reward.

    Raises:
        ContractError: naming the first that does not.
    """
    _none_of(reward, refused_honest(reward, honest), "a right answer is refused")


def check_twins(reward: Reward, twins: Sequence[Twin]) -> None:
    """No attack passes, and none gets itself out of the count.

    Raises:
        ContractError: naming the first that does.
    """
    _none_of(reward, escapes(reward, twins), "an attack is not refused")


def check_fuzzed(
    reward: Reward, honest: Sequence[Sample], *, count: int = 200, seed: int = 0, deadline: float = 60.0
) -> None:
    """Random texts in place of right answers give outcomes: no exception, no hang.

    Args:
        reward: the verifier.
        honest: samples whose completions are replaced.
        count: random texts, spread over the samples.
        seed: of the texts.
        deadline: seconds that all of them together may take.

    Raises:
        ContractError: if a text raises, has no outcome that counts, or the deadline passes.
    """
    samples = [
        replace(honest[i % len(honest)], completion=text, steps=None)
        for i, text in enumerate(fuzzed_texts([s.text for s in honest], count, seed))
    ]
    start = time.monotonic()
    checks.check_shapes(reward, samples)
    checks.check_bounds(reward, samples)
    took = time.monotonic() - start
    if took > deadline:
        raise ContractError(f"reward {reward.name!r}: {count} random texts took {took:.0f} s, over {deadline:.0f} s")


def fuzzed_texts(honest: Sequence[str], count: int, seed: int) -> list[str]:
    """Random texts: bytes, characters of all planes, and right answers with pieces cut, doubled and exchanged.

    Args:
        honest: texts to mutate; every third text is made from one.
        count: how many.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        size = int(rng.integers(0, 80))
        if i % 3 == 0:
            made.append(rng.bytes(size).decode("utf-8", "surrogateescape"))
        elif i % 3 == 1:
            made.append("".join(map(chr, rng.integers(0, 0x11_0000, size))))
        else:
            made.append(_mutated(honest[int(rng.integers(len(honest)))], rng))
    return made


def _mutated(text: str, rng: np.random.Generator) -> str:
    for _ in range(int(rng.integers(1, 4))):
        a, b = sorted(int(x) for x in rng.integers(0, len(text) + 1, 2))
        piece = text[a:b]
        text = (text[:a] + text[b:], text[:b] + piece * 3 + text[b:], text[:a] + piece[::-1] + text[b:])[
            rng.integers(3)
        ]
    return text[:2000]


class VerifierContract(RewardContract):
    """Tests that every verifier must pass; a mixin. Override `make_reward`.

    A verifier that is no subclass of `Verifier` overrides `make_honest` and `make_twins` too.

    Attributes:
        fuzzed: random texts tried.
        deadline: seconds that all of them together may take.
    """

    fuzzed: int = 200
    deadline: float = 60.0

    def make_honest(self) -> Sequence[Sample]:
        """Right answers; the verifier's own by default."""
        reward = self.make_reward()
        if not isinstance(reward, Verifier):
            raise InputError(f"{type(self).__name__}: override make_honest so that it returns right answers")
        return reward.honest()

    def make_twins(self) -> Sequence[Twin]:
        """Attacks; the verifier's own by default, with those that are derived from the right answers."""
        reward = self.make_reward()
        return (*(reward.twins() if isinstance(reward, Verifier) else ()), *derived_twins(self.make_honest()))

    def make_samples(self) -> Sequence[Sample]:
        """Right answers, and the same with nothing in place of the answer."""
        honest = list(self.make_honest())
        return [*honest, *(replace(sample, completion="I do not know.", steps=None) for sample in honest)]

    def make_hostile_samples(self) -> Sequence[Sample]:
        """Hostile completions in place of the first right answer."""
        first = self.make_honest()[0]
        return [replace(first, completion=sample.completion, steps=None) for sample in hostile_samples()]

    def test_right_answers_pass(self) -> None:
        """Right answers get the highest reward."""
        check_honest(self.make_reward(), self.make_honest())

    def test_no_attack_passes(self) -> None:
        """Every twin is refused."""
        check_twins(self.make_reward(), self.make_twins())

    def test_random_texts(self) -> None:
        """No text raises, hangs or has no outcome."""
        check_fuzzed(self.make_reward(), self.make_honest(), count=self.fuzzed, deadline=self.deadline)


def _none_of(reward: Reward, found: Sequence[Escape], what: str) -> None:
    if found:
        first = found[0]
        raise ContractError(
            f"reward {reward.name!r}: {what} ({len(found)} in all): {first.attack}: {first.completion} "
            f"is {first.outcome.name} with reward {first.reward:g}; {dict(first.detail)!r:.200}"
        )
