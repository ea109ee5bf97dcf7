"""`plaudit audit`: what a reward fails at. On pairs every check; of a verifier alone its adversarial twins."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plaudit.cli.inputs import add_reward

if TYPE_CHECKING:
    from plaudit.audit.attacks import TwinAudit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    from plaudit.cli import auditing

    auditing.add_arguments(parser)
    add_reward(parser)
    parser.add_argument("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    parser.epilog = (
        "With pairs, exits with 1 where --fail-on says so. Without, when an attack passes or a right answer is refused."
    )


def run(args: argparse.Namespace) -> int:
    """On pairs, every check; else the verifier's own attacks: the table and every escape."""
    if args.data:
        from plaudit.cli.auditing import run_on_pairs

        return run_on_pairs(args)
    _refuse_options_of_pairs(args)
    from plaudit.audit.attacks import audit_verifier, twin_metrics
    from plaudit.cli.auditing import check_outputs
    from plaudit.cli.inputs import open_reward
    from plaudit.cli.output import show, write_json

    check_outputs(args)
    reward = open_reward(args)
    audit = audit_verifier(reward)
    table = twin_metrics(audit)
    tried = sum(tally.tried for tally in audit.attacks)
    show(table, title=f"{args.reward}: {audit.honest} right answers, {tried} attacks")
    _tell(audit, tried)
    if args.json:
        write_json(args.json, table, configuration={**vars(args), "fingerprint": audit.fingerprint})
    return 0 if audit.passed else 1


def _refuse_options_of_pairs(args: argparse.Namespace) -> None:
    """An option that would be ignored is a mistake."""
    from plaudit.errors import InputError

    for name in (
        "out", "log", "recipe", "group", "stratum", "truth", "candidates", "fail_on", "against", "junit", "skip",
        "prompts", "search_budget", "seed", "no_texts", "skip_broken",
    ):  # fmt: skip
        given = getattr(args, name)
        if given is not None and given is not False and given != []:  # a seed of 0 is given, too
            raise InputError(f"--{name.replace('_', '-')}: is for an audit on pairs; name the file of pairs, too")


def _tell(audit: TwinAudit, tried: int) -> None:
    found = [*audit.refused, *(escape for tally in audit.attacks for escape in tally.escaped)]
    if not found:
        print(f"all {tried} attacks were refused and all {audit.honest} right answers accepted")
        return
    print(f"\n{len(found)} of {tried + audit.honest} went wrong:")
    for escape in found:
        outcome = escape.outcome.name.lower()
        print(f"  {escape.attack}: {escape.completion}")
        print(f"    {outcome}, reward {escape.reward:g}; {_reasons(escape.detail)}")


def _reasons(detail: object) -> str:
    from plaudit.records.fields import shortened

    return shortened(detail, 200)
