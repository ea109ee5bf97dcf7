import math

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward
from plaudit.rewards.verdicts import Verdict, assemble
from small_verifiers import Same


def test_a_batch_has_the_floor_for_faults_and_nan_where_nothing_counts():
    verdicts = [
        Verdict.scored(0.5, aspects={"form": 1.0}, extracted="x"),
        Verdict.fault("no answer"),
        Verdict.abstained("gold unreadable"),
        Verdict.timed_out("slow"),
        Verdict.broken("gone", tries=3),
    ]
    batch = assemble(verdicts, floor=-1.0)
    assert batch.reward[:2].tolist() == [0.5, -1.0]
    assert np.isnan(batch.reward[2:]).all()
    assert [Outcome(int(o)) for o in batch.outcome] == list(Outcome)
    assert batch.aspects["form"][0] == 1.0
    assert math.isnan(batch.aspects["form"][1])
    assert batch.detail[0] == {"extracted": "x"}
    assert batch.detail[4] == {"reason": "gone", "tries": 3}


def test_options_make_the_fingerprint_and_the_kind_the_name():
    assert isinstance(Same(), Reward)
    assert Same().name == "same"
    assert Same().fingerprint == Same(longest=40).fingerprint != Same(longest=41).fingerprint


def test_a_bad_reference_says_whose_and_which():
    with pytest.raises(InputError, match=r"^verify/same: sample 1: reference is None; give a text$"):
        Same()([Sample("q", "4", "4"), Sample("q", "4")])
