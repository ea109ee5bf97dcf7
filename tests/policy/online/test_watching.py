"""The numbers that a run shows: by hand, and those of all processes where there are several."""

import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plaudit.errors import PlauditError
from plaudit.policy.advantages.base import Advantages
from plaudit.policy.losses.surrogates import Watched
from plaudit.policy.online.alarms import LONGEST, alarmed
from plaudit.policy.online.experience import Experience
from plaudit.policy.online.packing import Learned, TokenOutputs
from plaudit.policy.online.trainer import OnlineTrainer
from plaudit.policy.online.watching import Part, Watch, numbers_of
from plaudit.policy.rollout import Question, Rollout
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import conversation
from plaudit.rewards.base import RewardBatch


def seen(rewards, lengths, logs, *, finishes=None, aspect=None, metrics=None, over=None):
    """What a process saw of a batch of groups of two: a reward, a length and a log-ratio a completion."""
    questions = [Question(PromptOnly(conversation(f"q{g}")), (1,), f"0.{g}.{g}") for g in range(len(rewards) // 2)]
    finishes = finishes or ["eos"] * len(rewards)
    rollouts = tuple(
        tuple(
            Rollout.of(q, "same" if rewards[2 * g] == rewards[2 * g + 1] else f"{k}", [5] * lengths[2 * g + k],
                       [0.0] * lengths[2 * g + k], finishes[2 * g + k])
            for k in range(2)
        )
        for g, q in enumerate(questions)
    )  # fmt: skip
    values = np.array(rewards, dtype=np.float64)
    outcome = np.where(np.isnan(values), 4, 0).astype(np.int8)  # an instrument's fault
    batch = RewardBatch(values, outcome, aspects={} if aspect is None else {"tone": np.array(aspect, dtype=float)})
    advantages = Advantages(np.zeros(len(rewards)), ~np.isnan(values), metrics=metrics or {})
    ratios = np.concatenate([np.full(n, x / n) for n, x in zip(lengths, logs, strict=True)])
    watch = Watch()
    watch.collected(
        Experience(tuple(questions), rollouts, batch, {}), batch, advantages, ratios, np.zeros(len(ratios)), over=over
    )
    return watch.told()


NONE = math.nan
FIRST = {
    "rewards": [1.0, 0.0, 1.0, 1.0], "lengths": [1, 2, 3, 4], "logs": [1.0, 2.0, 3.0, 4.0],
    "finishes": ["eos", "eos", "eos", "length"], "aspect": [1.0, 2.0, 3.0, 4.0],
    "metrics": {"silent_groups": 0.5, "value_error": 1.0, "refilled": 2.0, "idle": 0.5, "kept_share": 0.5},
    "over": {"kept_share": 3.0},
}  # fmt: skip
SECOND = {
    "rewards": [0.5, NONE, NONE, NONE], "lengths": [5, 5, 5, 5], "logs": [0.0, 0.0, 0.0, 6.0],
    "aspect": [0.0, NONE, NONE, NONE],
    "metrics": {"silent_groups": 1.0, "value_error": 4.0, "refilled": 1.0, "idle": 0.0, "kept_share": 0.9},
    "over": {"kept_share": 1.0},
}  # fmt: skip


def test_the_numbers_of_two_processes_are_those_of_the_whole_batch():
    found = numbers_of([seen(**FIRST), seen(**SECOND)])
    assert found["reward"] == pytest.approx(3.5 / 5)  # the processes' means are 3/4 and 1/2, whose mean is 0.625
    assert found["shaped"] == pytest.approx(3.5 / 5)
    assert found["reward_std"] == pytest.approx(0.25)  # groups with two rewards: 1/2 and 0; the second has none
    assert found["length"] == pytest.approx(30 / 8)
    assert found["finished"] == pytest.approx(7 / 8)
    assert found["included"] == pytest.approx(5 / 8)
    assert found["kl"] == pytest.approx(16 / 8)
    assert found["outcome/instrument_fault"] == pytest.approx(3 / 8)
    assert found["outcome/timed_out"] == 0
    assert found["distinct"] == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert found["sampled_tokens"] == 30
    assert found["judged"] == 8
    assert found["aspect/tone"] == pytest.approx(10 / 5)
    # rewards 1, 0, 1, 1, 1/2 have the mid-ranks 4, 1, 4, 4, 2; aspects 1, 2, 3, 4, 0 the ranks 2, 3, 4, 5, 1.
    # Deviations 1, -2, 1, 1, -1 and -1, 0, 1, 2, -2: 4 / sqrt(8 * 10)
    assert found["dominance/tone"] == pytest.approx(4 / math.sqrt(80))
    assert found["silent_groups"] == pytest.approx((2 * 0.5 + 1 * 1.0) / 3)  # of groups with a reward: 2 and 1
    assert found["value_error"] == pytest.approx((10 * 1.0 + 5 * 4.0) / 15)  # of tokens with a reward
    assert found["idle"] == pytest.approx(0.25)  # of two groups each
    assert found["refilled"] == 3
    assert found["kept_share"] == pytest.approx((3 * 0.5 + 1 * 0.9) / 4)


def test_a_process_all_of_whose_rewards_are_lost_leaves_the_means_to_the_others():
    lost = {**SECOND, "rewards": [NONE] * 4, "aspect": None, "metrics": {"silent_groups": NONE}, "over": {}}
    found = numbers_of([seen(**lost), seen(**FIRST)])
    assert found["reward"] == pytest.approx(3 / 4)
    assert found["aspect/tone"] == pytest.approx(2.5)
    assert found["silent_groups"] == pytest.approx(0.5)
    assert found["outcome/instrument_fault"] == pytest.approx(0.5)
    both = numbers_of([seen(**lost), seen(**lost)])
    assert "reward" not in both
    assert both["outcome/instrument_fault"] == 1


def test_ratios_and_entropies_are_means_over_the_tokens_of_all_processes():
    parts = [Part(None, Watched(1, 2.0, 1.0, 0.0), 4.0), Part(None, Watched(3, 2.0, 0.0, 3.0), 4.0), Part()]
    assert numbers_of(parts) == {"ratio": 1.0, "clipped_low": 0.25, "clipped_high": 0.75, "entropy": 2.0}
    assert numbers_of([Part()]) == {}


def test_rows_that_fill_up_a_process_are_not_watched():
    """Their numbers are 0, `old_logp` too, so that their ratio is anything."""
    spare = Learned((1,), ((5, 6),), {n: [np.zeros(2)] for n in ("old_logp", "weight")})
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=2), _spare=spare, everywhere=lambda _: ([[1], [2]], 0),
        _rows=lambda groups: [{"weight": torch.zeros(2)} for _ in groups],
    )  # fmt: skip
    ((real, filler),) = OnlineTrainer._evened(trainer, [[{"weight": torch.ones(3)}]])
    watch = Watch()
    watch.learnt(Watched(3, torch.tensor(3.0)), TokenOutputs(torch.zeros(3), torch.full((3,), 2.0)), real)
    watch.learnt(Watched(2, torch.tensor(0.1)), TokenOutputs(torch.zeros(2), torch.full((2,), 9.0)), filler)
    found = numbers_of([watch.told()])
    assert found["ratio"] == 1
    assert found["entropy"] == 2
    assert numbers_of([watch.told()]) == {}


