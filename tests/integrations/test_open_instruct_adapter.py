"""Against a double of open-instruct's published types: it is on no package index, so that its own cannot be run here.

The double has what the adapter touches, by the signatures of `open_instruct/ground_truth_utils.py`: the base class, the
result, the configuration, discovery by `__subclasses__()`, and how scores of several verifiers of a row are added up.
"""

import asyncio
import dataclasses
import gc
import pickle
import sys
from abc import ABC, abstractmethod
from types import ModuleType, SimpleNamespace

import pytest

from host_rewards import Every, Rank, Unbounded, eight_threads
from plaudit.errors import InputError, MissingError, UnsupportedError
from plaudit.integrations.open_instruct import as_verifier_class


@dataclasses.dataclass
class VerifierConfig:
    seed: int = 0

    @classmethod
    def from_args(cls, *sources):
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{n: getattr(s, n) for s in sources if s is not None for n in names if hasattr(s, n)})


@dataclasses.dataclass
class VerificationResult:
    score: float
    cost: float = 0.0
    reasoning: str | None = None


def module():
    """A new one for each test, so that classes of one test are no subclasses in the next."""

    class VerifierFunction(ABC):
        def __init__(self, name, weight=1.0, verifier_config=None):
            self.name, self.weight, self.verifier_config = name, weight, verifier_config

        @classmethod
        def get_config_class(cls):
            return VerifierConfig

        @abstractmethod
        def __call__(self, tokenized_prediction, prediction, label, query=None, rollout_state=None): ...

        async def async_call(self, tokenized_prediction, prediction, label, query=None, rollout_state=None):
            raise AssertionError("the adapter has its own")

    made = ModuleType("open_instruct.ground_truth_utils")
    made.VerifierFunction, made.VerificationResult = VerifierFunction, VerificationResult
    return made


def build_all_verifiers(base, args):
    """As the host finds verifiers: by the subclasses, made with their configuration, keyed by lower-cased name."""
    found = {}
    for kind in base.__subclasses__():
        one = kind(kind.get_config_class().from_args(args, None))
        found[one.name.lower()] = one
    return found


async def apply_verifiable_reward(found, rows, reward_mult=10.0):
    """Sums over a row's verifiers of score, factor and weight; every call by keywords and gathered."""
    totals = []
    for prediction, golds, datasets in rows:
        results = await asyncio.gather(
            *(
                found[name.lower()].async_call(
                    tokenized_prediction=[1], prediction=prediction, label=gold, query="2 + 2", rollout_state=None
                )
                for gold, name in zip(golds, datasets, strict=True)
            )
        )
        totals.append(
            sum(reward_mult * r.score * found[n.lower()].weight for r, n in zip(results, datasets, strict=True))
        )
    return totals


@pytest.fixture
def host(monkeypatch):
    gc.collect()
    made = module()
    monkeypatch.setitem(sys.modules, "open_instruct", ModuleType("open_instruct"))
    monkeypatch.setitem(sys.modules, "open_instruct.ground_truth_utils", made)
    return made


def test_the_host_finds_it_and_adds_it_up(host):
    kinds = [as_verifier_class(Every(), name="Sums", weight=0.5), as_verifier_class("rule/length", name="words")]
    found = build_all_verifiers(host.VerifierFunction, SimpleNamespace(seed=3))
    assert sorted(found) == ["sums", "words"]
    assert found["sums"].verifier_config == VerifierConfig(3)
    assert [kind.__name__ for kind in kinds] == ["PlauditVerifier_sums", "PlauditVerifier_words"]
    rows = [("4", ["4"], ["sums"]), ("5", ["4"], ["SUMS"]), ("4", ["4", "any"], ["sums", "words"])]
    # 10 x 1 x 0.5; 10 x 0; 10 x 1 x 0.5 + 10 x (one word) x 1
    assert asyncio.run(apply_verifiable_reward(found, rows)) == [5.0, 0.0, 15.0]


@pytest.mark.parametrize(
    ("text", "score", "reasoning"),
    [
        ("4", 1.0, "scored"),
        ("5", 0.0, "scored"),
        ("", 0.0, "policy_fault: no answer"),
        ("unsure", -1.0, "abstained: cannot say"),
        ("slow", -1.0, "timed_out: the machine was too slow"),
        ("broken", -1.0, "instrument_fault: the judge is down"),
        ("boom", -1.0, "instrument_fault: RuntimeError: a defect of the reward's"),
    ],
)
def test_every_outcome(host, text, score, reasoning):
    verifier = as_verifier_class(Every(), lost=-1.0)()
    assert verifier([1], text, "4", "2 + 2") == VerificationResult(score, 0.0, reasoning)


def test_it_pickles_and_runs_in_threads(host):
    kind = as_verifier_class(Every(), name="Sums", weight=2.0, lost=-1.0)
    verifier = pickle.loads(pickle.dumps(kind(VerifierConfig(7))))
    assert (verifier.name, verifier.weight, verifier.verifier_config) == ("sums", 2.0, VerifierConfig(7))
    texts = ["4", "5", "", "slow"] * 20
    found = eight_threads(verifier, [([1], text, "4") for text in texts])
    assert [r.score for r in found] == [1.0, 0.0, 0.0, -1.0] * 20


def test_what_is_refused(host, monkeypatch):
    with pytest.raises(InputError, match=r"open-instruct: a sample without a reward would be worth -inf"):
        as_verifier_class(Unbounded())
    with pytest.raises(UnsupportedError, match="open-instruct asks for one completion"):
        as_verifier_class(Rank())
    monkeypatch.setitem(sys.modules, "open_instruct", None)
    monkeypatch.delitem(sys.modules, "open_instruct.ground_truth_utils")
    with pytest.raises(MissingError, match=r"open-instruct: cannot be imported .*pip install git"):
        as_verifier_class(Every())
