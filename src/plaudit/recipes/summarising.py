"""From measured results to a verdict, a report, and a comparison with an earlier run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from plaudit._json import from_json
from plaudit.audit.biases.results import BiasAudit, bias_metrics
from plaudit.audit.findings import Findings, Thresholds
from plaudit.audit.verdict import Verdict, judge
from plaudit.evaluation.baselines import correctness, strongest
from plaudit.evaluation.pairs import pair_margins
from plaudit.evaluation.results import PairEvaluation
from plaudit.recipes.loading import to_yaml
from plaudit.recipes.measuring import held_out_scores
from plaudit.recipes.schema import Recipe
from plaudit.records.sample import content_hash
from plaudit.report.data import Change, Fact, ReportData, wrong_pairs
from plaudit.report.folder import write_report
from plaudit.runs.atomic import write_text
from plaudit.runs.origin import provenance
from plaudit.search.best_of_n import BestOfNCurve, Turn, best_of_n_values
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.estimate import Estimate


def verdict_of(recipe: Recipe, evaluation: PairEvaluation, biases: BiasAudit, best: dict[str, Any] | None) -> Verdict:
    """What the reward may be used for, from what the stages measured."""
    curve, turn = _selection(best)
    # noisy or biased labels favour rules that share their bias: where the truth is known, it judges both
    judged = evaluation.truth or evaluation
    rule = strongest(judged.baselines)
    unscored = 1 - sum(evaluation.outcomes.get(k, 0) for k in ("scored", "policy_fault")) / evaluation.n_pairs
    findings = Findings(
        accuracy=judged.accuracy,
        baseline=rule.name if rule else "", advantage=rule.advantage if rule else None,
        calibration_error=evaluation.calibration_error_debiased,
        biases={e.name: e.effect for e in biases.effects},
        gaps={f"{g.column}={g.value}": g.accuracy_gap for g in biases.gaps},
        unscored=unscored, curve=curve, turn=turn,
        consistency=evaluation.truth.correlation if evaluation.truth else None,
    )  # fmt: skip
    return judge(findings, thresholds=Thresholds.moved(recipe.audit.thresholds), remedies=recipe.report.remedies)


def write_run_report(recipe: Recipe, run: Path, results: dict[str, Any], *, baseline: Path | None) -> dict[str, Any]:
    """Writes `report.json`, `report.html` and `run.json`; returns the verdict and the page's name."""
    evaluation = PairEvaluation.from_dict(results["evaluate"])
    biases = BiasAudit.from_dict(results["audit"])
    curve, turn = _selection(results.get("select"))
    verdict = verdict_of(recipe, evaluation, biases, results.get("select"))
    pairs, chosen, rejected = held_out_scores(recipe, run)
    hashes = {part: results["data"][f"{part}_hash"] for part in ("train", "test") if results["data"][f"{part}_hash"]}
    source = provenance(seed=recipe.seed, data=hashes, configuration=asdict(recipe))
    written = to_yaml(recipe)
    data = ReportData(
        title=recipe.title or f"Reward report: {recipe.name}",
        subject=_subject(recipe, results), created=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=verdict, trained=_trained(recipe, results), curve=curve, turn=turn, evaluation=evaluation,
        biases=biases,
        wrong=wrong_pairs(pairs, pair_margins(chosen, rejected)),
        baseline_run=baseline.name if baseline else "",
        changes=changes(recipe, run, baseline) if baseline else (),
        recipe=written, provenance=_facts(source, written), command=str(source["command"]),
    )  # fmt: skip
    write_report(run, data, texts=recipe.report.texts)
    write_text(run / "run.json", json.dumps(source, indent=1, ensure_ascii=False) + "\n")
    return {"verdict": verdict.to_dict(), "page": "report.html"}


def warnings(recipe: Recipe, data: dict[str, Any]) -> list[str]:
    """What the data do not allow, or make worth less, a line each: told by the run, and in its report."""
    lines = [
        f"no held-out pair has a column {name!r}: nothing is measured by it"
        for name in recipe.evaluate.subsets if name not in data["columns"]
    ]  # fmt: skip
    if data.get("shared_prompts"):
        lines.append(
            f"{data['shared_prompts']} prompts stand in both training and test file: accuracy on them flatters"
        )
    if data.get("broken"):
        lines.append(f"{data['broken']} broken rows were set aside in the run folder's data/")
    if data.get("unused"):
        lines.append(f"{data['unused']} rows hold no preference (ties, single completions) and gave no pair")
    return lines


def changes(recipe: Recipe, run: Path, before: Path) -> tuple[Change, ...]:
    """Main numbers of an earlier run beside this one's; paired where both judged the same pairs or pool."""
    old, new = _results(before), _results(run)
    seed = recipe.seed
    found = [_accuracy_change(recipe, run, before, old, new, seed)]
    if new["evaluate"].truth and old["evaluate"].truth:
        found.append(
            Change(
                "accuracy against the true reward",
                old["evaluate"].truth.accuracy,
                new["evaluate"].truth.accuracy,
            )
        )
        found.append(
            Change(
                "correlation with the true reward",
                old["evaluate"].truth.correlation,
                new["evaluate"].truth.correlation,
            )
        )
    if old["curve"] and new["curve"]:
        found.append(_selection_change(run, before, old["curve"], new["curve"], seed))
    earlier, later = bias_metrics(old["audit"]), bias_metrics(new["audit"])
    for name, estimate in later.items():
        if name in earlier and name.startswith("bias/"):
            found.append(Change(name.replace("bias/", "bias: "), earlier[name], estimate, better="nearer-zero"))
    return tuple(found)


