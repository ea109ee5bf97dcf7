"""From proofs and conjectures to weighted rows for one fine-tuning [208]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from plaudit.policy.online.lessons import correct_of
from plaudit.policy.online.selfplay.config import SelfPlayConfig
from plaudit.policy.online.selfplay.selecting import (
    conjectures_kept,
    elegant,
    matching_weights,
    proof_weights,
    proofs_kept,
)
from plaudit.policy.online.selfplay.subjects import Conjecture, Subject
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample
from plaudit.rewards.files import read_scored
from plaudit.training.policies.sampled import SAMPLED


@final
@dataclass(frozen=True, eq=False)
class Attempt:
    """The proofs of one statement in a round.

    Attributes:
        statement: what was to be proved.
        texts: of the proofs.
        tokens: of each, (k,).
        seconds: that checking each took, (k,); 0 where the reward does not tell.
        outcome: (k,) 1 right, 0 wrong, NaN where it could not be checked.
        sampled: for each the column with the tokens that it was sampled as, see `plaudit.training.policies.sampled`;
            none at all where they are not known.
    """

    statement: PromptOnly
    texts: tuple[str, ...]
    tokens: NDArray[np.float64]
    seconds: NDArray[np.float64]
    outcome: NDArray[np.float64]
    sampled: tuple[Mapping[str, Any], ...] = ()

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which are right, (k,)."""
        return np.asarray(self.outcome == 1)

    @property
    def rate(self) -> float:
        """Share of right ones among those that could be checked; NaN without any."""
        known = self.outcome[~np.isnan(self.outcome)]
        return float(known.mean()) if known.size else float("nan")


def attempts_of(file: Path, each: int, bounds: tuple[float, float]) -> list[Attempt]:
    """Attempts from a scored file in which each statement has `each` proofs after one another.

    Args:
        file: as `write_scored` left it.
        each: proofs of a statement.
        bounds: of the reward, whose middle says what is right.
    """
    kept = read_scored(file)
    correct = correct_of(kept.batch.reward, bounds)
    assert correct is not None
    found = []
    for start in range(0, len(kept.samples), each):
        part, first = kept.samples[start : start + each], kept.samples[start]
        meta = {k: v for k, v in first.meta.items() if k not in ("tokens", "finish", SAMPLED)}
        detail = kept.batch.detail[start : start + each]
        seconds = [d.get("seconds") for d in detail]
        found.append(
            Attempt(
                PromptOnly(first.prompt, first.reference, meta), tuple(s.text for s in part),
                np.array([float(s.meta["tokens"]) for s in part]),
                np.array([float(x) if isinstance(x, int | float) else 0.0 for x in seconds]),
                correct[start : start + each],
                tuple(s.meta[SAMPLED] for s in part) if all(SAMPLED in s.meta for s in part) else (),
            )
        )  # fmt: skip
    return found


def prover_rows(attempts: Sequence[Attempt], *, high: float = 0.5) -> list[Sample]:
    """Right proofs of statements that are proved at most so often, with a number `weight` from `proof_weights`.

    Args:
        attempts: of a round.
        high: see `proofs_kept`.
    """
    kept = proofs_kept([a.rate for a in attempts], high=high)
    taught = [(a, int(i)) for a, there in zip(attempts, kept, strict=True) if there for i in np.flatnonzero(a.right)]
    weight = proof_weights(
        [a.tokens[i] for a, i in taught], [id(a) for a, _ in taught], seconds=[a.seconds[i] for a, i in taught]
    )
    return [
        Sample(
            a.statement.prompt,
            a.texts[i],
            a.statement.reference,
            meta={"weight": float(w), "teaches": "prover", **({SAMPLED: a.sampled[i]} if a.sampled else {})},
        )
        for (a, i), w in zip(taught, weight, strict=True)
    ]


def conjecturer_rows(
    tried: Sequence[tuple[Conjecture, Attempt]], unproved: Sequence[PromptOnly], *, subject: Subject,
    config: SelfPlayConfig,
) -> list[Sample]:  # fmt: skip
    """Conjectures that teach, with a number `weight` from `matching_weights`.

    In order: proved, and seldom; whose shortest right proof makes use of the lemma that was asked for (of others a few
    are kept, asked for without a lemma); elegant ones of each lemma; moved towards what is not proved.

    Args:
        tried: conjectures with the attempts to prove them.
        unproved: problems that are not solved.
        subject: whose lemmas and embeddings.
        config: bands and shares.
    """
    kept = conjectures_kept([a.rate for _, a in tried], high=config.low_band)
    used: list[tuple[Conjecture, Attempt]] = []
    unused: list[tuple[Conjecture, Attempt]] = []
    for (c, a), there in zip(tried, kept, strict=True):
        if there:
            lemmas = subject.lemmas(c.statement, _shortest(a))
            (used if not c.lemma or c.lemma in lemmas else unused).append((c, a))
    few = unused[: int(config.unused * (len(used) + len(unused)) + 1e-9)]
    chosen = [*used, *((replace(c, lemma="", asked=c.bare), a) for c, a in few)]
    proofs = [float(a.tokens[a.right].min()) for _, a in chosen]
    stays = elegant(proofs, [len(c.said) or 1 for c, _ in chosen], [c.lemma for c, _ in chosen], drop=config.inelegant)
    chosen = [one for one, there in zip(chosen, stays, strict=True) if there]
    if not chosen:
        return []
    near = subject.embedding([c.statement for c, _ in chosen])
    far = subject.embedding(list(unproved)) if unproved else np.zeros((0, near.shape[1]))
    weight = matching_weights(near, far, cap=config.cap)
    return [
        Sample(
            c.asked,
            c.said,
            meta={"weight": float(w), "teaches": "conjecturer", **({SAMPLED: c.sampled} if c.sampled else {})},
        )
        for (c, _), w in zip(chosen, weight, strict=True)
        if w > 0
    ]


def scaled(rows: Sequence[Sample]) -> list[Sample]:
    """The rows with their weights divided by the greatest, as `weighted-sft` takes them."""
    most = max(float(row.meta["weight"]) for row in rows)
    return [replace(row, meta={**row.meta, "weight": float(row.meta["weight"]) / most}) for row in rows]


def _shortest(attempt: Attempt) -> str:
    at = np.flatnonzero(attempt.right)
    return attempt.texts[int(at[np.argmin(attempt.tokens[at])])]


__all__ = ["Attempt", "attempts_of", "conjecturer_rows", "prover_rows", "scaled"]
