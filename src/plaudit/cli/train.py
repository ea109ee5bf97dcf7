"""`plaudit train`: preferences in, a reward model out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.cli.featuring import Featured, add_features, fit_named, named_features
from plaudit.cli.launched import alone, first, held
from plaudit.cli.options import add_dataclass, from_args
from plaudit.cli.rewording import REWORDED, add_rewordings, with_rewordings
from plaudit.cli.strengthening import STRENGTHENED, add_strengths, with_strengths
from plaudit.errors import InputError
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.methods import METHODS, chosen
from plaudit.training.regularisers.naming import FAIR

BESIDES = """
More ways of learning a reward, which are no objectives:
  --feature NAME=REF       a small network over named rewards, in place of texts [21]
  --strength-by REF        the strength of each pair from models that vote on it [13]
  --reword-by REF          light rewordings of the chosen completion beside it [17]
  --contrastive-coef X     a prompt's completions kept apart [13]
  --shifted FILE           meta steps towards telling a shifted policy's samples apart [13]; --meta-rate
  --head-depth 2           a small network for a head [93]
  --fair NAME              no group pays for the others; --fair help
  plaudit data VERB        labels for the objectives above: confidence [216], hierarchy [104], community [69],
                           principles [115]
  plaudit rewards          likelihoods of a policy, without training: ratio [42, 54], follow-up [6], answer [132],
                           yes [123], discriminator [26]"""

if TYPE_CHECKING:
    from plaudit.training.entry import Trained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "data",
        nargs="?",
        help="pairs, ranked rows, or what --objective learns from: a file, a datasets folder or a hub id",
    )
    parser.add_argument(
        "--model", default="scratch", help="model, run folder or hub id to start from, or 'scratch' (default)"
    )
    parser.add_argument("--out", help="run folder; the model is saved under OUT/model")
    parser.add_argument("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    parser.add_argument(
        "--shifted", metavar="FILE", help="samples of a shifted policy, two or more a prompt; --meta-rate"
    )
    add_strengths(parser)
    add_rewordings(parser)
    add_features(parser)
    add_dataclass(parser, FitConfig, title="fit")
    add_dataclass(parser, Backbone, skip=("name",), title="model from scratch")


def run(args: argparse.Namespace) -> int:
    """Trains; prints one line a result."""
    if args.objective == "help":
        for name, method in METHODS.items():
            options = ", ".join(f"{key}={_said(value)}" for key, value in method.options.items())
            print(f"{name}\n  {method.summary}\n  from {method.needs}{f'; options: {options}' if options else ''}")
        print(BESIDES)
        return 0
    if args.fair == "help":
        for name, fair in FAIR.items():
            options = ", ".join(f"{key}={_said(value)}" for key, value in fair.options.items())
            print(f"{name}\n  {fair.summary}\n  options: {options}")
        return 0
    if not args.data or not args.out:
        raise InputError("train: give DATA and --out FOLDER (see plaudit train --help)")
    features = named_features(args)
    config = from_args(args, FitConfig)
    single = {
        "strength-by": args.strength_by, "reword-by": args.reword_by, "feature": features, "freeze": config.freeze,
    }  # fmt: skip
    for option, given in single.items():
        if given:
            alone(f"train: --{option}")
    shaped = [name for name in ("width", "layers", "heads", "vocabulary") if getattr(args, name) is not None]
    if args.model != "scratch" and shaped:
        raise InputError(f"--{shaped[0]} is of a model from scratch and has no effect on {args.model}; leave it out")
    backbone = Backbone(name=args.model, **{k: v for k, v in _backbone(args).items() if v is not None})

    from plaudit.records import read
    from plaudit.training.entry import train_reward
    from plaudit.training.seen import keep_prompts

    records = read(args.data, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{records.n_broken} broken rows were set aside in {args.skip_broken}")
    shifted = read(args.shifted, whole=True).rows if args.shifted else ()
    with held(args.out):
        replaced = ", in place of an earlier model" if (Path(args.out) / "model").is_dir() else ""
        strong = with_strengths(args, records.rows, config)
        rows = with_rewordings(args, strong, seed=config.seed)
        trained: Trained | Featured
        if features:
            trained = fit_named(args, features, rows)
        else:
            trained = train_reward(rows, backbone=backbone, config=config, out=Path(args.out), shifted=shifted)
        if first():
            keep_prompts(Path(args.out), rows)
            _keep(args, STRENGTHENED, strong if args.strength_by else None)
            _keep(args, REWORDED, rows if args.reword_by else None)
    if not first():
        return 0
    for line in trained.lines():
        print(line)
    following = chosen(config.objective).method.then.format(model=f"{args.out}/model")
    print(f"saved {args.out}/model{replaced}; next: {following}")
    return 0


def _keep(args: argparse.Namespace, file: str, rows: Sequence[Any] | None) -> None:
    """Writes what the model of a run folder was trained on; without rows takes away what an earlier model was."""
    from plaudit.records import write

    path = Path(args.out) / file
    inputs = [Path(given) for given in (args.data, args.shifted) if given and Path(given).exists()]
    if rows is not None:
        write(path, rows)
    elif path.exists() and not any(path.samefile(given) for given in inputs):
        path.unlink()


def _backbone(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in ("tokenizer", "width", "layers", "heads", "vocabulary")}


def _said(value: object) -> str:
    """A default as it is written in an objective."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
