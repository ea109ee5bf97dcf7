import pytest

from plaudit.rewards.verifiers.structure import (
    InstructionsVerifier,
    JsonSchemaVerifier,
    NuggetsVerifier,
    PageVerifier,
    RankedListVerifier,
    RerankVerifier,
    ToolCallsVerifier,
)
from plaudit.rewards.verifiers.twins import derived_twins
from plaudit.testing import VerifierContract, check_honest, check_twins


class TestJsonSchemaContract(VerifierContract):
    def make_reward(self):
        return JsonSchemaVerifier()


class TestToolCallsContract(VerifierContract):
    def make_reward(self):
        return ToolCallsVerifier()


class TestGradedToolCallsContract(VerifierContract):
    def make_reward(self):
        return ToolCallsVerifier(graded=True)


class TestInstructionsContract(VerifierContract):
    def make_reward(self):
        return InstructionsVerifier()


class TestRankedListContract(VerifierContract):
    def make_reward(self):
        return RankedListVerifier()


class TestRerankContract(VerifierContract):
    def make_reward(self):
        return RerankVerifier(format_weight=0.5)


class TestPageContract(VerifierContract):
    def make_reward(self):
        return PageVerifier()


class TestNuggetsContract(VerifierContract):
    def make_reward(self):
        return NuggetsVerifier()


VARIANTS = [
    JsonSchemaVerifier(formats=True, max_depth=8),
    ToolCallsVerifier(ordered=True),
    InstructionsVerifier(loose=True),
    InstructionsVerifier(all=True),
    RankedListVerifier(score="in", most=5),
    RankedListVerifier(score="recall", penalty=0.2),
    RerankVerifier(score="reciprocal", k=2),
    PageVerifier(item_weight=0.0),
    PageVerifier(page_weight=0.0),
    NuggetsVerifier(strict=True),
]


@pytest.mark.parametrize("reward", VARIANTS, ids=repr)
def test_other_options_keep_the_promises(reward):
    check_honest(reward, reward.honest())
    check_twins(reward, [*reward.twins(), *derived_twins(reward.honest())])
