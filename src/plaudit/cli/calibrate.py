"""`plaudit calibrate`: what a difference of rewards means as a probability, fitted to held-out pairs and kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.errors import InputError, MissingError

if TYPE_CHECKING:
    import numpy as np

    from plaudit.records import Pair
    from plaudit.rewards.base import Comparison, Reward
    from plaudit.rewards.calibrators import Calibrator
    from plaudit.stats.estimate import Estimate

METHODS = ("temperature", "platt", "isotonic", "venn-abers", "conformal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = parser.add_argument
    add("data", help="held-out preference pairs, none of which the model was trained on (ranked rows become pairs)")
    add("--reward", required=True, metavar="FOLDER", help="a reward model's folder; the calibration is stored in it")
    add("--method", default="temperature", metavar="NAME", help=f"one of {', '.join(METHODS)} (default: temperature)")
    add("--folds", type=int, default=5, metavar="N", help="folds by prompt of the before/after table (default: 5)")
    add("--level", type=float, default=0.9, metavar="X", help="coverage that conformal sets promise (default: 0.9)")
    add("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    add("--log", metavar="FILE", help="durable log of rewards: nothing is scored twice")
    add("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    add("--seed", type=int, default=0, help="of folds and bootstrap (default: 0)")
    parser.epilog = (
        "temperature rescales what a reward difference means; the others make a comparison of two samples, "
        "compare/margin?of=FOLDER. Rewards themselves stay as they are. A model that compares two samples states "
        "calibrated probabilities from then on."
    )


def run(args: argparse.Namespace) -> int:
    """Scores the pairs, prints the cross-fitted table, fits to all of them, stores the fit with the model."""
    from plaudit.cli.inputs import read_pairs
    from plaudit.cli.output import show, write_json
    from plaudit.evaluation.calibrated import calibration_metrics
    from plaudit.records.splitting import folds_by_prompt, prompt_key
    from plaudit.rewards.calibrators import Calibration, calibrator_type, cross_fitted, fit_calibrator
    from plaudit.rewards.calibrators.stored import FILE
    from plaudit.runs.origin import command_line, versions

    calibrator_type(args.method)  # a mistake here should not cost a scoring run
    folder = model_folder(args.reward)
    records, pairs = read_pairs(args.data, args.skip_broken)
    folds = folds_by_prompt(pairs, args.folds, seed=args.seed)
    reward = _uncalibrated(folder)
    margin, before = _margins(reward, pairs, args.log)
    prompts = [prompt_key(pair) for pair in pairs]
    n, n_prompts = int((margin == margin).sum()), len({p for p, m in zip(prompts, margin, strict=True) if m == m})
    fitted = fit_calibrator(args.method, margin, level=args.level, prompts=prompts)
    crossed = cross_fitted(args.method, margin, folds, level=args.level, prompts=prompts)
    table = calibration_metrics(margin, before, crossed, prompts, seed=args.seed)
    show(table, title=f"{reward.name}: {args.method}, cross-fitted on {n} pairs of {n_prompts} prompts")
    _remark(table, len(pairs) - n, crossed.smoothed)
    _warn_of_training_pairs(prompts, folder)
    made = {"versions": versions(), "command": command_line(sys.argv), "seed": args.seed}
    if args.json:
        configuration = {**vars(args), "fingerprint": reward.fingerprint, "fit": _said(fitted)}
        write_json(args.json, table, configuration=configuration, data={"pairs": records.data_hash})
    replaced = ", in place of an earlier calibration" if (folder / FILE).is_file() else ""
    path = Calibration(fitted, n, n_prompts, records.data_hash, made).write(folder)
    print(f"{_said(fitted)}; stored in {path}{replaced}")
    return 0


def model_folder(reference: str) -> Path:
    """The folder of a reward model that was named by itself or by its run.

    Raises:
        MissingError: if there is no such folder.
        InputError: if the reference is no folder: a calibration is stored with the model.
    """
    from plaudit.rewards.folders import of_run

    folder = Path(reference)
    if not folder.is_dir():
        if folder.exists() or "?" in reference or (reference.count("/") == 1 and not folder.parent.is_dir()):
            raise InputError(
                f"calibrate: {reference} is no folder; a calibration is stored with the model, so give a model's folder"
            )
        raise MissingError(f"calibrate: {reference}: no such folder; give the folder of a reward model")
    return of_run(folder)


def _uncalibrated(folder: Path) -> Reward | Comparison:
    """The model as it states its own margins, whatever calibration lies there already.

    Raises:
        InputError: if what it says of two completions is no margin between them.
    """
    from plaudit.rewards.manifest import Manifest
    from plaudit.rewards.registry import open_model

    manifest = Manifest.read(folder)
    if manifest is not None and manifest.reader == "likelihood" and manifest.head.get("kind") != "ratio":
        raise InputError(
            f"calibrate: {folder} answers a question about one completion with yes or no, and states how probable yes "
            "is; what is calibrated is the margin between the rewards of two completions"
        )
    return open_model(str(folder), calibrated=False)


def _margins(
    reward: Reward | Comparison, pairs: Sequence[Pair], log: str | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Stated log-odds that the chosen one wins, and the probabilities that they are, where the model says they are."""
    import numpy as np
    from scipy.special import expit

    from plaudit.rewards.base import Reward
    from plaudit.rewards.calibrators import stated_margin
    from plaudit.rewards.scoring import score_samples

    if not isinstance(reward, Reward):
        if log:
            raise InputError(
                f"calibrate: {reward.name} compares two samples, and the log is of rewards; leave out --log"
            )
        chosen, rejected = ([pair.samples()[i] for pair in pairs] for i in (0, 1))
        said = reward(chosen, rejected)
        margin = np.array([d.get("log_odds", np.nan) for d in said.detail], dtype=np.float64)
        return margin, said.probability
    batch = score_samples(reward, [side for pair in pairs for side in pair.samples()], log=log)
    margin = stated_margin(reward, batch.reward[0::2], batch.reward[1::2])
    return margin, expit(margin) if hasattr(reward, "log_odds_per_unit") else None


