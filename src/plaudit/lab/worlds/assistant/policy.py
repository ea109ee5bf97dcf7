"""Starting policies: small Llamas trained from scratch, in seconds, on demonstrations of mixed quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plaudit.errors import InputError, nearest
from plaudit.lab.worlds.assistant import lexicon as lx
from plaudit.lab.worlds.assistant.world import World
from plaudit.lab.worlds.imitation import imitate
from plaudit.records.message import Message
from plaudit.records.sample import Sample

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

SIZES = {"small": (2, 64, 4), "medium": (4, 128, 4), "large": (6, 224, 7)}
"""Layers, width and heads: about 0.14M, 0.9M and 3.5M parameters."""

_ROLE = {"system": lx.SYSTEM, "user": lx.USER, "assistant": lx.ASSISTANT}


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """How the starting policy is made."""

    size: str = "small"
    """One of `SIZES`."""

    demonstrations: int = 6000
    """Prompts with a completion of mixed quality."""

    epochs: float = 4.0
    """Passes over the demonstrations."""

    batch_size: int = 32
    """Demonstrations a step."""

    learning_rate: float = 8e-3
    """Peak of the schedule (linear warm-up over a tenth, then cosine to zero)."""


def llama_config(size: str) -> Any:
    """The configuration of a small Llama over the world's vocabulary; also a backbone for reward models.

    Args:
        size: one of `SIZES`.

    Raises:
        InputError: if the size is not known.
    """
    from transformers import LlamaConfig

    if size not in SIZES:
        raise InputError(f"llama_config: size {size!r} is not known; {nearest(size, SIZES)}")
    layers, width, heads = SIZES[size]
    return LlamaConfig(
        vocab_size=len(lx.WORDS),
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 8 * 8,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.06,  # at these widths 0.02 delays copying of the subject by hundreds of steps
        pad_token_id=lx.PAD,
        eos_token_id=lx.EOS,
        bos_token_id=None,
    )


def prompt_ids(prompt: Sequence[Message]) -> list[int]:
    """Token ids of a prompt up to the assistant's turn; equals the chat template with a generation prompt."""
    out: list[int] = []
    for message in prompt:
        out += [_ROLE[message.role], *lx.ids(message.text.split()).tolist()]
        if message.role == "assistant":
            out.append(lx.EOS)
    return [*out, lx.ASSISTANT]


def completion_text_of(ids: Sequence[int]) -> str:
    """The words of sampled ids, without the end of the sequence."""
    return " ".join(lx.WORDS[i] for i in ids if i != lx.EOS)


def train_policy(
    world: World,
    config: PolicyConfig,
    *,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
) -> LlamaForCausalLM:
    """A policy trained from scratch by maximum likelihood of completions given prompts.

    Args:
        world: the instance whose demonstrations it learns.
        config: size and training.
        seed: of initialisation and order; demonstrations depend on the instance only.
        progress: called with steps done and their total.
    """
    demos = world.demonstrations(config.demonstrations, seed=1)
    rows = [(prompt_ids(s.prompt), [*lx.ids(s.text.split()).tolist(), lx.EOS]) for s in demos]
    model: LlamaForCausalLM = imitate(
        llama_config(config.size), rows, epochs=config.epochs, batch_size=config.batch_size,
        learning_rate=config.learning_rate, seed=seed, progress=progress,
    )  # fmt: skip
    return model


def sample_completions(
    model: Any,
    prompts: Sequence[Sequence[Message]],
    *,
    each: int,
    seed: int,
    temperature: float = 1.0,
    progress: Callable[[int], object] | None = None,
) -> list[list[str]]:
    """Texts sampled from a policy of the world, `each` a prompt.

    Args:
        model: a causal language model over the world's vocabulary.
        prompts: conversations.
        each: completions a prompt.
        seed: of the sampling.
        temperature: divides the logits.
        progress: called with the number of completions so far.
    """
    import torch

    from plaudit.engine.generation import generate
    from plaudit.lab.worlds.assistant.grammar import LONGEST_COMPLETION

    drawn = generate(
        model,
        [prompt_ids(p) for p in prompts],
        samples_per_prompt=each,
        max_new_tokens=LONGEST_COMPLETION + 1,
        temperature=temperature,
        eos_id=lx.EOS,
        pad_id=lx.PAD,
        suppress=[i for i in range(len(lx.SPECIALS)) if i != lx.EOS],  # a text is words only
        generator=torch.Generator().manual_seed(seed),
        batch_size=1024,
        progress=progress,
    )
    return [[completion_text_of(g.completion_ids) for g in row] for row in drawn]


def samples_of(prompts: Sequence[tuple[Message, ...]], texts: Sequence[Sequence[str]]) -> list[Sample]:
    """Samples of completions, prompt by prompt, with the prompt's number as their group."""
    return [Sample(p, t, group=str(i)) for i, (p, row) in enumerate(zip(prompts, texts, strict=True)) for t in row]
