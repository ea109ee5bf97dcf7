"""The audit of a learned reward on preference pairs: reading, running, writing, and the exit status."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plaudit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from plaudit.audit.against import CheckChange
    from plaudit.audit.battery import Audit
    from plaudit.audit.checks import Check
    from plaudit.audit.config import AuditConfig
    from plaudit.audit.subject import TrueReward
    from plaudit.records.sample import Sample
    from plaudit.rewards.base import Comparison, Reward

SHOWN = 12
"""Checks that the terminal names one by one; the page has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that concern pairs."""
    add = parser.add_argument
    add("data", nargs="?", help="held-out preference pairs; without them a verifier's own attacks are run")
    add("--out", metavar="FOLDER", help="write audit.html and audit.json here")
    add(
        "--recipe",
        metavar="FILE",
        help="YAML of these options and thresholds: groups, stratum, truth, thresholds, fail_on, junit, ...",
    )
    add(
        "--group", action="append", default=[], metavar="COLUMN[:WHOSE]",
        help="measure fairness by this column; whose: author, subject, annotator, completion (repeatable)",
    )  # fmt: skip
    add("--stratum", metavar="COLUMN", help="compare groups at equal values of this column, too: conditional parity")
    add("--truth", metavar="REF", help="a reward that is trusted to know better: a verifier, a module.py:function")
    add(
        "--candidates", metavar="FILE",
        help="samples, many of each prompt: what the reward's picks are truly worth, with --truth",
    )  # fmt: skip
    add(
        "--fail-on", action="append", default=[], metavar="WHAT",
        help="exit with 1 on red (or a verdict that forbids any use), amber, worse (than the baseline), or a check or "
        "family that is red or, named alone, was not measured (repeatable)",
    )  # fmt: skip
    add("--log", metavar="FILE", help="durable log of rewards (default: OUT/scores-*.log; none without --out)")
    add("--against", metavar="FILE", help="a stored audit.json: is this reward no worse?")
    add("--junit", metavar="FILE", help="write the checks as JUnit XML; what makes the exit status 1 fails there")
    add("--skip", action="append", default=[], metavar="FAMILY", help="leave a family of checks out (repeatable)")
    add("--prompts", type=int, metavar="N", help="prompts that are rewritten and attacked (default: 100)")
    add("--search-budget", type=int, metavar="N", help="samples that each search may have scored (default: 1000)")
    add("--seed", type=int, metavar="N", help="of every bootstrap, split and search (default: 0)")
    add("--no-texts", action="store_true", help="leave the texts of the examples out of page, audit.json and JUnit")
    add("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")


def run_on_pairs(args: argparse.Namespace) -> int:
    """Audits, prints the lights, writes what was asked for; 1 where `fail_on` is met."""
    from plaudit.audit.against import compare_audits, read_audit
    from plaudit.audit.battery import audit_reward, tokenizer_words
    from plaudit.audit.names import foresee
    from plaudit.cli.audit_recipe import with_recipe
    from plaudit.cli.inputs import open_judge, read_pairs
    from plaudit.rewards.base import Reward
    from plaudit.rewards.calibrators.reading import calibrated_probability

    args, config = with_recipe(args)
    check_outputs(args)
    baseline = read_audit(args.against) if args.against else None
    if "worse" in config.fail_on and baseline is None:
        raise InputError("--fail-on worse: needs a baseline; give --against with an earlier audit.json")
    records, pairs = read_pairs(args.data, args.skip_broken)
    reward = open_judge(args)
    learned = isinstance(reward, Reward)  # a comparison says probabilities itself
    foresee(pairs, config, comparison=not learned)
    scale = getattr(reward, "log_odds_per_unit", None) if learned else 1.0
    probability = calibrated_probability(reward) if isinstance(reward, Reward) else None
    truth = _truth(args.truth)
    candidates = _candidates(args)
    with _logged(args, reward) as judge, _logged_truth(args, truth) as trusted:
        audit = audit_reward(
            pairs, judge, config=config, true_reward=trusted, logit_scale=scale, probability=probability,
            candidates=candidates, vocabulary=tokenizer_words(reward),
            report=lambda family: print(f"auditing: {family}", file=sys.stderr) if sys.stderr.isatty() else None,
        )  # fmt: skip
    changes = compare_audits(baseline, audit) if baseline is not None else ()
    _tell(audit, changes)
    if baseline is not None and baseline.pairs != audit.pairs:
        print(f"the baseline was audited on {'other pairs' if baseline.pairs else 'pairs that it does not tell'}: "
              "a difference may be theirs")  # fmt: skip
    _write(args, config, audit, changes, records.data_hash)
    failed = failures(audit, config.fail_on, changes)
    if args.junit:
        _write_junit(args.junit, audit, failed, texts=not args.no_texts)
    for name, why in failed:
        print(f"failed: {name} {why}")
    return 1 if failed else 0


def _write_junit(path: str, audit: Audit, failed: Sequence[tuple[str, str]], *, texts: bool) -> None:
    """After the exit status is known: whatever makes it 1 is a failure there, too."""
    from plaudit.report.junit import junit_xml
    from plaudit.runs.atomic import write_text

    reasons: dict[str, list[str]] = {}
    for name, why in failed:
        reasons.setdefault(name, []).append(why)
    write_text(path, junit_xml(audit, reasons, texts=texts))


def check_outputs(args: argparse.Namespace) -> None:
    """Whatever is wrong with a path that is written to is found before a reward is asked for anything.

    Args:
        args: with `out`, `json`, `junit` and `log`.

    Raises:
        InputError: naming the option and its path.
    """
    files = {"--json": args.json, "--junit": args.junit, "--log": args.log}
    for option, path in files.items():
        if path is None:
            continue
        if Path(path).is_dir():
            raise InputError(f"{option}: {path} is a folder; name a file")
        _writable(option, Path(path).parent)
    if args.out is not None:
        _writable("--out", Path(args.out))


def _writable(option: str, folder: Path) -> None:
    """Tries to write where the folder is, or would be made; nothing stays behind."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{option}: nothing can be written in {folder} ({reason}); name another path") from error


