"""The main job as a pipeline: stages in a run folder, each finished once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from plaudit import __version__
from plaudit.audit.biases.results import BiasAudit
from plaudit.audit.verdict import Verdict
from plaudit.errors import InputError
from plaudit.evaluation.results import PairEvaluation
from plaudit.lab.worlds.assistant import Prepared
from plaudit.lab.worlds.assistant.world import VERSION as WORLD_VERSION
from plaudit.recipes import measuring
from plaudit.recipes.loading import apply_setting, load_recipe, parse_recipe, to_yaml
from plaudit.recipes.schema import Recipe
from plaudit.recipes.sources import copy_candidates, input_hash, make_data, prepared, read_shifted
from plaudit.recipes.summarising import warnings, write_run_report
from plaudit.runs.atomic import write_text
from plaudit.runs.fresh import vacating
from plaudit.runs.stages import Stages
from plaudit.stats.estimate import Estimate

Emit = Callable[[str], None]


def run_recipe(recipe: Recipe, out: Path, *, emit: Emit = print) -> dict[str, Verdict]:
    """Runs a recipe, or what of it is not finished yet.

    Args:
        recipe: what to do; each of its variants runs in a folder of its own.
        out: run folder.
        emit: gets one line a stage.

    Returns:
        The verdict of each variant, by name; of the recipe itself under its own name where it has none.
    """
    return _run(recipe, out, emit, ())


def _run(recipe: Recipe, out: Path, emit: Emit, later: tuple[Path, ...]) -> dict[str, Verdict]:
    """As `run_recipe`; `later` are the folders of the runs that this one is the baseline of."""
    if not recipe.variants:
        return {recipe.name: _Job(recipe, out, emit, later).run()}
    # all of them are checked first: a mistake in the last one should not cost the training of the others
    jobs = {name: with_settings(recipe, name, settings) for name, settings in recipe.variants.items()}
    verdicts = {}
    for name, job in jobs.items():
        emit(f"== {name}")
        verdicts[name] = _Job(job, out / name, emit, later).run()
    return verdicts


def with_settings(recipe: Recipe, name: str, settings: Mapping[str, Any]) -> Recipe:
    """A variant of a recipe: the recipe with some of its keys set (`model.name: ...`, or nested mappings)."""
    tree = {**asdict(recipe), "variants": {}, "name": f"{recipe.name}-{name}"}
    for key, value in _flat(settings):
        apply_setting(tree, f"{key}={yaml.safe_dump(value, default_flow_style=True).removesuffix('...' + chr(10))}")
    return parse_recipe(_lists(tree), f"variant {name}")


class _Job:
    """One run: the recipe, its folder, and the stages."""

    def __init__(self, recipe: Recipe, out: Path, emit: Emit, later: tuple[Path, ...] = ()) -> None:
        self.recipe, self.out, self.emit, self.later = recipe, out, emit, later

    @cached_property
    def world(self) -> Prepared | None:
        return prepared(self.recipe.data.world) if self.recipe.data.world else None

    def run(self) -> Verdict:
        baseline = self._baseline()
        files = self._files()
        with vacating(self.out), Stages(self.out, emit=self.emit) as stages:
            results = self._measured(stages, files)
            digest = _digest(baseline) if baseline else None
            names = tuple(results)
            done = stages.run(
                "report", lambda _: write_run_report(self.recipe, self.out, results, baseline=baseline),
                inputs={"recipe": asdict(self.recipe), "baseline": digest, "version": __version__},
                after=names, outputs=("report.json", "report.html", "run.json"),
                headline=lambda v: v["verdict"]["headline"],
            )  # fmt: skip
        return Verdict.from_dict(done.value["verdict"])

    def _files(self) -> tuple[Any, Any, Any]:
        """Content of the files that are read; asked for before anything is written."""
        spec = self.recipe.data
        return input_hash(spec.train, spec.test), input_hash(spec.candidates), input_hash(spec.shifted)

    def _measured(self, stages: Stages, files: tuple[Any, Any, Any]) -> dict[str, Any]:
        r, out = self.recipe, self.out
        whole = asdict(r)
        pool = {key: (whole["data"]["world"] or {}).pop(key, None) for key in ("pool_prompts", "pool_completions")}
        candidates, shifted = (whole["data"].pop(name) for name in ("candidates", "shifted"))
        more = [shifted, files[2]] if shifted else []  # a run without them is the run that it was
        data = stages.run(
            "data", lambda _: make_data(r, out),
            inputs=[whole["data"], r.seed, files[0], WORLD_VERSION, __version__],
            outputs=("data",), headline=_data_line,
        )  # fmt: skip
        # from here on the folder is this recipe's; before, a bad file would have left it in another run's
        write_text(out / "recipe.yaml", to_yaml(r))
        for line in warnings(r, data.value):
            self.emit(f"  {line}")
        if candidates:
            stages.run(
                "candidates", lambda folder: copy_candidates(r, out, folder),
                inputs=[candidates, r.data.skip_broken, files[1], __version__], outputs=("candidates.jsonl",),
                headline=_candidates_line,
            )  # fmt: skip
        train = stages.run(
            "train", self._train, inputs=[whole["model"], whole["train"], *more], after=("data",),
            outputs=("model", "metrics.jsonl") if not r.train.freeze else ("model",), headline=_train_line,
        )  # fmt: skip
        stages.run(
            "score", lambda folder: measuring.score_held_out(r, out, folder), inputs=[r.data.folds, r.seed],
            after=("train",), outputs=("scores",), headline=_score_line,
        )  # fmt: skip
        evaluated = stages.run(
            "evaluate", lambda _: measuring.evaluate(r, out, 1.0 if r.data.folds else self._scale()),
            inputs=[whole["evaluate"], r.seed], after=("score",), headline=_evaluate_line,
        )  # fmt: skip
        audited = stages.run(
            "audit", lambda _: measuring.audit(r, out, self.world),
            inputs=[whole["audit"], whole["evaluate"], pool, r.seed],
            after=("score",), headline=_audit_line,
        )  # fmt: skip
        results = {
            "data": data.value,
            "train": train.value,
            "evaluate": evaluated.value,
            "audit": audited.value,
        }
        if r.data.world:
            found = stages.run(
                "select", lambda folder: measuring.select(r, out, folder, self._prepared()),
                inputs=[whole["select"], r.evaluate.resamples, pool, r.seed], after=("train",),
                headline=_select_line,
            )  # fmt: skip
            results["select"] = found.value
        if candidates:
            found = stages.run(
                "pick", lambda folder: measuring.pick(out, folder), inputs=[], after=("train", "candidates"),
                outputs=("best.jsonl",), headline=_pick_line,
            )  # fmt: skip
            results["pick"] = found.value
        return results

    def _prepared(self) -> Prepared:
        if self.world is None:
            raise InputError(f"{self.recipe.name}: no world is named, and one is needed here; set data.world")
        return self.world

    def _train(self, folder: Path) -> dict[str, Any]:
        from plaudit.training.entry import train_reward

        # the model is saved and its checkpoints are gone before the stage counts as finished (the hashes of
        # a large model take a while): a kill in between must not train it again
        kept = folder / "facts.json"
        if kept.is_file() and (self.out / "model").is_dir():
            facts: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
            return facts
        rows = measuring.read_pairs(self.out, "train")
        facts = train_reward(
            rows, backbone=self._backbone(), config=self.recipe.train, out=self.out,
            shifted=read_shifted(self.recipe.data.shifted),
        ).facts  # fmt: skip
        write_text(kept, json.dumps(facts) + "\n")
        return facts

    def _backbone(self) -> Any:
        """In a world, a model from scratch uses the world's own tokenizer."""
        model = self.recipe.model
        if self.world is not None and model.name == "scratch" and not model.tokenizer:
            return replace(model, tokenizer=str(self.world.policy_folder))
        return model

    def _scale(self) -> float | None:
        from plaudit.rewards.registry import load

        return getattr(load(self.out), "log_odds_per_unit", None)

    def _baseline(self) -> Path | None:
        """The run folder to compare with, finished first where it is not."""
        spec = self.recipe.baseline
        if not spec.recipe:
            return None
        recipe = load_recipe(spec.recipe)
        folder = Path(spec.out or f"runs/{recipe.name}")
        chain = (*self.later, self.out)
        if folder.resolve() in {f.resolve() for f in chain}:
            raise InputError(
                f"baseline.recipe {spec.recipe}: would be compared with itself in {folder}; set baseline.out"
            )
        if recipe.variants:
            names = ", ".join(recipe.variants)
            raise InputError(
                f"baseline.recipe {spec.recipe}: has variants ({names}); one run is needed to compare with"
            )
        self.emit(f"== before: {recipe.name}, in {folder}")
        _run(recipe, folder, self.emit, chain)
        self.emit(f"== after: {self.recipe.name}")
        return folder


