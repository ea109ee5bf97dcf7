"""What a recipe may say: frozen dataclasses, and nothing that is not one of their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plaudit.audit.biases.rewrites import BIASES
from plaudit.audit.findings import Thresholds
from plaudit.errors import InputError, nearest
from plaudit.training.config import Backbone, FitConfig
from plaudit.training.methods import chosen

_FOLDER = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """Preference data made in a world of the lab, whose true reward is known."""

    name: str = "assistant"
    """Which world."""
    instance: int = 0
    """Seed of the world instance: its weights, grammar and starting policy."""
    train_pairs: int = 3000
    """Pairs to train on."""
    test_pairs: int = 500
    """Pairs to test on; their prompts are distinct and never trained on."""
    pool_prompts: int = 200
    """Prompts of the pool for best-of-n and the audit."""
    pool_completions: int = 128
    """Completions of each; n goes up to a quarter of them."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """How the annotators err, see the world's knobs: `flips`, `length_bias`, ..."""

    def __post_init__(self) -> None:
        if self.name != "assistant":
            raise InputError(f"data.world.name is {self.name!r}; the only world so far is 'assistant'")
        for name in ("train_pairs", "test_pairs", "pool_prompts", "pool_completions"):
            if getattr(self, name) < 1:
                raise InputError(f"data.world.{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where preferences come from: a world, or files."""

    world: WorldSpec | None = None
    """Make data in a world; leave out with files."""
    train: str = ""
    """File, datasets folder or hub id of training rows; several alternatives are divided by ` | `, and the
    first that is there is taken."""
    test: str = ""
    """The same of held-out rows; without it, part of the training file is held out by prompt."""
    test_share: float = 0.2
    """Share of the prompts that is held out where there is no test file and no folds."""
    folds: int = 0
    """Cross-validation: every pair is scored by a model that never saw its prompt; 0 for one split. Not used
    where a test file is named."""
    limit: int = 0
    """Rows taken from the beginning of the training source; 0 for all."""
    candidates: str = ""
    """Samples to pick the best of, by prompt; the winners become `best.jsonl` in the run folder."""
    shifted: str = ""
    """Samples of a shifted policy, two or more a prompt and without labels, for `train.meta_rate`."""
    skip_broken: bool = False
    """Set broken rows aside in the run folder instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.world is not None and (self.train or self.test):
            raise InputError("data: both a world and files are named; with files of your own set data.world=null")
        if self.world is None and not self.train:
            raise InputError("data: neither train nor world is named; give data.train=FILE")
        if self.folds and self.world is not None:
            raise InputError("data.folds: a world makes its own test pairs; set data.folds=0")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"data.folds is {self.folds}; give 0 for one split, or at least 2")
        if self.folds and self.test:
            object.__setattr__(self, "folds", 0)
        if not 0 < self.test_share < 1:
            raise InputError(f"data.test_share is {self.test_share}; it must lie between 0 and 1")
        if self.limit < 0:
            raise InputError(f"data.limit is {self.limit}; give a number of rows, or 0 for all")


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """What is measured on held-out pairs."""

    subsets: tuple[str, ...] = ()
    """Columns by whose values accuracy is given and gaps are looked for; one that no pair has is told."""
    resamples: int = 2000
    """Bootstrap resamples."""

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise InputError(f"evaluate.resamples is {self.resamples}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class AuditSpec:
    """What is audited."""

    features: tuple[str, ...] = BIASES
    """Surface features whose counterfactual effect is measured."""
    prompts: int = 100
    """Prompts that are rewritten, with up to four completions each."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Where a number starts to matter for the verdict: `bias`, `gap`, `calibration`, `unscored`, `gap_closed`, ..."""

    def __post_init__(self) -> None:
        Thresholds.moved(self.thresholds)
        for name in self.features:
            if name not in BIASES:
                raise InputError(f"audit.features has {name!r}; {nearest(name, BIASES)}")
        if self.prompts < 1:
            raise InputError(f"audit.prompts is {self.prompts}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class SelectSpec:
    """Best-of-n."""

    ns: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Numbers of candidates; those above a quarter of the pool are left out."""

    def __post_init__(self) -> None:
        if not self.ns or min(self.ns) < 1 or list(self.ns) != sorted(set(self.ns)):
            raise InputError(f"select.ns is {list(self.ns)}; give rising numbers of candidates, such as [1, 2, 4, 8]")


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """The page."""

    texts: bool = True
    """Whether the page shows completions."""
    remedies: Mapping[str, str] = field(default_factory=dict)
    """Recipe to run next by the cause that the verdict names (`bias/length`, `over-optimisation`, ...)."""


@dataclass(frozen=True, slots=True)
class BaselineSpec:
    """The run that this one is compared with."""

    recipe: str = ""
    """Recipe of that run; it is run first where it is not finished."""
    out: str = ""
    """Its run folder; by default as that recipe says."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The main job: data, training, evaluation, audit, selection, report."""

    name: str
    """Short; also the run folder under runs/."""
    title: str = ""
    """One line for the report."""
    seed: int = 0
    """Of everything that is drawn; the fit has its own (train.seed)."""
    data: DataSpec = field(default_factory=lambda: DataSpec(world=WorldSpec()))
    """Where preferences come from."""
    model: Backbone = field(default_factory=Backbone)
    """What training starts from."""
    train: FitConfig = field(default_factory=FitConfig)
    """How it is fitted."""
    evaluate: EvaluateSpec = field(default_factory=EvaluateSpec)
    """What is measured."""
    audit: AuditSpec = field(default_factory=AuditSpec)
    """What is audited."""
    select: SelectSpec = field(default_factory=SelectSpec)
    """Best-of-n."""
    report: ReportSpec = field(default_factory=ReportSpec)
    """The page."""
    baseline: BaselineSpec = field(default_factory=BaselineSpec)
    """What to compare with."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Several runs of this recipe, each with settings (`model.name: ...`) and a folder of its own."""

    def __post_init__(self) -> None:
        for name in (self.name, *self.variants):
            if not _FOLDER.fullmatch(name):
                raise InputError(f"name {name!r}: becomes a folder; use letters, digits, '-', '_' and '.'")
        if chosen(self.train.objective).head.compares:
            raise InputError(
                f"train.objective is {self.train.objective!r}, which gives a comparison; a recipe measures rewards: "
                "use plaudit train and plaudit evaluate"
            )
        world = self.data.world
        if world is not None and 4 * self.select.ns[0] > world.pool_completions:
            raise InputError(
                f"select.ns is {list(self.select.ns)}, but n goes up to a quarter of "
                f"data.world.pool_completions ({world.pool_completions}); more completions or a smaller n fit"
            )
