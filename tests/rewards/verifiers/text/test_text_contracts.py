import pytest

from plaudit.rewards.verifiers.text import (
    ChoiceVerifier,
    CitationsVerifier,
    ExactVerifier,
    F1Verifier,
    NumericVerifier,
    PathVerifier,
    QuotesVerifier,
    RegexVerifier,
)
from plaudit.rewards.verifiers.twins import derived_twins
from plaudit.testing import VerifierContract, check_honest, check_twins


class TestExactContract(VerifierContract):
    def make_reward(self):
        return ExactVerifier()


class TestF1Contract(VerifierContract):
    def make_reward(self):
        return F1Verifier()


class TestChoiceContract(VerifierContract):
    def make_reward(self):
        return ChoiceVerifier()


class TestRegexContract(VerifierContract):
    def make_reward(self):
        return RegexVerifier(timeout=0.1)


class TestQuotesContract(VerifierContract):
    def make_reward(self):
        return QuotesVerifier()


class TestCitationsContract(VerifierContract):
    def make_reward(self):
        return CitationsVerifier()


class TestNumericContract(VerifierContract):
    def make_reward(self):
        return NumericVerifier()


class TestPathContract(VerifierContract):
    def make_reward(self):
        return PathVerifier()


VARIANTS = [
    ExactVerifier(within="answer", numbers=False),
    ExactVerifier(after="The answer is: ", language="de"),
    F1Verifier(within="line"),
    RegexVerifier(search=True, timeout=0.1),
    QuotesVerifier(score="spans", n=12),
    CitationsVerifier(contrast=True),
    CitationsVerifier(uncited="ignore"),
    NumericVerifier(relative=True),
    PathVerifier(within="completion", gamma=0.7),
]


@pytest.mark.parametrize("reward", VARIANTS, ids=repr)
def test_other_options_keep_the_promises(reward):
    check_honest(reward, reward.honest())
    check_twins(reward, [*reward.twins(), *derived_twins(reward.honest())])
