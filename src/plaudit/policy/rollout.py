"""What a policy is trained on: completions as they were sampled, token by token, never tokenised again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, final, runtime_checkable

from plaudit.engine.generation import Finish, generate
from plaudit.engine.rendering import Encoder
from plaudit.errors import InputError
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as it is asked.

    Attributes:
        row: the prompt, its reference, and what else its row holds.
        ids: token ids up to where the assistant speaks.
        key: names the prompt and its place in the run; completions depend on it and on nothing else of the batch.
        together: names what a reward that compares a group sees as one, such as all wordings of a question; empty for
            the question alone.
    """

    row: PromptOnly
    ids: tuple[int, ...]
    key: str
    together: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion.

    Attributes:
        sample: what a reward sees; `meta` has the row's own columns, `tokens` (how many were sampled) and `finish`.
        prompt_ids: token ids of the prompt.
        completion_ids: the sampled tokens, the end of the sequence included where it came.
        logp: log-probability of each of them under the policy that sampled it, at its temperature, nats.
        finish: `eos`, or `length` where the limit of tokens ended it.
    """

    sample: Sample
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logp: tuple[float, ...]
    finish: Finish

    @classmethod
    def of(
        cls, question: Question, text: str, completion_ids: Sequence[int], logp: Sequence[float], finish: Finish
    ) -> Self:
        """The completion of a question; those of one question are a group.

        Raises:
            InputError: if ids and log-probabilities differ in number, or there is no token.
        """
        if len(completion_ids) != len(logp) or not completion_ids:
            raise InputError(
                f"rollout: {len(completion_ids)} token ids and {len(logp)} log-probabilities; give as many, at least 1"
            )
        row = question.row
        meta = {"tokens": len(completion_ids), "finish": finish, **row.meta}  # a row's own columns are the row's
        sample = Sample(row.prompt, text, row.reference, question.key, None, meta)
        return cls(sample, question.ids, tuple(completion_ids), tuple(logp), finish)

    def to_dict(self) -> dict[str, Any]:
        """What a log keeps; the question is known to who reads it."""
        return {"text": self.sample.text, "ids": list(self.completion_ids), "logp": list(self.logp),
                "finish": self.finish}  # fmt: skip

    @classmethod
    def from_dict(cls, question: Question, row: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls.of(question, row["text"], row["ids"], row["logp"], row["finish"])


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn."""

    completions: int = 8
    """Completions of each prompt: the group."""
    max_tokens: int = 256
    """Most tokens of a completion."""
    temperature: float = 1.0
    """Divides the logits, above 0; the log-probabilities that are trained on are at the same temperature."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens that holds this probability."""
    sequences: int = 256
    """Most sequences in one forward call."""

    def __post_init__(self) -> None:
        if self.completions < 1 or self.max_tokens < 1 or self.sequences < 1:
            raise InputError(
                f"sampling: completions {self.completions}, max_tokens {self.max_tokens}, sequences {self.sequences}; "
                "each is at least 1"
            )
        if not self.temperature > 0:
            raise InputError(
                f"sampling: temperature is {self.temperature}; give a number above 0 (without randomness the "
                "completions of a prompt are alike, and nothing is learnt from their comparison)"
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"sampling: top_p is {self.top_p}; give a probability above 0, at most 1")


class Sampler(Protocol):
    """Whatever completes questions: this process, or a server."""

    def __call__(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int, progress: Callable[[int], object] | None
    ) -> list[list[Rollout]]:
        """For each question, in order, its completions.

        Args:
            questions: what is asked.
            sampling: how.
            seed: of the randomness, with the questions' keys.
            progress: called with the number of completions finished so far.
        """
        ...


@runtime_checkable
class OneByOne(Protocol):
    """A sampler of which each question's completions come by themselves: those that have come need not wait."""

    def one_by_one(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int, progress: Callable[[int], object] | None,
        kept: Callable[[int, list[Rollout]], object],
    ) -> None:  # fmt: skip
        """As a `Sampler` is called; `kept` gets each question's number and completions, in any order and any thread."""
        ...


@final
class LocalSampler:
    """Samples from a transformers model in this process, by a key-value cache.

    Args:
        model: a causal language model; its weights are read anew in every call.
        encoder: renders prompts.
        device: where the random numbers are made; the same numbers whatever runs beside it.
    """

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self.model, self.tokenizer = model, encoder.tokenizer
        self.ends = ends_of(model, self.tokenizer)

    def __call__(
        self, questions: Sequence[Question], sampling: Sampling, *, seed: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Rollout]]:  # fmt: skip
        """See `Sampler`; a question's completions depend on weights, seed and its key, whatever is asked beside it."""
        if not questions:
            return []
        drawn = generate(
            self.model, [q.ids for q in questions], samples_per_prompt=sampling.completions,
            max_new_tokens=sampling.max_tokens, eos_id=self.ends, pad_id=int(self.tokenizer.pad_token_id or 0),
            generator=[generator_of(seed, q.key) for q in questions], temperature=sampling.temperature,
            top_p=sampling.top_p, batch_size=sampling.sequences, progress=progress,
        )  # fmt: skip
        return [
            [Rollout.of(q, self.text(g.completion_ids), g.completion_ids, g.logp, g.finish) for g in row]
            for q, row in zip(questions, drawn, strict=True)
        ]

    def text(self, ids: Sequence[int]) -> str:
        """The text of a completion, without its end."""
        kept = ids[:-1] if ids and ids[-1] in self.ends else ids
        return str(self.tokenizer.decode(list(kept), skip_special_tokens=True))


def generator_of(seed: int, key: str) -> torch.Generator:
    """A source of randomness that belongs to a seed and a question."""
    import torch

    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def ends_of(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a completion: those of the model's generation configuration and the tokenizer's.

    Raises:
        InputError: if neither names one: every completion would run to the limit.
    """
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found = [configured] if isinstance(configured, int) else list(configured or ())
    if tokenizer.eos_token_id is not None:
        found.append(tokenizer.eos_token_id)
    if not found:
        raise InputError("sampling: neither the model nor its tokenizer says which token ends a text; set eos_token")
    return tuple(sorted({int(i) for i in found}))


def questions_of(
    rows: Sequence[PromptOnly], encoder: Encoder, *, room: int
) -> tuple[list[tuple[PromptOnly, tuple[int, ...]]], list[int]]:
    """Prompts as token ids, and the rows that leave no room for a completion.

    Args:
        rows: prompts.
        encoder: renders them.
        room: tokens that a completion may need.

    Returns:
        The rows that fit with their ids, in order; and the numbers (from 0) of those that do not.
    """
    kept, long = [], []
    for i, row in enumerate(rows):
        kwargs = row.meta.get("chat_template_kwargs")
        ids = encoder.encode_prompt(row.prompt, tools=row.meta.get("tools"), kwargs=kwargs)
        if len(ids) + room <= encoder.template.max_length:
            kept.append((row, tuple(ids.tolist())))
        else:
            long.append(i)
    return kept, long
