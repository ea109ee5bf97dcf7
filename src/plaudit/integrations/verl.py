"""Rewards as verl's custom reward function: name this file and `compute_score` in verl's configuration.

    reward.custom_reward_function.path=.../plaudit/integrations/verl.py
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.reward=verify/math

verl has no way to say that a sample has no reward: its score must be a finite number. Such a sample gets `unscored`
(the reward's floor by default) and `counted` 0, by which a filter of the user's can leave it out; `outcome` says
which it was. verl asks for one sample at a time, so a reward that compares completions is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from plaudit.errors import InputError, nearest
from plaudit.integrations.hosting import of_samples, worth_of_lost
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward
from plaudit.rewards.registry import catalog, load

_lock = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str | Mapping[str, Any] = "verify/math",
    unscored: float | None = None,
    **others: Any,
) -> dict[str, Any]:
    """One sample's score in verl's form.

    Args:
        data_source: name of the sample's data set.
        solution_str: the completion.
        ground_truth: the reference.
        extra_info: what else the row holds; becomes the sample's `meta`.
        reward: reference of the reward; or a mapping of data sources to references, when its keys are all references'
            data sources (a key `default` serves the others).
        unscored: the score of a sample that has no reward; the floor by default.
        others: what verl adds when it runs a reward model of its own; not used.

    Returns:
        `score` (finite), `counted` (1.0 or 0.0), `outcome` (lower-case name), `extracted` and `reason` (texts, empty
        where there are none): the same keys for every sample, as verl needs.

    Raises:
        InputError: if no reward is given for the data source, the ground truth is none that the reward can use, or the
            reward has no finite floor and `unscored` is not given.
        UnsupportedError: if the reward compares the completions of a group or a batch.
    """
    del others
    info = dict(extra_info or {})
    judge = of_samples("verl", _reward(_chosen(reward, data_source)))
    missing = worth_of_lost("verl", judge, unscored, option="unscored")
    batch = judge([Sample(info.get("prompt", ""), solution_str, _plain(ground_truth), meta=info)])
    counted = bool(batch.valid[0])
    detail = batch.detail[0]
    return {
        "score": float(batch.reward[0]) if counted else missing,
        "counted": float(counted),
        "outcome": Outcome(int(batch.outcome[0])).name.lower(),
        "extracted": _text(detail.get("extracted")),
        "reason": _text(detail.get("reason")),
    }


def _chosen(reward: str | Mapping[str, Any], source: str) -> str:
    """The reference for a data source, as text that can be a cache's key."""
    if isinstance(reward, str):
        return reward
    if "default" in reward or source in reward:
        found = reward.get(source, reward.get("default"))
        return found if isinstance(found, str) else json.dumps(found, sort_keys=True)
    if len(reward) == 1 and next(iter(reward)) in catalog():  # {"verify/math": {...options}}: one for every source
        return json.dumps({k: _mapping(v) for k, v in reward.items()}, sort_keys=True)
    raise InputError(f"verl: no reward for the data source {source!r}; {nearest(source, reward)}")


def _reward(reference: str) -> Reward:
    with _lock:  # two threads at once must not load one model twice
        return _loaded(reference)


@cache
def _loaded(reference: str) -> Reward:
    return load(json.loads(reference) if reference.startswith("{") else reference)


def _mapping(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    """Arrays that verl's data frames make of lists, as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
