"""Starting policies of the world, cached; and sampling from them within the token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plaudit.lab.worlds.arithmetic.habits import BUDGET, Habits, demonstrations, ends
from plaudit.lab.worlds.arithmetic.problems import Problem, draw_problems
from plaudit.lab.worlds.arithmetic.symbols import ASK, EOS, PAD, SAY, SPECIALS, TOKENS, build_tokenizer, ids, text_of
from plaudit.lab.worlds.imitation import imitate
from plaudit.records.sample import content_hash

VERSION = 1
"""Raised whenever an instance changes: cached policies and results of older versions are then not used."""


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """How a starting policy is made."""

    layers: int = 2
    """Layers of the model."""
    width: int = 64
    """Its width; 2 layers of 64 are about 0.1M parameters."""
    depth: tuple[int, int] = (2, 4)
    """Fewest and most operations of the demonstrations."""
    demonstrations: int = 8000
    """Solutions that it learns from."""
    epochs: float = 6.0
    """Passes over them."""
    learning_rate: float = 6e-3
    """Peak of the schedule."""
    habits: Habits = field(default_factory=Habits)
    """How the demonstrations err."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sampled solution.

    Attributes:
        text: without the end.
        prompt_ids: of the question.
        completion_ids: as sampled, the end included where it came.
        finished: whether it ended within the budget.
    """

    text: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    finished: bool


def prompt_ids(problem: Problem) -> list[int]:
    """Token ids of a question up to the answer; equals the chat template with a generation prompt."""
    return [ASK, *ids(problem.text), SAY]


def start(seed: int, config: PolicyConfig, *, cache: Path) -> Any:
    """The starting policy of an instance: read from the cache, or trained and kept there.

    Args:
        seed: of demonstrations, initialisation and order.
        config: size, training, habits.
        cache: folder.
    """
    from transformers import AutoModelForCausalLM, LlamaConfig

    from plaudit.runs.atomic import atomic_folder

    folder = cache / "arithmetic" / content_hash([VERSION, seed, asdict(config)])
    if not folder.exists():
        problems = draw_problems(config.demonstrations, seed=seed, depth=config.depth)
        rows = [
            (prompt_ids(p), [*ids(text), EOS] if ends(text) else ids(text)[:BUDGET])
            for p, text in zip(problems, demonstrations(problems, config.habits, seed=seed), strict=True)
        ]
        shape = LlamaConfig(
            vocab_size=len(TOKENS), hidden_size=config.width, intermediate_size=config.width * 8 // 3 // 8 * 8,
            num_hidden_layers=config.layers, num_attention_heads=4, max_position_embeddings=128,
            tie_word_embeddings=True, initializer_range=0.06, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=None,
        )  # fmt: skip
        model = imitate(shape, rows, epochs=config.epochs, batch_size=32, learning_rate=config.learning_rate, seed=seed)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as temporary:
            model.save_pretrained(temporary)
            build_tokenizer().save_pretrained(temporary)
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def sample(
    model: Any, problems: Sequence[Problem], *, each: int, seed: int, temperature: float = 1.0, budget: int = BUDGET
) -> list[list[Drawn]]:
    """Solutions sampled from a policy, `each` a problem, in their order.

    Args:
        model: a causal model over the world's tokens.
        problems: what is asked.
        each: solutions a problem.
        seed: of the sampling.
        temperature: divides the logits.
        budget: most tokens of a solution.
    """
    import torch

    from plaudit.engine.generation import generate

    drawn = generate(
        model, [prompt_ids(p) for p in problems], samples_per_prompt=each, max_new_tokens=budget,
        temperature=temperature, eos_id=EOS, pad_id=PAD, suppress=[i for i in range(len(SPECIALS)) if i != EOS],
        generator=torch.Generator().manual_seed(seed), batch_size=1024,
    )  # fmt: skip
    return [
        [Drawn(text_of(g.completion_ids), g.prompt_ids, g.completion_ids, g.finish == "eos") for g in row]
        for row in drawn
    ]