def _digest(run: Path) -> str:
    found: str = json.loads((run / "stages" / "report" / "done.json").read_text(encoding="utf-8"))["digest"]
    return found


def _data_line(v: dict[str, Any]) -> str:
    longer = Estimate.from_dict(v["longer_chosen"])
    held = f" + {v['test_pairs']:,} held out" if v["test_pairs"] else ""
    return f"{v['train_pairs']:,} pairs{held}; longer chosen {longer.format(2)}"


def _candidates_line(v: dict[str, Any]) -> str:
    return f"{v['candidates']:,} candidates" + (f"; {v['broken']} broken rows set aside" if v["broken"] else "")


def _pick_line(v: dict[str, Any]) -> str:
    return f"{v['winners']:,} winners -> best.jsonl" + (
        f"; none in {v['unanswered']} groups" if v["unanswered"] else ""
    )


def _train_line(v: dict[str, Any]) -> str:
    if v.get("last_loss") is None:
        return f"{v['parameters']:,} weights on frozen features, l2 = {v['l2']:g}"
    return f"loss {v['first_loss']:.3f} -> {v['last_loss']:.3f} (chance 0.693)"


def _score_line(v: dict[str, Any]) -> str:
    return f"{v['scored']:,} of {v['samples']:,} scored"


def _evaluate_line(v: dict[str, Any]) -> str:
    result = PairEvaluation.from_dict(v)
    if result.truth is not None:
        return f"accuracy {result.accuracy.format(3)}; true {result.truth.accuracy.format(3)}"
    known = [b for b in result.baselines if b.name != "random" and b.accuracy.value == b.accuracy.value]
    best = max(known, key=lambda b: b.accuracy.value, default=None)
    rule = f'; the rule "{best.name}" {best.accuracy.value:.3f}' if best else ""
    return f"accuracy {result.accuracy.format(3)}{rule}"


def _audit_line(v: dict[str, Any]) -> str:
    result = BiasAudit.from_dict(v)
    worst = max(result.effects, key=lambda e: abs(e.effect.value), default=None)
    return f"largest bias: {worst.name} {worst.effect.format(2)} sd" if worst else "nothing audited"


def _select_line(v: dict[str, Any]) -> str:
    curve = v["curve"]
    truth, oracle = Estimate.from_dict(curve["truth"][-1]), Estimate.from_dict(curve["oracle"][-1])
    return f"best-of-{curve['ns'][-1]}: true reward {truth.format(2)}, oracle {oracle.value:.2f}"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in settings.items():
        path = f"{prefix}{key}"
        rows += _flat(value, path + ".") if isinstance(value, Mapping) else [(path, value)]
    return rows


def _lists(value: Any) -> Any:
    """Tuples as the lists that YAML would hold."""
    if isinstance(value, Mapping):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, list | tuple) else value
