"""An instance made ready: its starting policy trained, its true reward calibrated, its pools cached on disk.

The cache lies in `PLAUDIT_CACHE`, else in `plaudit` under `XDG_CACHE_HOME` or `~/.cache`. A folder's name is
the hash of everything that made it; a folder is there whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.counts import check_counts
from plaudit.lab.worlds.assistant.annotators import Knobs
from plaudit.lab.worlds.assistant.policy import PolicyConfig, sample_completions, samples_of, train_policy
from plaudit.lab.worlds.assistant.pool import Pool
from plaudit.lab.worlds.assistant.preferences import label_pairs, rate_lists
from plaudit.lab.worlds.assistant.tokenizer import build_tokenizer
from plaudit.lab.worlds.assistant.world import VERSION, Side, TrueReward, World
from plaudit.records.message import Message
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample, content_hash

Report = Callable[[str, int, int], object]
"""Told what is being done, how much of it is done, and of how much."""

CALIBRATION = (250, 8)
"""Prompts and completions each on which U is scaled to deviation 1 within prompts."""


def cache_folder() -> Path:
    """Where worlds keep what is costly to make again."""
    if own := os.environ.get("PLAUDIT_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "plaudit"


@dataclass(frozen=True)
class Prepared:
    """An instance with its starting policy.

    Attributes:
        world: calibrated: U has mean 0, and deviation 1 within prompts, under the policy.
        folder: in the cache; `policy/` in it is a transformers model with its tokenizer.
    """

    world: World
    folder: Path

    @property
    def policy_folder(self) -> Path:
        """The starting policy as transformers loads it."""
        return self.folder / "policy"

    @property
    def reward(self) -> TrueReward:
        """The true reward as an ordinary reward."""
        return TrueReward(self.world)

    @cached_property
    def policy(self) -> Any:
        """The starting policy."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.policy_folder).eval()

    def pairs(
        self,
        n: int,
        knobs: Knobs | None = None,
        *,
        seed: int,
        side: Side = "train",
        report: Report | None = None,
    ) -> list[Pair]:
        """Exactly n preference rows: two completions a prompt from the policy, judged by the annotators.

        The first rows are the same whatever n is, so data sizes are nested; knobs change labels (and what
        they plant), never prompts or completions. On the test side no prompt comes twice.

        Args:
            n: number of rows.
            knobs: how the annotators err; the defaults if None.
            seed: of prompts, completions and labels.
            side: `train` or `test`; no prompt is on both.
            report: progress.

        Raises:
            InputError: if n is negative, the knobs leave too few rows (`unseen` combinations), or prompts run out.
        """
        check_counts("pairs", n=n)
        rows: list[Pair] = []
        used: set[tuple[Message, ...]] = set()
        # one fixed block size: more rows extend fewer rows, instead of changing them
        for block in range(4 + 4 * n // _BLOCK):
            if len(rows) >= n:
                break
            at = seed * 1000 + block
            prompts = self.world.prompts(_BLOCK, seed=at, side=side, distinct=side == "test")
            prompts = [p for p in prompts if side == "train" or p not in used]
            used.update(prompts)
            drawn = self._sampled(f"pairs-{side}-{at}", prompts, 2, hash_seed(seed, block)).samples()
            bare = [replace(sample, group=None, meta={}) for sample in drawn]
            pairs = list(zip(bare[::2], bare[1::2], strict=True))
            rows += label_pairs(self.world, pairs, knobs or Knobs(), seed=at)
            if report is not None:
                report("pairs", min(len(rows), n), n)
        if len(rows) < n:
            raise InputError(f"pairs: only {len(rows)} rows of {n} were found; loosen `unseen`, or ask for fewer")
        return rows[:n]

    def lists(
        self, n: int, *, each: int, seed: int, side: Side = "train", without: Sequence[str] = (), beta: float = 3.0,
        flips: float = 0.0, levels: int = 5,
    ) -> list[Ranked]:  # fmt: skip
        """Exactly n prompts with completions from the policy, rated on whole levels; see `rate_lists`.

        Args:
            n: number of lists; the first are the same whatever n is, and whatever the raters' flaws are.
            each: completions of a prompt.
            seed: of prompts, completions and ratings.
            side: `train` or `test`.
            without: kinds of request that are left out.
            beta: log-odds per unit of U with which the raters order two completions.
            flips: share of the lists that are rated upside down.
            levels: of the scale.

        Raises:
            InputError: if a number makes no sense, or prompts run out.
        """
        check_counts("lists", n=n)
        check_counts("lists", least=1, each=each)
        rows: list[Ranked] = []
        for block, groups in enumerate(self._blocks(n, each, seed, side, without)):
            at = seed * 1000 + block
            rows += rate_lists(self.world, groups, beta=beta, flips=flips, levels=levels, seed=at)
            if len(rows) >= n:
                return rows[:n]
        raise InputError(f"lists: only {len(rows)} of {n} were found; leave out fewer kinds")

    def groups(self, n: int, *, each: int, seed: int, side: Side = "train") -> list[list[Sample]]:
        """Exactly n prompts with so many completions from the policy, all of a prompt different; unlabelled.

        Args:
            n: number of prompts; the first are the same whatever n is.
            each: completions of a prompt.
            seed: of prompts and completions.
            side: `train` or `test`.

        Raises:
            InputError: if a number makes no sense, or prompts run out.
        """
        check_counts("groups", n=n)
        check_counts("groups", least=1, each=each)
        found: list[list[Sample]] = []
        for groups in self._blocks(n, each, seed, side, ()):
            found += [g for g in groups if len({s.text for s in g}) == each]
            if len(found) >= n:
                return found[:n]
        raise InputError(f"groups: only {len(found)} of {n} were found; ask for fewer completions of a prompt")

    def _blocks(self, n: int, each: int, seed: int, side: Side, without: Sequence[str]) -> Iterator[list[list[Sample]]]:
        """Blocks of prompts with their completions, made as they are asked for."""
        for block in range(4 + 8 * n // _BLOCK):
            at = seed * 1000 + block
            prompts = [
                p for p in self.world.prompts(_BLOCK, seed=at, side=side, distinct=side == "test")
                if self.world.request(p).kind not in without
            ]  # fmt: skip
            name = content_hash([side, at, sorted(without)])[:12]
            drawn = self._sampled(f"lists-{each}-{name}", prompts, each, hash_seed(seed, block)).samples()
            yield [drawn[i : i + each] for i in range(0, len(drawn), each)]

    def pool(self, prompts: int = 200, completions: int = 128, *, seed: int = 0, report: Report | None = None) -> Pool:
        """Distinct test prompts with sampled completions and their true rewards; cached.

        Args:
            prompts: number of prompts.
            completions: completions of each.
            seed: of prompts and sampling.
            report: progress.

        Raises:
            InputError: if there are to be no prompts or no completions, or prompts run out.
        """
        check_counts("pool", least=1, prompts=prompts, completions=completions)
        asked = self.world.prompts(prompts, seed=hash_seed(seed, -1), side="test", distinct=True)
        name = f"pool-{prompts}x{completions}-{seed}"
        return self._sampled(name, asked, completions, hash_seed(seed, -2), report)

    def _sampled(
        self,
        name: str,
        prompts: list[tuple[Message, ...]],
        each: int,
        seed: int,
        report: Report | None = None,
    ) -> Pool:
        """Completions from the policy; read from the cache where they were sampled before."""
        path = self.folder / f"{name}.npz"
        if path.exists():
            return Pool.load(path)
        total = len(prompts) * each
        told = None if report is None else (lambda done: report("pool", done, total))
        pool = Pool.of(
            self.world, prompts, sample_completions(self.policy, prompts, each=each, seed=seed, progress=told)
        )
        pool.save(path)
        return pool


_BLOCK = 250


def prepare(
    seed: int, config: PolicyConfig | None = None, *, cache: Path | None = None, report: Report | None = None
) -> Prepared:
    """The instance of a seed, ready for use: from the cache, or made and put there.

    Args:
        seed: of the instance: knowledge, weights, grammar, policy.
        config: size and training of the starting policy.
        cache: folder to keep it in; `cache_folder()` if None.
        report: progress.
    """
    config = config or PolicyConfig()
    key = content_hash(["assistant", VERSION, seed, asdict(config), CALIBRATION])
    folder = (cache or cache_folder()) / "assistant" / key
    if not (folder / "calibration.json").exists():
        _make(seed, config, folder, report)
    saved = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    world = World.drawn(seed)
    utility = replace(world.utility, shift=saved["shift"], scale=saved["scale"])
    return Prepared(replace(world, utility=utility, spread=np.array(saved["spread"])), folder)


def hash_seed(*parts: int) -> int:
    """A seed of 32 bits out of several numbers: unlike sums, no two combinations meet by design."""
    return int(content_hash(list(parts))[:8], 16)


def _make(seed: int, config: PolicyConfig, folder: Path, report: Report | None) -> None:
    from plaudit.runs.atomic import atomic_folder

    world = World.drawn(seed)
    told = None if report is None else (lambda done, total: report("policy", done, total))
    policy = train_policy(world, config, seed=seed, progress=told)
    prompts = world.prompts(CALIBRATION[0], seed=hash_seed(seed, -3))
    texts = sample_completions(policy, prompts, each=CALIBRATION[1], seed=hash_seed(seed, -4))
    parsed = world.parse(samples_of(prompts, texts))
    world = world.calibrated(parsed, np.repeat(np.arange(len(prompts)), CALIBRATION[1]))
    saved = {"shift": world.utility.shift, "scale": world.utility.scale, "spread": world.spread.tolist()}
    with atomic_folder(folder) as temporary:
        policy.save_pretrained(temporary / "policy")
        build_tokenizer().save_pretrained(temporary / "policy")
        (temporary / "calibration.json").write_text(json.dumps(saved), encoding="utf-8")
