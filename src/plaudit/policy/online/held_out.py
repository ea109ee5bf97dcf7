"""What a policy is worth on problems that nothing is learnt from: what stages wait for, and are judged by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from plaudit.errors import InputError
from plaudit.policy.online.asking import asked
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.staged import identity_of, rows_hash
from plaudit.policy.rollout import Sampling
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import content_hash
from plaudit.rewards.base import Reward
from plaudit.runs.atomic import write_text
from plaudit.runs.progress import Progress
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate


@final
@dataclass(frozen=True)
class HeldOut:
    """One measure: the mean reward of completions of held-out prompts.

    Attributes:
        rows: prompts, with what the reward needs.
        reward: what judges.
        completions: of each prompt.
    """

    rows: Sequence[PromptOnly]
    reward: Reward
    completions: int = 4


@final
class HeldOutMeasures:
    """From a policy's folder to its measures, each made once and kept in a folder: a `staged.Measure`.

    Args:
        measures: by name.
        config: of the run; sampling is as in training.
        folder: keeps what was sampled, judged and found.
        progress: makes the displays.

    Raises:
        InputError: if there is no measure.
    """

    def __init__(
        self, measures: Mapping[str, HeldOut], config: OnlineConfig, folder: str | Path, *,
        progress: Callable[..., Progress] = Progress,
    ) -> None:  # fmt: skip
        if not measures:
            raise InputError("held out: there are no measures; name at least one")
        self.measures, self.config, self.folder, self.progress = dict(measures), config, Path(folder), progress

    def __call__(self, model: str) -> dict[str, float]:
        """Their values."""
        return {name: one.value for name, one in self.estimates(model).items()}

    def estimates(self, model: str) -> dict[str, Estimate]:
        """The mean reward of each, with an interval over prompts; completions without a reward leave the mean.

        Raises:
            InputError: if a prompt leaves no room for a completion.
        """
        return {name: self._measured(name, one, model) for name, one in self.measures.items()}

    def _measured(self, name: str, one: HeldOut, model: str) -> Estimate:
        sampling = Sampling(
            one.completions, self.config.max_tokens, self.config.temperature, self.config.top_p, self.config.sequences
        )
        told = [identity_of(model), rows_hash(one.rows), one.reward.fingerprint, asdict(sampling), self.config.seed]
        key = content_hash(told)
        file = self.folder / f"{name}-{key[:16]}.json"
        if file.is_file():
            return Estimate.from_dict(json.loads(file.read_text(encoding="utf-8")))
        found = asked(
            one.rows, model=model, reward=one.reward, sampling=sampling, log=file.with_suffix(".log"), key=key,
            seed=self.config.seed, max_length=self.config.max_length, progress=self.progress, words=name,
        )  # fmt: skip
        made = bootstrap_mean(found.reward.reward, found.groups, seed=self.config.seed)
        write_text(file, json.dumps(made.to_dict()) + "\n")
        return made


__all__ = ["HeldOut", "HeldOutMeasures"]
