"""`plaudit audit`: a verifier's adversarial twins run against it; what passed that should not have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plaudit.cli.inputs import add_reward

if TYPE_CHECKING:
    from plaudit.audit.attacks import TwinAudit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_reward(parser)
    parser.add_argument("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    parser.epilog = "Exits with 1 when an attack passes or a right answer is refused."


def run(args: argparse.Namespace) -> int:
    """Runs the attacks, prints the table and every escape."""
    from plaudit.audit.attacks import audit_verifier, twin_metrics
    from plaudit.cli.inputs import open_reward
    from plaudit.cli.output import show, write_json

    reward = open_reward(args)
    audit = audit_verifier(reward)
    table = twin_metrics(audit)
    tried = sum(tally.tried for tally in audit.attacks)
    show(table, title=f"{args.reward}: {audit.honest} right answers, {tried} attacks")
    _tell(audit, tried)
    if args.json:
        write_json(args.json, table, configuration={**vars(args), "fingerprint": audit.fingerprint})
    return 0 if audit.passed else 1


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
