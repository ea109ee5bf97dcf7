"""The online algorithms that can be named: advantages, a loss for each token, and denominators.

An algorithm is given with its options as a reward is: `grpo`, `dapo?clip_high=0.3`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from plaudit._lazy import attribute
from plaudit.errors import InputError, nearest
from plaudit.policy.online.method import WEIGHTS, Critic, Method, Process, Tokens, Weights
from plaudit.training.methods import parsed


@dataclass(frozen=True, slots=True)
class Online:
    """An online algorithm that can be named.

    Attributes:
        summary: one line for `plaudit align help`.
        estimator: `module:class` of the advantages.
        surrogate: `module:function` of the loss a token.
        weights: denominators, see `token_weights`; an option of every algorithm.
        advantage_options: options of the estimator, with our defaults.
        loss_options: options of the loss.
        fixed: arguments of the loss that make it this algorithm.
        inside: `module:class` of an estimator that this one wraps.
        inside_fixed: its arguments.
        inside_options: options of it.
        critic_options: options of a value function beside the policy, see `Critic`; empty for none.
        process_options: of a model of token rewards beside it, see `Process`; empty for none.
        token_options: of a model of what tokens have to do with outcomes, see `Tokens`; empty for none.
        compresses: whether it has the option `compress`, see `Method`.
        reads: see `Method`.
        needs: the data, in words.
    """

    summary: str
    estimator: str
    surrogate: str
    weights: Weights = "token"
    advantage_options: Mapping[str, Any] = field(default_factory=dict)
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""
    inside_fixed: Mapping[str, Any] = field(default_factory=dict)
    inside_options: Mapping[str, Any] = field(default_factory=dict)
    critic_options: Mapping[str, Any] = field(default_factory=dict)
    process_options: Mapping[str, Any] = field(default_factory=dict)
    token_options: Mapping[str, Any] = field(default_factory=dict)
    compresses: bool = False
    reads: tuple[str, ...] = ()
    needs: str = "prompts, with the references that the reward reads"

    @property
    def options(self) -> dict[str, Any]:
        """Name to default, of everything that can be set."""
        beside = {**self.inside_options, **self.critic_options, **self.process_options, **self.token_options}
        fixed = {} if self.weights == "outcome" else {"weights": self.weights}
        compress = {"compress": ""} if self.compresses else {}
        return {**self.advantage_options, **beside, **self.loss_options, **compress, **fixed}

    def build(self, options: Mapping[str, Any]) -> Method:
        """The algorithm with all of its options.

        Raises:
            InputError: if an option is out of range.
        """
        weights = options.get("weights", self.weights)
        if weights not in WEIGHTS or (weights == "outcome") != (self.weights == "outcome"):
            raise InputError(f"weights {weights!r} is not known; {nearest(weights, WEIGHTS[:-1])}")

        def chosen(names: Mapping[str, Any]) -> dict[str, Any]:
            return {name: options[name] for name in names}

        arguments = chosen(self.advantage_options)
        if self.inside:
            arguments["of"] = attribute(self.inside)(**self.inside_fixed, **chosen(self.inside_options))
        loss = chosen(self.loss_options)
        if "delta" in loss:
            loss["delta"] = loss["delta"] or None
        return Method(
            attribute(self.estimator)(**arguments), partial(attribute(self.surrogate), **self.fixed, **loss), weights,
            self.reads, Critic(**chosen(self.critic_options)) if self.critic_options else None,
            Process(**chosen(self.process_options)) if self.process_options else None,
            Tokens(**chosen(self.token_options)) if self.token_options else None, options.get("compress", ""),
        )  # fmt: skip


_A, _L = "plaudit.policy.advantages", "plaudit.policy.losses"
_GROUP, _CLIPPED = f"{_A}.relative:GroupRelative", f"{_L}.surrogates:clipped"
_CLIP = {"clip_low": 0.2, "clip_high": 0.2, "delta": 0.0}
_PLAIN = {"scale": "none"}
_GAE = {"gamma": 1.0, "lam": 0.95, "whiten": True}
_CRITIC = {"value_coef": 0.1, "value_clip": 0.2, "value_rate": 10.0, "trunk": True}
_COMPARED = "prompts; --reward names a comparison, which compares each prompt's completions with each other"

ONLINE: dict[str, Online] = {
    "grpo": Online(
        "advantages beside the siblings of a prompt, in units of their deviation; clipped ratio", _GROUP, _CLIPPED,
        "sequence", {"scale": "group"}, _CLIP,
    ),
    "dr-grpo": Online(
        "GRPO without the deviation and without lengths in the denominator", _GROUP, _CLIPPED, "constant", _PLAIN, _CLIP
    ),
    "dapo": Online(
        "GRPO with a higher upper bound and a mean over tokens, without prompts that are all right or all wrong",
        f"{_A}.filtering:WithinAccuracy", _CLIPPED, "token", {"low": 0.0, "high": 1.0, "open": True},
        {**_CLIP, "clip_high": 0.28}, inside=_GROUP,
    ),
    "gspo": Online(
        "GRPO with the ratio of whole completions, bounded tightly", _GROUP, _CLIPPED, "sequence", {"scale": "group"},
        {"clip_low": 3e-4, "clip_high": 4e-4}, {"level": "sequence"},
    ),
    "cispo": Online(
        "REINFORCE with the ratio as a bounded weight: no token loses its gradient", _GROUP, f"{_L}.surrogates:cispo",
        "token", {"scale": "group"}, {"low": 0.0, "high": 5.0},
    ),
    "sapo": Online(
        "a soft trust region in place of the clip", _GROUP, f"{_L}.surrogates:sapo", "sequence", {"scale": "group"},
        {"temperature_pos": 1.0, "temperature_neg": 1.05},
    ),
    "luspo": Online(
        "GSPO whose completions count by their length", _GROUP, _CLIPPED, "sequence-sum", {"scale": "group"},
        {"clip_low": 2e-3, "clip_high": 2.5e-3}, {"level": "sequence"},
    ),
    "vespo": Online(
        "a weight of whole completions that falls smoothly on both sides", _GROUP, f"{_L}.sequences:vespo", "token",
        {"scale": "group"},
    ),
    "gmpo": Online(
        "the geometric mean of a completion's clipped ratios", _GROUP, f"{_L}.sequences:gmpo", "sequence",
        {"scale": "group"}, {"clip_low": 0.4, "clip_high": 0.4},
    ),
    "rloo": Online(
        "the reward less the mean of the siblings', the ratio of whole completions", f"{_A}.relative:LeaveOneOut",
        _CLIPPED, "sequence", {"normalise": False}, {"clip_low": 0.2, "clip_high": 0.2}, {"level": "sequence-sum"},
    ),
    "reinforce": Online(
        "policy gradient on fresh samples, the mean of the siblings as the baseline", _GROUP,
        f"{_L}.surrogates:reinforce", "token", _PLAIN,
    ),
    "reinforce++": Online(
        "returns whitened over the whole batch; no groups needed", f"{_A}.whitening:ReinforcePlusPlus", _CLIPPED,
        "token", {"gamma": 1.0}, _CLIP,
    ),
    "reinforce++-baseline": Online(
        "the mean of the siblings taken off, then whitened over the batch",
        f"{_A}.whitening:ReinforcePlusPlusBaseline", _CLIPPED, "token", {}, _CLIP,
    ),
    "stable-reinforce": Online(
        "REINFORCE++ with clamped log-ratios, without advantages beyond three deviations [15]",
        f"{_A}.wrapping:WithoutOutliers", _CLIPPED, "sequence", {"threshold": 3.0},
        {"clip_low": 0.2, "clip_high": 0.2}, {"clamp": (1e-3, 1e3)}, f"{_A}.whitening:ReinforcePlusPlus",
        inside_options={"gamma": 1.0},
    ),
    "pf-ppo": Online(
        "PPO on completions whose rewards can be relied on: the best and the worst of a group [105]",
        f"{_A}.wrapping:Filtered", _CLIPPED, "token", {"filter": "best-worst"}, _CLIP,
        inside=f"{_A}.critic:ValueBased", inside_options=_GAE, critic_options=_CRITIC,
    ),
    "rlpr": Online(
        "only prompts whose rewards differ enough beside those of earlier batches [132]",
        f"{_A}.filtering:SpreadFiltered", _CLIPPED, "token", {}, {**_CLIP, "clip_high": 0.27}, inside=_GROUP,
    ),
    "tempo": Online(
        "credit where completions part: the value of a shared beginning [138]", f"{_A}.credit:BranchCredit", _CLIPPED,
        "token", {}, _CLIP,
    ),
    "grpo-lambda": Online(
        "right answers are paid for brevity where the policy has mastered the prompt [36]",
        f"{_A}.reshaped:BriefWhereMastered", _CLIPPED, "sequence", {"share": 0.2, "alpha": 0.6}, _CLIP, inside=_GROUP,
    ),
    "traac": Online(
        "right answers are paid for brevity by how hard the prompt is [31]", f"{_A}.reshaped:BriefByDifficulty",
        _CLIPPED, "sequence", {}, _CLIP, inside=_GROUP, compresses=True,
    ),
    "grpo-s": Online(
        "advantages scaled by how hard a prompt's data is and how the model responds [122]",
        f"{_A}.wrapping:DifficultyScaled", _CLIPPED, "sequence", {"cut": 3.0}, _CLIP, inside=_GROUP,
        needs="prompts with numbers `hardness` and `gap`, and the references that the reward reads",
    ),
    "ema-grpo": Online(
        "one running deviation for each task [83]", f"{_A}.tasks:TaskScaled", _CLIPPED, "token", {}, _CLIP,
        needs="prompts with a `task`, and the references that the reward reads",
    ),
    "crpg": Online(
        "what judges do not allow, or is far from the reference, earns nothing [62]", f"{_A}.reshaped:Constrained",
        f"{_L}.surrogates:reinforce", "sequence-sum", {"kl_max": 10.0}, inside=_GROUP, inside_fixed=_PLAIN,
        needs="prompts; the reward, between 0 and 1, needs an aspect `allowed`, 1 or 0",
    ),
    "crraft": Online(
        "fine-tuning on the best completion of each prompt that judges allow [62]", f"{_A}.reshaped:BestAllowed",
        f"{_L}.surrogates:reinforce", "sequence", {"kl_max": 10.0},
        needs="prompts; the reward, between 0 and 1, needs an aspect `allowed`, 1 or 0",
    ),
    "codpo": Online(
        "DPO of the best completion that judges allow against the worst that they do not [62]",
        f"{_A}.reshaped:ContrastAllowed", f"{_L}.comparing:codpo_pairs", "sequence-sum", {},
        {"beta": 0.1, "likelihood": 0.1}, reads=("group", "ref_logp"),
        needs="prompts; the reward needs an aspect `allowed`, 1 or 0",
    ),
    "pref-grpo": Online(
        "GRPO on how often a completion wins against its siblings: a comparison in place of a reward [128]",
        f"{_A}.pairwise:WinRates", _CLIPPED, "sequence", {"clip": 5.0}, _CLIP, needs=_COMPARED,
    ),
    "pairwise-rlhf": Online(
        "GRPO straight from by how much a completion beats each sibling, circles and all [143]",
        f"{_A}.pairwise:Strengths", _CLIPPED, "sequence", {}, _CLIP, needs=_COMPARED,
    ),
    "online-dno": Online(
        "cross-entropy of pairs of fresh samples to their win rates: a step towards the Nash equilibrium [20]",
        f"{_A}.pairwise:WinRates", f"{_L}.playing:dno_pairs", "sequence-sum", {}, {"beta": 0.1},
        reads=("reward", "group"), needs=_COMPARED,
    ),
    "online-inpo": Online(
        "log-ratios of fresh samples regressed on win rates, regularised to the start: mirror descent [146]",
        f"{_A}.pairwise:WinRates", f"{_L}.playing:inpo_pairs", "sequence-sum", {}, {"eta": 7.5e-3, "tau": 2.5e-3},
        reads=("reward", "group", "ref_logp"), needs=_COMPARED,
    ),
    "ppo": Online(
        "advantages beside a value function that is fitted on the way, a head on the policy itself",
        f"{_A}.critic:ValueBased", _CLIPPED, "token", _GAE, _CLIP, critic_options=_CRITIC,
    ),
    "prime": Online(
        "outcomes, and rewards of single tokens by a model that is fitted to outcomes on the way [198]",
        f"{_A}.filtering:WithinAccuracy", _CLIPPED, "token", {"low": 0.2, "high": 0.8}, _CLIP,
        inside=f"{_A}.credit:StreamCredit", inside_options={"outcome": 1.0, "process": 1.0},
        process_options={"beta": 0.05, "process_rate": 1e-6, "process_norm": 10.0},
        needs="prompts with references; the reward has bounds, above whose middle is right",
    ),
    "oreal": Online(
        "one right completion of a prompt is copied, one wrong one pushed away; all tokens count alike [24]",
        f"{_A}.reshaped:OneOfEachKind", f"{_L}.outcomes:outcome_pairs", "outcome", {}, {"wrong": 0.5},
        reads=("correct",), needs="prompts with references; the reward has bounds, above whose middle is right",
    ),
    "oreal-tokens": Online(
        "the same, each token by what a model that is fitted to outcomes on the way says it had to do with them [24]",
        f"{_A}.reshaped:OneOfEachKind", f"{_L}.outcomes:outcome_tokens", "outcome", {}, {"wrong": 0.5},
        reads=("correct", "importance"), token_options={"token_rate": 2e-6, "token_norm": 1.0, "token_first": 10},
        needs="prompts with references; the reward has bounds, above whose middle is right",
    ),
}  # fmt: skip


def online(text: str) -> tuple[str, Method]:
    """The online algorithm that a text names.

    Args:
        text: `name` or `name?option=value&option=value`.

    Raises:
        InputError: if the algorithm or an option is not known, or a value is none that the option can have.
    """
    name, options = parsed(text, {name: one.options for name, one in ONLINE.items()}, noun="algorithm")
    return name, replace(ONLINE[name].build(options), name=text)


__all__ = ["ONLINE", "Method", "Online", "online"]