@contextmanager
def _logged(args: argparse.Namespace, reward: Reward | Comparison) -> Iterator[Reward | Comparison]:
    """The reward or comparison with a durable log: what was asked before a kill is not paid for again."""
    from plaudit.audit.compared import ComparedOnce
    from plaudit.audit.scored import Scored
    from plaudit.rewards.base import Reward
    from plaudit.runs.log import DurableLog

    # of its own for each reward: another one in the same folder is another audit, and no mixed log
    path = args.log or (str(Path(args.out) / f"scores-{reward.fingerprint[:12]}.log") if args.out else None)
    if path is None or (isinstance(reward, Reward) and reward.scope == "batch"):
        yield reward
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with DurableLog(path, fingerprint=reward.fingerprint) as log:
        yield Scored(reward, log=log) if isinstance(reward, Reward) else ComparedOnce(reward, log=log)


@contextmanager
def _logged_truth(args: argparse.Namespace, truth: Reward | None) -> Iterator[TrueReward | None]:
    """The truth with a log of its own in the audit's folder: a stronger judge may cost more than the reward."""
    from plaudit.audit.scored import Scored
    from plaudit.runs.log import DurableLog

    if truth is None or not args.out or truth.scope != "sample":
        yield truth
        return
    Path(args.out).mkdir(parents=True, exist_ok=True)
    path = Path(args.out) / f"truth-{truth.fingerprint[:12]}.log"
    with DurableLog(path, fingerprint=truth.fingerprint) as log:
        yield Scored(truth, log=log)


def _candidates(args: argparse.Namespace) -> list[Sample]:
    """Samples to select among.

    Raises:
        InputError: if the file holds rows of another kind.
    """
    from plaudit.records import read
    from plaudit.records.sample import Sample

    if not args.candidates:
        return []
    rows = read(args.candidates, kind="samples", whole=True).rows
    return [row for row in rows if isinstance(row, Sample)]


def failures(audit: Audit, fail_on: Sequence[str], changes: Sequence[CheckChange] = ()) -> list[tuple[str, str]]:
    """Why the command exits with 1: checks with their reason; nothing where it does not.

    Args:
        audit: the audit.
        fail_on: lights, `worse`, families or names of checks.
        changes: beside the baseline.
    """
    from plaudit.audit.against import worse
    from plaudit.audit.config import FAMILIES, LIGHTS

    lines: list[tuple[str, str]] = []
    names = [c.name for c in audit.checks]
    for what in fail_on:
        if what == "worse":
            lines += [(c.name, f"is {c.standing}" + (f", {c.why}" if c.why else "")) for c in worse(changes)]
            continue
        if what not in (*LIGHTS, *FAMILIES, *names):
            # a name that could be (`foresee`) and is not: of a group with too few pairs, for example
            lines.append((what, "was not measured: these pairs hold too little of it"))
            continue
        lines += [line for line in _forbidden(audit) if what in (*LIGHTS, "accuracy", line[0])]
        # amber asks for more than red does: whoever wants certainty does not accept a shown failure
        bad = ("red", "amber") if what == "amber" else ("red",)
        meant = [c for c in audit.checks if what in LIGHTS or what in (c.name, c.family)]
        lines += [(c.name, f"is {c.light}") for c in meant if c.light in bad]
        # that every pair got a reward does not say how it ranks them
        asked = [c for c in meant if what != "accuracy" or c.name != "accuracy/unscored"]
        if what not in LIGHTS and all(c.light == "grey" for c in asked):
            lines += [(c.name, f"was not measured: {c.skipped}") for c in asked]
    return list(dict.fromkeys(lines))