def test_what_is_lost_is_said_of_the_completions_of_all_processes(caplog):
    faults = {"ConnectionError: no route": 12}
    with caplog.at_level(logging.WARNING):
        assert alarmed(4, 16, 3, faults) == 0
        assert alarmed(0, 16, 3, faults, aloud=False) == 4
        assert alarmed(16, 16, 3, {}) == 0
    assert [record.getMessage() for record in caplog.records] == ["75% of 16 completions have no reward"]
    with pytest.raises(PlauditError, match="ConnectionError: no route"):
        alarmed(0, 16, LONGEST - 1, faults, aloud=False)


def test_every_process_counts_what_was_lost_in_all_of_them():
    """One that counted its own would stop alone, and the others would wait for it for ever."""
    told = {"known": (0, 8), "faults": {"ValueError: no": 8}}

    def everywhere(mine):
        return ([*mine, told["faults"] if isinstance(mine[0], dict) else told["known"]], 0)

    trainer = SimpleNamespace(
        everywhere=everywhere, _now=SimpleNamespace(lost=2), is_world_process_zero=lambda: False,
        collect=SimpleNamespace(faults={"ValueError: no": 1, "TimeoutError: late": 2}),
    )  # fmt: skip
    trainer.faults = lambda: OnlineTrainer.faults(trainer)
    assert trainer.faults() == {"ValueError: no": 9, "TimeoutError: late": 2}
    lost, some = (SimpleNamespace(reward=RewardBatch(np.array([x, NONE]), [int(x != x) * 4, 4])) for x in (NONE, 1.0))
    assert OnlineTrainer._alarmed(trainer, lost) == 3
    assert OnlineTrainer._alarmed(trainer, some) == 0
    told["known"] = (1, 8)
    assert OnlineTrainer._alarmed(trainer, lost) == 0
