"""Members of ensembles in the assistant world: what differs between them, and what they share.

Nothing that is made here is pretrained, so another *random initialisation of the backbone* stands for another
pretraining seed; members that start from the same backbone and differ in head and data order stand for fine-tuning
seeds. That is a weaker contrast than the papers': a pretrained backbone brings beliefs of its own, a random one only
features. `rewards/pretraining_seeds` has members that are fine-tuned from language models of their own seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, nearest
from plaudit.lab.counts import check_counts
from plaudit.lab.fitting import reward_in_world
from plaudit.lab.worlds.assistant.annotators import Knobs
from plaudit.lab.worlds.assistant.policy import PolicyConfig, llama_config
from plaudit.lab.worlds.assistant.pool import Pool
from plaudit.lab.worlds.assistant.prepared import Prepared, hash_seed, prepare
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.rewards.base import Reward
from plaudit.search.best_of_n import best_of_n_values, peak_and_turn
from plaudit.training.groups import TrainingRow
from plaudit.training.methods import chosen

Numbers = NDArray[np.float64]


def prepared(seed: int, demonstrations: int, epochs: float) -> Prepared:
    """The instance with its starting policy, from the cache."""
    return prepare(seed, PolicyConfig(demonstrations=demonstrations, epochs=epochs))


def train_member(
    rows: Sequence[TrainingRow], *, backbone: int, member: int, size: str, epochs: float = 3.0,
    objective: str = "bradley-terry",
) -> Reward:  # fmt: skip
    """One model: weights of the backbone from one seed, head and data order from another.

    Args:
        rows: what it learns from.
        backbone: seed of the backbone's weights.
        member: seed of the head's weights and of the order of the rows.
        size: of the world's models.
        epochs: passes over the rows.
        objective: see `FitConfig.objective`.
    """
    with tempfile.TemporaryDirectory(prefix="plaudit-member-") as name:
        start = Path(name) / "start"
        write_start(start, backbone=backbone, head=member, size=size, outputs=chosen(objective).head.outputs)
        return reward_in_world(rows, seed=member, size=size, objective=objective, epochs=epochs, backbone=start)


def write_start(folder: Path, *, backbone: int, head: int, size: str, outputs: int = 1) -> None:
    """A model folder with random weights: those of the backbone from one seed, the head's from another."""
    import torch
    from transformers import LlamaForSequenceClassification

    config = llama_config(size)
    config.num_labels = outputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(backbone)
        model = LlamaForSequenceClassification(config)
        torch.manual_seed(head)
        torch.nn.init.normal_(model.score.weight, std=config.initializer_range)
        model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def seeds_of(seed: int, kind: str, count: int) -> list[tuple[int, int]]:
    """Backbone's and member's seed of each member.

    Args:
        seed: of the instance.
        kind: `pretrain`: every member has a backbone of its own; `finetune`: all share the first one's.
        count: members, at least 1. The first member is the same in both kinds.

    Raises:
        InputError: if there is no such kind, or no member.
    """
    if kind not in ("pretrain", "finetune"):
        raise InputError(f"seeds_of: kind {kind!r} is not known; {nearest(kind, ('pretrain', 'finetune'))}")
    check_counts("seeds_of", least=1, count=count)
    backbones = [hash_seed(seed, 51, i if kind == "pretrain" else 0) for i in range(count)]
    return [(backbone, hash_seed(seed, 52, i)) for i, backbone in enumerate(backbones)]


def noisy_pairs(world: Prepared, pairs: int, *, flips: float, length_bias: float = 0.0) -> Sequence[TrainingRow]:
    """Training pairs of an instance; the knobs change labels only."""
    return world.pairs(pairs, Knobs(flips=flips, length_bias=length_bias), seed=1)


def pool_groups(pool: Pool) -> list[int]:
    """The prompt of each sample of a pool, in the order of `pool.samples()`."""
    return np.repeat(np.arange(pool.truth.shape[0]), pool.truth.shape[1]).tolist()


def selected(proxy: Numbers, pool: Pool, *, largest: int, seed: int) -> dict[str, float]:
    """True reward of the best of `largest` by a proxy, and how far it has fallen from its peak.

    Returns:
        `true_largest`, `true_1`, and `drop`: the peak is chosen on one half of the prompts and measured on the other.
    """
    table = proxy.reshape(pool.truth.shape)
    ns = [2**k for k in range(largest.bit_length()) if 2**k <= largest]
    ends = best_of_n_values(table, pool.truth, [1, ns[-1]]).mean(axis=0)
    turn = peak_and_turn(table, pool.truth, ns, seed=seed)
    return {"true_largest": float(ends[1]), "true_1": float(ends[0]), "drop": turn.drop.value}
