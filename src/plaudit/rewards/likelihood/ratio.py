"""A policy as a reward: how much likelier is a completion under it than under a reference?

`r(x, y) = beta * sum_t (log pi(y_t) - log pi_ref(y_t))`. With a policy that was trained on preferences or outcomes this
is its implicit reward, and its partial sums are process rewards; with any strong and weak model it is their density
ratio. Without a reference the bare log-likelihood remains, which is how an autoregressive reward model scores.

Differs from the papers: where the two models' tokenizers differ, token rewards stand on the finest division of the text
that both share. The tokens that close a turn count unless `end` is false; [42] leaves all special tokens out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.rewards.calibrators.stored import Calibration
from plaudit.rewards.likelihood.credit import density_ratio, implicit_values, response_score, step_rewards
from plaudit.rewards.likelihood.domains import Domain, read_domains, route
from plaudit.rewards.likelihood.language import Floats, LanguageModel, Read
from plaudit.rewards.likelihood.outcomes import (
    NO_TOKEN,
    SYSTEM_TOO_LONG,
    TOO_LONG,
    Found,
    Scale,
    abstention,
    assembled,
    fault,
)
from plaudit.rewards.likelihood.spans import Located, common_spans, step_positions


@dataclass(frozen=True, slots=True)
class RatioOptions:
    """How log-probabilities become a reward.

    Raises:
        InputError: if a value is out of range.
    """

    beta: float = 0.05
    """Score units per nat."""
    average: str = "sum"
    """`sum` over tokens, or `token`: the mean a token, each side by its own number of tokens."""
    credit: str = "single"
    """What steps are worth: the change of value in each (`single`), or the value after it (`accumulative`)."""
    over: str = "total"
    """The response's reward: its `total`, or the `min` or `sum` over its steps."""
    end: bool = True
    """Whether the tokens that close the assistant's turn count: stopping is the policy's choice too."""

    def __post_init__(self) -> None:
        if not 0 < self.beta < float("inf"):
            raise InputError(f"likelihood/ratio: beta is {self.beta}; it must be positive")
        allowed = {"average": ("sum", "token"), "credit": ("single", "accumulative"), "over": ("total", "min", "sum")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InputError(
                    f"likelihood/ratio: {name} is {getattr(self, name)!r}; give one of {', '.join(values)}"
                )
        if self.average == "token" and self.over != "total":
            raise InputError("likelihood/ratio: average='token' is a mean of the whole response; leave out `over`")


@final
class RatioReward:
    """Log-ratio of a policy and a reference over a completion's tokens; log-likelihood where there is no reference.

    `steps` are rewards of the sample's steps (a sample without steps has one, itself), `tokens` the log-ratio of each
    token times beta with its character span. A completion that is too long for one of the models is a `POLICY_FAULT`,
    and so is one without any token that counts; an empty one is scored by the tokens that close its turn.

    Args:
        policy: the strong or trained model.
        reference: the weak or starting model; None for none.
        options: see `RatioOptions`.
        scale: from score to reward.
        domains: what is put before prompts for the policy, by domain; see `plaudit.rewards.likelihood.domains`.
        name: short and stable.
    """

    scope: Scope = "sample"
    calibration: Calibration | None = None
    """What `plaudit calibrate` fitted to it, where its folder holds that."""

    def __init__(
        self, policy: LanguageModel, reference: LanguageModel | None = None, *, options: RatioOptions | None = None,
        scale: Scale | None = None, domains: Mapping[str, Domain] | None = None, name: str = "ratio",
    ) -> None:  # fmt: skip
        self.policy, self.reference, self.name = policy, reference, name
        self.options, self.scale, self.domains = options or RatioOptions(), scale or Scale(), dict(domains or {})

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity."""
        return self.scale.floor, float("inf")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of both models' weights and templates, options and domains; made at first use."""
        models = [self.policy.fingerprint, self.reference.fingerprint if self.reference else ""]
        told = {name: asdict(d) for name, d in self.domains.items()}
        return content_hash(["likelihood/ratio", 2, models, asdict(self.options), asdict(self.scale), told])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples.

        Raises:
            InputError: if a sample names a domain that is not known.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        asked, domains = self._asked(samples)
        located = self.policy.locate(asked, end=self.options.end)
        policy = self.policy.read(located)
        reference = self._reference(samples, located)
        found = [self._found(s, p, r, d) for s, p, r, d in zip(samples, policy, reference, domains, strict=True)]
        return assembled(found, self.scale)

    def _asked(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[str | None]]:
        """The samples as the policy sees them, and their domains."""
        if not self.domains:
            return list(samples), [None] * len(samples)
        names = [route(s, self.domains) for s in samples]
        asked = [
            s if n is None else replace(s, prompt=self.domains[n].before(s.prompt))
            for s, n in zip(samples, names, strict=True)
        ]
        return asked, names

    def _reference(self, samples: Sequence[Sample], located: list[Located | None]) -> list[Read | None]:
        if self.reference is None:
            return [None if one is None else _nothing(one) for one in located]
        same = not self.domains and self.reference.rendering == self.policy.rendering  # then the trees are the same
        there = located if same else self.reference.locate(samples, end=self.options.end)
        return self.reference.read(there)

    def _found(self, sample: Sample, policy: Read | None, reference: Read | None, domain: str | None) -> Found:
        if policy is None or reference is None:
            return self._unread(sample)
        if not policy.logps.size:
            return fault(NO_TOKEN)
        o = self.options
        spans, ratio = _difference(policy, reference)
        parts = sample.steps or (sample.text,)
        values = implicit_values(ratio, step_positions(parts, spans), beta=o.beta)
        steps = step_rewards(values, credit=o.credit)  # type: ignore[arg-type]
        total = o.beta * density_ratio(policy.logps, reference.logps, average=o.average)  # type: ignore[arg-type]
        detail: dict[str, object] = {"tokens": int(policy.logps.size), "logp": float(policy.logps.sum())}
        if self.reference is not None:
            detail["reference_logp"] = float(reference.logps.sum())
        if domain is not None:
            detail["domain"] = domain
        tokens = np.column_stack([spans, o.beta * ratio]).astype(np.float64)
        return Found(response_score(total, steps, over=o.over), steps, tokens, detail=detail)  # type: ignore[arg-type]

    def _unread(self, sample: Sample) -> Found:
        """Why nothing could be read: the completion is too long whatever stands before it, or what stands there is."""
        alone = [replace(sample, prompt=tuple(m for m in sample.prompt if m.role != "system"))]
        models = [m for m in (self.policy, self.reference) if m is not None]
        fits = all(m.locate(alone, end=self.options.end)[0] is not None for m in models)
        return abstention(SYSTEM_TOO_LONG) if fits else fault(TOO_LONG)


def _nothing(one: Located) -> Read:
    """A reference under which every token is certain: the ratio is then the likelihood."""
    return Read(one.spans, np.zeros(len(one.counted)), one.ids[one.counted].astype(np.int64))


def _difference(policy: Read, reference: Read) -> tuple[np.ndarray, Floats]:
    """Spans and log-ratio of each token, or of each part of the text that both tokenizations share."""
    if np.array_equal(policy.spans, reference.spans):
        return policy.spans, policy.logps - reference.logps
    spans, mine, theirs = common_spans(policy.spans, reference.spans)
    return spans, _summed(policy.logps, mine) - _summed(reference.logps, theirs)


def _summed(logps: Floats, counts: np.ndarray) -> Floats:
    """Sums of consecutive tokens, up to each count."""
    return np.asarray(np.diff(np.concatenate([[0.0], np.cumsum(logps)])[counts], prepend=0.0))


def ratio(
    policy: str, reference: str = "", beta: float = 0.05, average: str = "sum", credit: str = "single",
    over: str = "total", end: bool = True, domains: str = "", floor: float = -100.0, max_length: int = 2048,
) -> RatioReward:  # fmt: skip
    """The reward that `likelihood/ratio` names.

    Args:
        policy: folder or hub id of the strong or trained causal LM.
        reference: of the weak or starting one; empty for none.
        beta: see `RatioOptions`.
        average: see `RatioOptions`.
        credit: see `RatioOptions`.
        over: see `RatioOptions`.
        end: see `RatioOptions`.
        domains: YAML file of instructions and exemplars for the policy; empty for none.
        floor: lowest reward.
        max_length: longest sequence in tokens.
    """
    options = RatioOptions(beta, average, credit, over, end)
    return RatioReward(
        LanguageModel.open(policy, max_length=max_length),
        LanguageModel.open(reference, max_length=max_length) if reference else None,
        options=options, scale=Scale(floor=floor), domains=read_domains(domains) if domains else None,
    )  # fmt: skip
