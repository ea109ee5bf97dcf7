import numpy as np
import pytest

from plaudit.errors import InputError, UnsupportedError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.agreement import ProgramAgreementReward, survivors
from plaudit.rewards.verifiers.code import attempts


@pytest.fixture(scope="module", autouse=True)
def _isolated():
    try:
        attempts.isolation()
    except UnsupportedError as error:
        pytest.skip(str(error))


def solution(answer, program):
    return Sample(conversation("q"), f"So the answer is {answer}.\n```python\n{program}\n```")


def test_program_and_reasoning_agree_or_do_not():
    samples = [
        solution("12", "print(3 * 4)"),
        solution("12", "print(3 + 4)"),
        solution("12", "print(12.0)"),
        solution("1/2", "print(2 / 4)"),
        solution("Lima", "print('Lima')"),
        Sample(conversation("q"), "So the answer is 12."),
        Sample(conversation("q"), "```python\nprint(12)\n```"),
        Sample(conversation("q"), "```python\n# the answer is 12\nprint(12)\n```"),
    ]
    batch = ProgramAgreementReward()(samples)
    assert batch.reward.tolist() == [1, 0, 1, 1, 1, 0, 0, 0]
    assert (batch.outcome[5:] == Outcome.POLICY_FAULT).all()  # a comment in the program declares nothing


def test_a_program_that_does_not_end_is_the_candidates_fault():
    batch = ProgramAgreementReward(timeout=1.0)([solution("1", "while True: pass"), solution("1", "raise SystemExit")])
    assert batch.reward.tolist() == [0.0, 0.0]
    assert batch.outcome[0] == Outcome.POLICY_FAULT


def test_where_none_agrees_all_are_ranked():
    assert survivors(np.array([True, False, True])).tolist() == [True, False, True]
    assert survivors(np.array([False, False])).tolist() == [True, True]


def test_options_are_checked():
    with pytest.raises(InputError, match="timeout is 0"):
        ProgramAgreementReward(timeout=0)
