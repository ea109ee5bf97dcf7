"""Names of checks before and after an audit; what is wrong with a configuration, before one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import plaudit.audit
from plaudit.audit.battery import audit_reward
from plaudit.audit.config import FAMILIES, AuditConfig
from plaudit.audit.names import ALWAYS, OF_COMPARISONS, OF_REWARDS, check_names, foresee
from plaudit.errors import InputError
from small_audits import Duel, Rule, pair

CONFIG = AuditConfig(
    prompts=8, resamples=20, search_budget=50, min_group=10, groups=("side", "age", "tone:completion"), stratum="grade",
    columns={"mirror": "again"},
)  # fmt: skip


def _pairs(n=44):
    return [
        pair(
            f"what about {i}", f"a good answer {i} of some length", f"a bad {i}", side="east" if i % 3 else "west",
            age=i, grade=i % 2, again=f"and what of {i}", chosen_tone="warm" if i % 2 else "cold",
            rejected_tone="cold" if i % 4 else "warm",
        )
        for i in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("skip", [(), ("attack", "fairness")])
@pytest.mark.parametrize("judge", [Rule(lambda s: len(s.text)), Duel(lambda a, b: 0.9 if len(a.text) > 12 else 0.2)])
def test_every_check_of_an_audit_was_foreseen(judge, skip):
    config = replace(CONFIG, skip=skip)
    found = {c.name for c in audit_reward(_pairs(), judge, config=config).checks}
    foreseen = set(check_names(_pairs(), config, comparison=isinstance(judge, Duel)))
    assert found <= foreseen
    assert {name for name in foreseen if not name.startswith("fairness/")} <= found


def test_every_name_that_the_source_gives_a_check_is_in_the_tables():
    """A check that is added and is in no table could not be named by `fail_on`."""
    known = {f"{family}/{what}" for table in (ALWAYS, OF_REWARDS, OF_COMPARISONS) for family, names in table.items()
             for what in names} | {f"{family}/all" for family in FAMILIES}  # fmt: skip
    family = "|".join(f for f in FAMILIES if f != "fairness")
    named = re.compile(rf'"((?:{family})/[a-z-]+)"')
    folder = Path(plaudit.audit.__file__).parent
    source = {name for path in folder.rglob("*.py") for name in named.findall(path.read_text())}
    assert len(source) > 20
    assert source <= known


def test_names_of_groups_are_those_of_their_values():
    found = check_names(_pairs(), CONFIG, comparison=False)
    assert {"fairness/side=east", "fairness/age", "fairness/spread/side", "fairness/parity/side=west"} <= set(found)
    assert {"fairness/preference/tone=warm", "fairness/selection/tone=cold"} <= set(found)
    assert not {"fairness/age=3", "fairness/side=north", "fairness/tone=warm", "fairness/gaps"} & set(found)
    assert "fairness/gaps" in check_names(_pairs(), AuditConfig(), comparison=False)
    assert check_names(_pairs(), AuditConfig(skip=FAMILIES[1:]), comparison=False) == (
        "accuracy/coin", "accuracy/baseline", "accuracy/unscored", "accuracy/selection",
        "accuracy/over-optimisation", "calibration/all", "bias/all", "attack/all",
        "consistency/all", "fairness/all",
    )  # fmt: skip


def test_a_threshold_of_what_is_left_out_is_spelt_right_all_the_same():
    thresholds = {"bias/length": 1.0, "attack/position": 0.2}
    foresee(_pairs(), AuditConfig(thresholds=thresholds), comparison=True)  # a comparison has no bias
    foresee(_pairs(), AuditConfig(thresholds=thresholds, skip=("bias", "attack")), comparison=False)
    with pytest.raises(InputError, match="no check 'attack/position'"):
        foresee(_pairs(), AuditConfig(thresholds=thresholds), comparison=False)
    with pytest.raises(InputError, match="no check 'bias/lenght'; did you mean"):
        foresee(_pairs(), AuditConfig(thresholds={"bias/lenght": 1.0}, skip=("bias",)), comparison=False)
