"""`plaudit compare A B SAMPLES`: where two rewards disagree, and what following one costs in the other."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plaudit.evaluation.distances.comparison import RewardComparison
    from plaudit.records import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = parser.add_argument
    add("a", metavar="A", help="a reward: folder, hub id, name?options, module.py:function")
    add("b", metavar="B", help="the other reward")
    add("data", help="samples, several a prompt (pairs and ranked rows are taken completion by completion)")
    add("--by", action="append", default=[], metavar="COLUMN", help="also by this meta column (repeatable)")
    add("--top", type=int, default=5, metavar="N", help="disagreements to show (default: 5)")
    add("--json", metavar="FILE", help="write the same numbers with configuration and versions")
    add("--log", metavar="FILE", help="durable logs of rewards, FILE.a and FILE.b: nothing is scored twice")
    add("--skip-broken", metavar="FILE", help="write broken rows here instead of stopping at the first")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Scores the samples with both, prints the table, the disagreements and what was left out."""
    from plaudit.cli.inputs import read_samples
    from plaudit.cli.output import show, write_json
    from plaudit.evaluation.distances.comparison import compare_rewards, comparison_metrics
    from plaudit.rewards.registry import load
    from plaudit.rewards.scoring import score_samples

    first, second = load(args.a), load(args.b)
    records, samples = read_samples(args.data, args.skip_broken)
    batches = []
    for side, reward in (("a", first), ("b", second)):
        log = f"{args.log}.{side}" if args.log and reward.scope != "batch" else None
        batches.append(score_samples(reward, samples, log=log, label=f"scoring with {reward.name}"))
    found = compare_rewards(samples, *batches, by=args.by, top=args.top, seed=args.seed)
    table = comparison_metrics(found)
    title = f"A = {first.name}, B = {second.name}: {found.n_used} completions of {found.n_prompts} prompts"
    show(table, title=title)
    for line in _remarks(found):
        print(line)
    _tell(found, samples)
    if args.json:
        prints = {"fingerprint_a": first.fingerprint, "fingerprint_b": second.fingerprint}
        write_json(args.json, table, configuration={**vars(args), **prints}, data={"samples": records.data_hash})
    return 0


def _remarks(found: RewardComparison) -> list[str]:
    from plaudit.evaluation.distances.prompts import best_of_n_regret_bound, gaussian_disagreement

    lines = []
    if found.n_used < found.n_samples:
        told = ", ".join(f"{n} {name}" for name, n in found.outcomes.items())
        alone = "the others are alone in their prompt" if told else "they are alone in their prompt"
        lines.append(
            f"{found.n_samples - found.n_used} completions are not compared: {told}{'; ' if told else ''}{alone}"
        )
    rough = [n for n in found.costs if n > found.pool / 4]
    if rough:
        lines.append(
            f"best-of-{', '.join(map(str, rough))}: above a quarter of the {found.pool} completions of a prompt, so "
            "rough: the estimate rests on the few best ones"
        )
    d = found.distance.value
    if d == d:
        lines.append(
            f"at this distance, normal rewards would reverse {gaussian_disagreement(d):.1%} of pairs; best-of-4 by one "
            f"costs at most {best_of_n_regret_bound(d, 4):.2f} standard deviations of the other, whatever they are"
        )
    else:
        lines.append("one of the two tells no completions of a prompt apart: there is no distance")
    return lines


def _tell(found: RewardComparison, samples: Sequence[Sample]) -> None:
    from plaudit.records.fields import shortened

    for pair in found.top:
        a, b = samples[pair.by_a], samples[pair.by_b]
        print(f"\n{shortened(a.prompt[-1].text if a.prompt else '', 150)}")
        print(f"  A prefers, by {pair.margin_a:.2f}: {shortened(a.text, 300)}")
        print(f"  B prefers, by {pair.margin_b:.2f}: {shortened(b.text, 300)}")
