"""The contract as a pytest class: inherit it, say how your reward is made, run pytest."""

from __future__ import annotations

from collections.abc import Sequence

from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward
from plaudit.testing import checks
from plaudit.testing.examples import example_samples, hostile_samples


class RewardContract:
    """Tests that every reward must pass; a mixin.

    Override `make_reward`, and `make_samples` where the ordinary samples are none that your reward can judge.

    Attributes:
        tolerance: largest difference between two computations of one reward.
    """

    tolerance: float = 1e-6

    def make_reward(self) -> Reward:
        """The reward under test; called once a test."""
        raise TypeError(f"{type(self).__name__}: override make_reward so that it returns your reward")

    def make_samples(self) -> Sequence[Sample]:
        """Ordinary samples that the reward can judge."""
        return example_samples()

    def make_hostile_samples(self) -> Sequence[Sample]:
        """Samples that must give outcomes and no exception."""
        return hostile_samples()

    def test_properties(self) -> None:
        """Name, scope, bounds, fingerprint."""
        checks.check_properties(self.make_reward())

    def test_empty(self) -> None:
        """No samples, no rewards."""
        checks.check_empty(self.make_reward())

    def test_shapes_and_outcomes(self) -> None:
        """One entry a sample, NaN exactly where the outcome does not count."""
        checks.check_shapes(self.make_reward(), self.make_samples())

    def test_bounds(self) -> None:
        """Rewards within the bounds."""
        checks.check_bounds(self.make_reward(), self.make_samples())

    def test_determinism(self) -> None:
        """The same again gives the same."""
        checks.check_determinism(self.make_reward(), self.make_samples(), tolerance=self.tolerance)

    def test_order(self) -> None:
        """Rewards move with their samples."""
        checks.check_order(self.make_reward(), self.make_samples(), tolerance=self.tolerance)

    def test_independence(self) -> None:
        """Neighbours beyond the scope do not matter."""
        checks.check_independence(self.make_reward(), self.make_samples(), tolerance=self.tolerance)

    def test_threads(self) -> None:
        """Several threads at once."""
        checks.check_threads(self.make_reward(), self.make_samples(), tolerance=self.tolerance)

    def test_hostile_texts(self) -> None:
        """No text raises."""
        checks.check_hostile(self.make_reward(), self.make_hostile_samples())
