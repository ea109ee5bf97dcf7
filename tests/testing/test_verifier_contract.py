import pytest

from plaudit.testing import ContractError, VerifierContract, check_fuzzed, check_honest, check_twins
from small_verifiers import Same, Substring


class TestSame(VerifierContract):
    def make_reward(self):
        return Same()


def test_a_careless_verifier_breaks_it():
    with pytest.raises(ContractError, match=r"an attack is not refused .*every candidate listed: '3 or 4'"):
        check_twins(Substring(), Substring().twins())


def test_a_refused_right_answer_breaks_it():
    with pytest.raises(ContractError, match="a right answer is refused"):
        check_honest(Same(longest=0), Same().honest())


def test_fuzzing_reports_what_raised():
    class Fragile(Same):
        def verdict(self, sample):
            sample.text.encode("ascii")
            return super().verdict(sample)

    with pytest.raises(ContractError, match="raised UnicodeEncodeError"):
        check_fuzzed(Fragile(), Same().honest(), count=30)