def _forbidden(audit: Audit) -> list[tuple[str, str]]:
    """Checks that are not red, and for which the verdict permits nothing all the same: a coin is never shown to be one.

    Its interval holds one half however many pairs there are.
    """
    if audit.verdict.use != "none" or audit.verdict.headline.startswith("No verdict"):
        return []
    fatal = {"accuracy": "accuracy/coin", "baseline": "accuracy/baseline", "unscored": "accuracy/unscored"}
    causes = {fatal[c.name]: c.says for c in audit.verdict.causes if c.name in fatal}
    lights = {c.name: c.light for c in audit.checks}
    return [
        (name, f"is {lights[name]}, and the verdict permits nothing: {says[0].lower()}{says[1:].rstrip('.')}")
        for name, says in causes.items()
        if lights.get(name) == "amber"
    ]


def _truth(reference: str | None) -> Reward | None:
    from plaudit.rewards.registry import load

    return None if reference is None else load(reference)


def _tell(audit: Audit, changes: Sequence[CheckChange]) -> None:
    """The verdict, the counts, and the checks that are not green."""
    verdict, lights = audit.verdict, audit.lights()
    print(f"{audit.reward} on {audit.n_pairs} pairs of {audit.n_prompts} prompts: {verdict.headline}")
    if verdict.limit:
        print(verdict.limit)
    print(
        f"{lights['red']} red, {lights['amber']} amber, {lights['green']} green, {lights['grey']} not tested "
        f"({audit.asked}, {audit.seconds:.0f} s)"
    )
    order = {"red": 0, "amber": 1, "grey": 2}
    causes = [c.name for c in verdict.causes]  # what names a reason stands before what follows from it

    def place(check: Check) -> tuple[int, int, float]:
        first = causes.index(check.name) if check.name in causes else len(causes)
        return order[check.light], first, -_size(check.excess)

    rest = sorted((c for c in audit.checks if c.light in order), key=place)
    width = max((len(c.name) for c in rest[:SHOWN]), default=0)
    for check in rest[:SHOWN]:
        said = check.skipped if check.evidence is None else f"{check.evidence.format()}  {check.says}"
        print(f"  {check.light:<5}  {check.name:<{width}}  {said}")
    if len(rest) > SHOWN:
        grey = [c.name for c in rest[SHOWN:] if c.light == "grey"]
        print(f"  and {len(rest) - SHOWN} more" + (f"; not tested among them: {', '.join(grey)}" if grey else ""))
    for change in changes:
        if change.standing in ("worse", "undecided") and change.loss is not None:
            print(f"  {change.standing} than the baseline: {change.name}, lost {change.loss.format()}")


def _size(excess: float) -> float:
    return excess if excess == excess else 0.0


def _write(
    args: argparse.Namespace, config: AuditConfig, audit: Audit, changes: Sequence[CheckChange], data_hash: str
) -> None:
    from plaudit.cli.output import write_json
    from plaudit.report.audit_page import AuditPage, write_audit
    from plaudit.runs.origin import provenance

    configuration = {**asdict(config), "fingerprint": audit.fingerprint, "truth": args.truth}
    if args.out:
        source = provenance(seed=config.seed, data={"pairs": data_hash}, configuration=configuration)
        page = AuditPage(
            audit, f"{args.reward} on {audit.n_pairs:,} pairs of {audit.n_prompts:,} prompts",
            datetime.now(UTC).isoformat(timespec="seconds"), tuple(changes),
            Path(args.against).name if args.against else "", source,
        )  # fmt: skip
        print(f"wrote {write_audit(args.out, page, texts=not args.no_texts)}")
    if args.json:
        write_json(args.json, audit.metrics(), configuration=configuration, data={"pairs": data_hash})
