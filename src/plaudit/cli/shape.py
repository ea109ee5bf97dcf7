"""`plaudit shape plot | fit`: what a transform does, as a picture; and its state, from samples of a starting policy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit._queries import options_in
from plaudit.cli.inputs import add_scoring, open_reward, read_samples
from plaudit.errors import InputError, nearest

if TYPE_CHECKING:
    from plaudit.report.shapes import Example
    from plaudit.shaping.transforms.base import ValueTransform
    from plaudit.shaping.transforms.references import References


NEEDING = {"length-controlled": "length-controlled?slope=0.1", "group-matched": "group-matched?column=group"}
"""Transforms without a default that does something, as `plot all` draws them."""
REWARDS: dict[str, set[str]] = {"ensemble": {"of"}, "fused": {"corpus", "model", "of"}, "win-rate": {"of"}}
"""What is named `shape/` and is no transform of one reward's numbers, with the options that a picture has itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    plot = actions.add_parser("plot", help="draw a transform on an example with a few rewards that are far too high")
    plot.add_argument(
        "name", help="a transform with its options, such as par?k=2 (plaudit rewards lists shape/NAME), or all"
    )
    plot.add_argument(
        "--out", type=Path, metavar="FILE", help="an SVG file; a folder for all (default: shape-NAME.svg)"
    )
    plot.add_argument("--seed", type=int, default=0, help="of the example (default: 0)")
    fit = actions.add_parser("fit", help="write a transform's state from the rewards of samples, for its option state")
    fit.add_argument("name", help="a transform that remembers, with its options, such as standardise?rate=0.01")
    add_scoring(fit, data="samples, such as completions of the policy that training starts from", out="the state: JSON")


def run(args: argparse.Namespace) -> int:
    """Draws, or fits."""
    return {"plot": _plot, "fit": _fit}[args.action](args)


def _plot(args: argparse.Namespace) -> int:
    from plaudit.report.shapes import Example
    from plaudit.runs.atomic import write_text
    from plaudit.shaping.transforms.naming import TRANSFORMS

    example = Example.drawn(args.seed)
    every = args.name.partition("?")[0] == "all"
    if every and args.name != "all":
        raise InputError(f"shape: {args.name!r}: all are drawn as they are; name one transform to give it options")
    for name in [NEEDING.get(t, t) for t in sorted([*TRANSFORMS, *REWARDS])] if every else [args.name]:
        drawn = _drawn(name.removeprefix("shape/"), example)
        file = f"shape-{name.removeprefix('shape/').partition('?')[0]}.svg"
        out = (args.out or Path()) / file if every else args.out or Path(file)
        write_text(out, drawn)
        print(f"shape: {out}")
    return 0


def _drawn(name: str, example: Example) -> str:
    """The picture of a transform, or of one of `REWARDS`, with its options."""
    from plaudit.report.shapes import Strengths, aggregated, fused, picture, shape_picture, won
    from plaudit.rewards.base import RewardBatch
    from plaudit.rewards.registry import make
    from plaudit.shaping.fusion import FusedReward
    from plaudit.shaping.transforms.matched import GroupMatched

    kind, _, query = name.partition("?")
    options: dict[str, Any] = dict(options_in(query))
    title = f"shape/{name}"
    if kind in REWARDS:
        if given := REWARDS[kind] & set(options):
            raise InputError(f"shape: {min(given)} is not read here, the example has its own; leave it out")
    if kind == "win-rate":
        compared: Any = make("shape/win-rate", {"of": Strengths(), **options})  # says which option is not known
        return str(picture(example, won(example, unit=compared.unit), title=title))
    if kind == "ensemble":
        reward: Any = make("shape/ensemble", {"of": _Bounded(), **options})
        made = aggregated(example, by=reward.by, center=reward.center, **reward.options)
        return str(picture(example, made, title=title))
    if kind == "fused":
        found: Any = make("shape/fused", {"of": _Bounded(), "corpus": "", **options})
        assert isinstance(found, FusedReward)
        smooth = fused(example, neighbours=found.neighbours, threshold=found.threshold)
        return str(picture(example, smooth, title=title))
    by = transform_of(name, example.references)
    shown = example.stated() if by.kind == "confidence" else example
    if isinstance(by, GroupMatched) and not by.groups:  # it is read from what it is shown on
        by = by.fitted(RewardBatch(shown.reward), shown.samples)
    return str(shape_picture(by, shown, title=title))


def _fit(args: argparse.Namespace) -> int:
    from plaudit.rewards.scoring import score_samples
    from plaudit.shaping.transforms.naming import TRANSFORMS, as_shaped_by
    from plaudit.shaping.transforms.references import References
    from plaudit.shaping.transforms.saved import save_state

    if args.name.removeprefix("shape/").partition("?")[0] in REWARDS:
        raise InputError(f"shape fit: {args.name} has no state; a run needs none for it")
    by = transform_of(args.name, References({"stands in": (0.0, 1.0)}))  # what is fitted has references of its own
    if not by.remembered:
        known = ", ".join(name for name, made in TRANSFORMS.items() if made.remembered)
        raise InputError(f"shape fit: {by.kind} has no state; its options are all of it (with one: {known})")
    if Path(args.out).is_dir():
        raise InputError(f"shape fit: {args.out} is a folder; name a file")
    _, samples = read_samples(args.data, args.skip_broken)
    reward = as_shaped_by(type(by), open_reward(args))
    log = None if reward.scope == "batch" else args.log or f"{args.out}.log"
    batch = score_samples(reward, samples, log=log)
    if not batch.valid.any():
        raise InputError(f"shape fit: none of {len(samples)} samples has a reward by {reward.name}; give others")
    save_state(by.fitted(batch, samples), args.out)
    print(
        f"shape: {args.out} holds shape/{by.kind} after {int(batch.valid.sum())} rewards; name it as its option state"
    )
    return 0


def transform_of(reference: str, references: References) -> ValueTransform:
    """A transform with its options; what is read against references gets these.

    Args:
        reference: `kind?option=value`, with or without `shape/` before it.
        references: of the example.

    Raises:
        InputError: if there is no such transform or option, or a value is out of range.
    """
    from plaudit.rewards.registry import make
    from plaudit.shaping.transforms.naming import TRANSFORMS

    name, _, query = reference.removeprefix("shape/").partition("?")
    if name not in TRANSFORMS:
        raise InputError(f"shape: {name!r} is not known; {nearest(name, [*TRANSFORMS, *REWARDS])}")
    options: dict[str, Any] = dict(options_in(query))
    if "references" in TRANSFORMS[name].__dataclass_fields__ and "state" not in options:
        if "references" in options:
            raise InputError("shape: references are not read here, there are others; leave references out")
        options["references"] = references
    shaped: Any = make(f"shape/{name}", {"of": _Bounded(), **options})
    by: ValueTransform = shaped.by
    return by


class _Bounded:
    """A reward that stands for any: it is never called."""

    name, scope, bounds, fingerprint = "any", "sample", (-100.0, 100.0), "any"

    def __call__(self, samples: Any) -> Any:
        raise AssertionError(f"{self.name} scores nothing; {len(samples)} samples were given")