def _results(run: Path) -> dict[str, Any]:
    def value(stage: str) -> Any:
        path = run / "stages" / stage / "done.json"
        return json.loads(path.read_text(encoding="utf-8"))["value"] if path.is_file() else None

    curve, turn = _selection(value("select"))
    return {
        "evaluate": PairEvaluation.from_dict(value("evaluate")), "audit": BiasAudit.from_dict(value("audit")),
        "curve": curve, "turn": turn,
    }  # fmt: skip


def _accuracy_change(
    recipe: Recipe, run: Path, before: Path, old: dict[str, Any], new: dict[str, Any], seed: int
) -> Change:
    pairs, *now = held_out_scores(recipe, run)
    earlier_pairs, *then = held_out_scores(recipe, before)
    difference: Estimate | None = None
    if [(p.prompt, p.chosen) for p in pairs] == [(p.prompt, p.chosen) for p in earlier_pairs]:
        gain = correctness(pair_margins(*now)) - correctness(pair_margins(*then))
        clusters = cluster_codes([content_hash([m.to_dict() for m in p.prompt]) for p in pairs], len(pairs))
        difference = bootstrap_mean(gain, clusters, seed=seed)
    return Change("accuracy on held-out labels", old["evaluate"].accuracy, new["evaluate"].accuracy, difference)


def _selection_change(run: Path, before: Path, old: BestOfNCurve, new: BestOfNCurve, seed: int) -> Change:
    n = min(old.ns[-1], new.ns[-1])
    files = [folder / "stages" / "select" / name for folder in (before, run) for name in ("proxy.npy", "truth.npy")]
    difference = None
    if all(f.is_file() for f in files):
        proxy_then, truth_then, proxy_now, truth_now = (np.load(f, allow_pickle=False) for f in files)
        if truth_then.shape == truth_now.shape and np.array_equal(truth_then, truth_now):
            gain = best_of_n_values(proxy_now, truth_now, [n]) - best_of_n_values(proxy_then, truth_then, [n])
            difference = bootstrap_mean(gain[:, 0], seed=seed)
    before_n, after_n = old.truth[old.ns.index(n)], new.truth[new.ns.index(n)]
    return Change(f"true reward of best-of-{n}", before_n, after_n, difference)


def _selection(best: dict[str, Any] | None) -> tuple[BestOfNCurve | None, Turn | None]:
    if not best:
        return None, None
    turn = from_json(Turn, best["turn"]) if best["turn"] else None
    return from_json(BestOfNCurve, best["curve"]), turn


def _subject(recipe: Recipe, results: dict[str, Any]) -> str:
    train = results["train"]
    what = "linear head on frozen features of" if recipe.train.freeze else "reward model from"
    base = "scratch" if recipe.model.name == "scratch" else recipe.model.name
    return f"{what} {base}, {train['parameters']:,} trained parameters, {results['data']['train_pairs']:,} pairs"


def _trained(recipe: Recipe, results: dict[str, Any]) -> tuple[Fact, ...]:
    data, train = results["data"], results["train"]
    longer = Estimate.from_dict(data["longer_chosen"])
    where = data.get("source") or f"world {data.get('world')}, instance {data.get('instance')}"
    facts = [
        Fact("data", str(where)), Fact("training pairs", f"{data['train_pairs']:,}"),
        Fact("held-out pairs", f"{data['test_pairs']:,}" if data["test_pairs"] else
             f"each of the {data['train_pairs']:,}, in {recipe.data.folds} folds by prompt"),
        Fact("prompts", f"{data['prompts']:,}"), Fact("the longer completion is chosen", longer.format(3)),
    ]  # fmt: skip
    if "flipped" in data:
        facts.append(Fact("labels flipped at random", f"{data['flipped']:.1%}"))
        facts.append(Fact("labels against the true reward", f"{data['wrong_labels']:.1%}"))
    facts += [Fact("to know", line) for line in warnings(recipe, data)]
    facts.append(Fact("backbone", f"{train['base']} ({train['parameters']:,} parameters)"))
    facts.append(Fact("objective", recipe.train.objective))
    if train.get("last_loss") is not None:
        facts.append(
            Fact("training loss, first and last tenth", f"{train['first_loss']:.4f}, {train['last_loss']:.4f}")
        )
    facts.append(Fact("truncated sequences", f"{train['truncated']:,} of {train['sequences']:,}"))
    facts.append(Fact("computation", str(train["sharing"])))
    return tuple(facts)


def _facts(source: dict[str, Any], recipe: str) -> tuple[Fact, ...]:
    rows = [Fact(name, str(version)) for name, version in source["versions"].items()]
    rows += [Fact(f"data hash ({name})", value) for name, value in source["data"].items()]
    rows += [
        Fact("recipe hash", content_hash(recipe)),
        Fact("seed", str(source["seed"])),
        Fact("platform", source["platform"]),
    ]
    if source["commit"]:
        rows.append(Fact("commit", source["commit"]))
    return tuple(rows)