def _said(fitted: Calibrator) -> str:
    """What was fitted, in a few words."""
    from plaudit.rewards.calibrators import Conformal, Platt, Temperature

    if isinstance(fitted, Temperature) and not fitted.slope:
        return "no temperature: the reward ranks these pairs no better than chance, so every probability is 1/2"
    if isinstance(fitted, Temperature):
        return f"temperature {fitted.temperature:.3f} (a stated log-odds counts {fitted.slope:.3f})"
    if isinstance(fitted, Platt):
        return f"platt: slope {fitted.slope:.3f}, intercept {fitted.intercept:.3f}"
    if isinstance(fitted, Conformal):
        return f"conformal sets of {fitted.level:.0%}"
    return str(fitted.method)


def _remark(table: Mapping[str, Estimate], unscored: int, smoothed: int) -> None:
    """What the table cannot say."""
    if smoothed:
        print(
            f"{smoothed} of the folds are judged by a temperature with smoothed targets: all pairs outside of them are "
            "ranked right, and no slope is steep enough"
        )
    if unscored:
        print(f"{unscored} pairs have no margin and take no part")
    change = table.get("change/log_loss")
    if change is not None and not change.high < 0:
        print(f"log loss changed by {change.format()}: no evidence that this calibration helps")


def _warn_of_training_pairs(prompts: Sequence[str], folder: Path) -> None:
    """Says on standard error how many pairs share a prompt with the model's training data, where the run knows it."""
    from plaudit.training.seen import shared_prompts

    shared = shared_prompts(prompts, folder.parent)
    if shared:
        print(
            f"warning: {shared} of {len(prompts)} pairs have prompts that the model was trained on: it is "
            "surer of them than of new ones, and so the calibration will be; give held-out pairs",
            file=sys.stderr,
        )
