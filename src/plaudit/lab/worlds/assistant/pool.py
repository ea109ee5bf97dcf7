"""A pool of sampled completions with their exact true rewards: what best-of-n and bias tests draw on."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.policy import completion_text_of
from plaudit.lab.worlds.assistant.world import World
from plaudit.records.message import Message
from plaudit.records.sample import Sample


@dataclass(frozen=True)
class Pool:
    """P prompts with N completions each.

    Attributes:
        prompts: the conversations.
        ids: completions as token ids, padded on the right, int16 (P, N, L).
        truth: true reward, (P, N).
        aspects: the twelve aspects, (P, N, 12).
        kinds: kind of each request.
    """

    prompts: tuple[tuple[Message, ...], ...]
    ids: Int[np.ndarray, "P N L"] = field(repr=False)
    truth: Float[np.ndarray, "P N"] = field(repr=False)
    aspects: Float[np.ndarray, "P N 12"] = field(repr=False)
    kinds: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, world: World, prompts: list[tuple[Message, ...]], texts: list[list[str]]) -> Pool:
        """The pool of sampled texts, judged by the instance."""
        from plaudit.lab.worlds.assistant.aspects import completion_ids
        from plaudit.lab.worlds.assistant.policy import samples_of

        shape = (len(prompts), len(texts[0]))
        parsed = world.parse(samples_of(prompts, texts))
        ids = completion_ids([t for row in texts for t in row]).astype(np.int16)
        return cls(
            prompts=tuple(prompts),
            ids=ids.reshape(*shape, -1),
            truth=world.utility(parsed).reshape(shape),
            aspects=parsed.values.reshape(*shape, -1),
            kinds=tuple(world.request(p).kind for p in prompts),
        )

    def samples(self) -> list[Sample]:
        """All completions, prompt by prompt, grouped by prompt: reshape their rewards to `truth.shape`."""
        return [
            Sample(prompt, completion_text_of(row[row != lx.PAD].tolist()), group=str(i), meta={"kind": kind})
            for i, (prompt, kind) in enumerate(zip(self.prompts, self.kinds, strict=True))
            for row in self.ids[i]
        ]

    def save(self, path: Path) -> None:
        """Writes the pool, atomically."""
        from plaudit.runs.atomic import write_bytes

        prompts = json.dumps([[m.to_dict() for m in p] for p in self.prompts])
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, ids=self.ids, truth=self.truth, aspects=self.aspects, kinds=np.array(self.kinds),
            prompts=np.frombuffer(prompts.encode(), dtype=np.uint8),
        )  # fmt: skip
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Pool:
        """The inverse of `save`."""
        with np.load(path, allow_pickle=False) as data:
            rows = json.loads(data["prompts"].tobytes().decode())
            prompts = tuple(tuple(Message.from_dict(m) for m in row) for row in rows)
            kinds = tuple(str(k) for k in data["kinds"])
            return cls(prompts, data["ids"], data["truth"], data["aspects"], kinds)
