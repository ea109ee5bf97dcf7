"""Rewards for OpenRLHF: a function, a server, and an agent. Contract read from OpenRLHF 0.11.2.

A file for `--reward.remote_url my_reward.py`:

    from plaudit.integrations.openrlhf import as_remote_reward
    reward_func = as_remote_reward("verify/math")

or a server for `--reward.remote_url http://HOST:5000/get_reward`:

    serve("verify/math", port=5000)

OpenRLHF has no way to say that a sample has no reward: a failure leaves None, and whether a whole batch then falls back
to another reward model is decided by its first sample. So nothing fails here: such a sample is worth `lost`, and
`extra_logs` says how many there were.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError
from plaudit.integrations.hosting import Source, judged, of_samples, worth_of_lost
from plaudit.integrations.samples import Text
from plaudit.records.sample import Sample, content_hash, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.verdicts import Verdict, assemble

ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<|return|>", "<end_of_turn>",
        "<eos>", "</s>", "<|end▁of▁sentence|>")  # fmt: skip
"""Marks at the end of a completion that OpenRLHF leaves in the text (it decodes with special tokens)."""

_logger = logging.getLogger(__name__)


def after_prompt(query: str, prompt: str) -> str:
    """The completion in a query: what follows the prompt.

    Raises:
        InputError: if the query does not begin with its prompt, as when the host has cut a long prompt.
    """
    if not query.startswith(prompt):
        raise InputError(
            f"the query does not begin with its prompt (it begins {query[:40]!r}, the prompt {prompt[:40]!r}): the "
            "host has cut or re-spelled it; raise its limit of tokens, or give completion_of=..."
        )
    return query[len(prompt) :]


class RemoteReward:
    """A reward in OpenRLHF's calling convention; made by `as_remote_reward`. It pickles where its reward does."""

    def __init__(
        self, reward: Source, *, lost: float | None = None, name: str = "", ends: Sequence[str] = ENDS,
        completion_of: Callable[[str, str], str] = after_prompt, read_prompt: Callable[[str], Text] | None = None,
    ) -> None:  # fmt: skip
        self.reward = of_samples("OpenRLHF", reward)
        self.lost = worth_of_lost("OpenRLHF", self.reward, lost)
        self.__name__ = name or self.reward.name
        self.ends = tuple(ends)
        self.completion_of, self.read_prompt = completion_of, read_prompt

    def __call__(self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
        """What `reward_func(queries, prompts, labels)` must return.

        Args:
            queries: n texts, each a prompt with its completion, special tokens included.
            prompts: n texts as the policy saw them.
            labels: n references.

        Returns:
            `rewards` (n finite numbers, for the advantage), `scores` (n numbers from 0 to 1, for dynamic filtering:
            the reward's place within its bounds), and `extra_logs`: n numbers each of `NAME/counted` and the shares of
            the outcomes, the same keys for every sample, as batching needs.
        """
        return self.told(self.judge(queries, prompts, labels))

    def judge(self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> RewardBatch:
        """The same as a batch of rewards; it does not raise for what a single sample holds."""
        made: list[Sample | Verdict] = [
            self._sample(q, p, r) for q, p, r in zip(queries, prompts, labels, strict=True)
        ]  # fmt: skip
        batch = judged("OpenRLHF", self.reward, [s for s in made if isinstance(s, Sample)])
        rows, at = [], 0
        for one in made:  # put those that could not be read back into their places
            if isinstance(one, Verdict):
                rows.append(assemble([one], self.reward.bounds[0]))
            else:
                rows.append(batch.take([at]))
                at += 1
        return RewardBatch.concat(rows)

    def told(self, batch: RewardBatch) -> dict[str, Any]:
        """A batch in the host's form: plain numbers."""
        low, high = self.reward.bounds
        rewards = np.where(batch.valid, batch.reward, self.lost)
        scores = (
            np.clip((rewards - low) / (high - low), 0.0, 1.0) if np.isfinite(high - low) and high > low else rewards
        )
        shares = {f"{self.__name__}/counted": batch.valid}
        for outcome in Outcome:
            if outcome is not Outcome.SCORED:
                shares[f"{self.__name__}/{outcome.name.lower()}"] = batch.outcome == outcome
        if not batch.valid.all():
            reasons = sorted({str(batch.detail[i].get("reason")) for i in np.flatnonzero(~batch.valid)})
            _logger.warning(
                "%s: %d of %d completions have no reward and count as %g: %s",
                self.__name__, int((~batch.valid).sum()), len(batch), self.lost, "; ".join(reasons)[:500],
            )  # fmt: skip
        return {
            "rewards": rewards.tolist(),
            "scores": scores.tolist(),
            "extra_logs": {key: share.astype(float).tolist() for key, share in shares.items()},
        }

    def answer(self, payload: Any) -> dict[str, Any]:
        """The answer to a request `{"query": [...], "prompts": [...], "labels": [...]}`.

        Raises:
            InputError: if the payload has another form; that is no problem of scoring, and asking again would not help.
        """
        if not isinstance(payload, Mapping) or not isinstance(payload.get("query"), list):
            raise InputError('openrlhf: the payload must be {"query": [texts], "prompts": [texts], "labels": [any]}')
        queries = payload["query"]
        prompts, labels = payload.get("prompts"), payload.get("labels")
        prompts = [""] * len(queries) if prompts is None else prompts
        labels = [None] * len(queries) if labels is None else labels
        for name, column in {"query": queries, "prompts": prompts}.items():
            if not isinstance(column, list) or not all(isinstance(text, str) for text in column):
                raise InputError(f"openrlhf: {name} must be a list of texts")
        if not isinstance(labels, list):
            raise InputError("openrlhf: labels must be a list with a reference for each query")
        if not len(queries) == len(prompts) == len(labels):
            raise InputError(
                f"openrlhf: {len(queries)} queries, {len(prompts)} prompts and {len(labels)} labels; give as many"
            )
        return self(queries, prompts, labels)

    def _sample(self, query: str, prompt: str, label: Any) -> Sample | Verdict:
        try:
            text = self.completion_of(query, prompt)
            turns = conversation(self.read_prompt(prompt) if self.read_prompt else prompt)
        except Exception as error:  # the user's functions may raise anything; the sample is lost, the request is not
            _logger.exception("%s: a query could not be read", self.__name__)
            return Verdict.broken(f"{type(error).__name__}: {error}")
        return self.sample(turns, self._without_ends(text), label)

    def sample(self, prompt: Any, text: str, label: Any) -> Sample:
        """A completion as a sample; those of one prompt are a group."""
        turns = conversation(prompt)
        return Sample(turns, text, label, content_hash([turn.to_dict() for turn in turns]))

    def _without_ends(self, text: str) -> str:
        while end := next((e for e in self.ends if text.rstrip().endswith(e)), None):
            text = text.rstrip().removesuffix(end)
        return text


def as_remote_reward(reward: Source, **options: Any) -> RemoteReward:
    """A reward as OpenRLHF's `reward_func(queries, prompts, labels)`.

    Args:
        reward: a reward, or a reference to one.
        options: `lost` (what a sample without a reward is worth; the reward's floor by default), `name` (the prefix in
            the logs), `ends` (marks to take off a completion's end), `completion_of(query, prompt)` (cuts the
            completion out of a query; by default what follows the prompt) and `read_prompt(prompt)` (the prompt as
            messages: a reward model renders them itself, so that it must not be given a rendered prompt).

    Raises:
        InputError: if the reward has no finite floor and `lost` is not given.
        UnsupportedError: if it compares completions: OpenRLHF asks for one at a time.
    """
    return RemoteReward(reward, **options)


def as_agent_executor(reward: Source, **options: Any) -> type:
    """A class to be named `AgentExecutor` in the file of `--train.agent_func_path`: one reply, then the reward.

    Args:
        reward: a reward, or a reference to one.
        options: those of `as_remote_reward`.

    Raises:
        MissingError: if OpenRLHF is not installed.
    """
    try:
        from openrlhf.utils.agent import (  # type: ignore[import-not-found,unused-ignore]
            AgentInstanceBase,
            MultiTurnAgentExecutor,
        )
    except ImportError as error:
        raise MissingError(f"openrlhf: cannot be imported ({error}); pip install openrlhf") from error
    import asyncio

    import torch

    made = as_remote_reward(reward, **options)

    class Instance(AgentInstanceBase):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            del args, kwargs

        async def step(self, state_dict: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
            del kwargs
            prompt, reply = state_dict["observation_text"], state_dict["action_text"]
            found = await asyncio.to_thread(made, [prompt + reply], [prompt], [state_dict["label"]])
            return {
                "rewards": torch.tensor(found["rewards"][0]),
                "scores": found["scores"][0],
                "environment_feedback": "",
                "done": True,
                "extra_logs": {key: values[0] for key, values in found["extra_logs"].items()},
            }

    class AgentExecutor(MultiTurnAgentExecutor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(Instance)

    return AgentExecutor
