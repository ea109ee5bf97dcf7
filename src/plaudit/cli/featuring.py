"""A reward of named features in place of a model: the options of `plaudit train` for it [21].

    plaudit train pairs.jsonl --feature words=rule/length --feature right=verify/math --out runs/features
    plaudit evaluate test.jsonl --reward runs/features

A feature is a reward; what is fitted is a small network over their numbers, by Bradley-Terry.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.errors import InputError
from plaudit.training.config import Backbone, FitConfig

if TYPE_CHECKING:
    from plaudit.audit.scored import Scored
    from plaudit.rewards.base import Reward

OPTIONS = {"feature_width": "width", "feature_l2": "l2"}
"""Options of the network, and what `fit_feature_network` calls them."""


@dataclass(frozen=True, slots=True)
class Featured:
    """A reward of features that was fitted and saved.

    Attributes:
        said: lines that a command prints.
    """

    said: tuple[str, ...]

    def lines(self) -> list[str]:
        """What a command prints."""
        return list(self.said)


def add_features(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument_group("a small network over named features, in place of a model").add_argument
    add(
        "--feature", metavar="NAME=REF", action="append", default=[],
        help="a reward whose number is a feature of a completion, as in words=rule/length (repeatable)",
    )  # fmt: skip
    add("--feature-width", metavar="N", type=int, help="hidden units; 0 for a linear model (default: 8)")
    add("--feature-l2", metavar="X", type=float, help="penalty on its squared weights, above 0 (default: 0.01)")


def named_features(args: argparse.Namespace) -> dict[str, str]:
    """Name to reference of the features, in their order; empty where none is given.

    Raises:
        InputError: if one is not `NAME=REF`, a name is given twice, an option is outside its range or would have no
            effect, or a model of another kind stands where the network is to be saved.
    """
    from plaudit.rewards.features import FILE
    from plaudit.runs.atomic import check_replaceable

    if not args.feature:
        if any(getattr(args, name) is not None for name in OPTIONS):
            raise InputError("--feature-width and --feature-l2 are of a network over features; give --feature NAME=REF")
        return {}
    found: dict[str, str] = {}
    for words in args.feature:
        name, _, reference = words.partition("=")
        if not re.fullmatch(r"[\w.-]+", name) or not reference:
            raise InputError(f"--feature: {words!r} is not NAME=REF; give each a name, as in words=rule/length")
        if name in found:
            raise InputError(f"--feature: two are called {name!r}; give each a name of its own")
        found[name] = reference
    idle = [f.name for kind in (FitConfig, Backbone) for f in fields(kind) if f.name not in ("seed", "name")]
    idle += ["shifted"]
    given = next((name for name in idle if getattr(args, name) not in (None, False)), None)
    if args.model != "scratch":
        given = "model"
    if given:
        raise InputError(
            f"--feature: --{given.replace('_', '-')} has no effect on a network over features, which is fitted to all "
            "pairs at once by Bradley-Terry; leave it out"
        )
    if args.feature_width is not None and args.feature_width < 0:
        raise InputError(f"--feature-width is {args.feature_width}; give 0 or more hidden units")
    if args.feature_l2 is not None and not 0 < args.feature_l2 < math.inf:
        raise InputError(f"--feature-l2 is {args.feature_l2:g}; give a number above 0")
    check_replaceable(Path(args.out) / "model", mark=FILE)
    return found


def fit_named(args: argparse.Namespace, features: Mapping[str, str], rows: Sequence[Any]) -> Featured:
    """Measures the features of both completions of each pair, fits the network, saves it under `OUT/model`.

    What a feature said of a completion stands in `OUT/feature-*.log` and is not asked for again.

    Raises:
        InputError: if a row is no pair, two features are one reward, or no pair can be judged by all of them.
    """
    import numpy as np

    from plaudit.records import Pair
    from plaudit.rewards.base import Outcome
    from plaudit.rewards.features import FILE, FeatureReward, measured, network_scores
    from plaudit.rewards.registry import load
    from plaudit.runs.atomic import atomic_folder
    from plaudit.training.features import fit_features

    pairs = [row for row in rows if isinstance(row, Pair)]
    if len(pairs) < len(rows):
        first = next(i for i, row in enumerate(rows) if not isinstance(row, Pair))
        raise InputError(
            f"--feature: row {first + 1} is no pair; convert the rows first (plaudit data convert --to pairs)"
        )
    folder = Path(args.out) / "model"
    opened = {name: load(reference) for name, reference in features.items()}
    _all_different(opened)
    options = {to: getattr(args, name) for name, to in OPTIONS.items() if getattr(args, name) is not None}
    with _kept(opened, Path(args.out)) as scored:
        fitted = fit_features(pairs, scored, seed=args.seed or 0, **options)
        table, outcome = measured(scored, [s for pair in pairs for s in pair.samples()])
    reward = FeatureReward(opened, fitted.arrays, references=dict(features))
    with atomic_folder(folder, mark=FILE) as new:
        reward.save(new)
    kept = (outcome.reshape(-1, 2) <= Outcome.POLICY_FAULT).all(axis=1)
    scores = network_scores(table.reshape(len(pairs), 2, -1)[kept].reshape(-1, len(features)), fitted.arrays)
    loss = float(np.logaddexp(0, scores[1::2] - scores[::2]).mean())
    units = len(fitted.arrays["second"])
    what = f"{units} hidden units beside a linear part" if units else "linear"
    lines = [
        f"fitted {len(features)} features ({', '.join(features)}) to {kept.sum()} pairs: {what}",
        f"loss {loss:.4f} (log 2 = 0.6931 is chance)",
    ]
    if not kept.all():
        lines.append(f"{(~kept).sum()} of {len(pairs)} pairs were left out: {_unjudged(scored, table)}")
    return Featured(tuple(lines))


@contextmanager
def _kept(rewards: Mapping[str, Reward], out: Path) -> Iterator[dict[str, Scored]]:
    """The rewards, each with a durable log of its own; one of the whole batch without."""
    from plaudit.audit.scored import Scored
    from plaudit.runs.log import DurableLog

    with ExitStack() as stack:
        found = {}
        for name, reward in rewards.items():
            log = None
            if reward.scope != "batch":
                path = out / f"feature-{reward.fingerprint[:12]}.log"
                log = stack.enter_context(DurableLog(path, fingerprint=reward.fingerprint))
            found[name] = Scored(reward, log=log)
        yield found


def _all_different(rewards: Mapping[str, Reward]) -> None:
    """One reward under two names would be one feature with its weight in two parts."""
    seen: dict[str, str] = {}
    for name, reward in rewards.items():
        other = seen.setdefault(reward.fingerprint, name)
        if other != name:
            raise InputError(f"--feature: {other} and {name} are the same reward; leave one out")


def _unjudged(rewards: Mapping[str, Scored], table: Any) -> str:
    """Which features could not judge how many completions."""
    import numpy as np

    counts = zip(rewards, np.isnan(table).sum(axis=0).tolist(), strict=True)
    return ", ".join(f"{name} cannot judge {n} completions" for name, n in counts if n)
