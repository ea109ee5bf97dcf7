"""Principles that annotators' feedback names: which of them its words bear out, and which all annotators share [115].

A model reads free-text feedback and extracts principles, each with a verdict and the span of the feedback that it rests
on. What goes wrong there is caught without another model: a span that the feedback does not hold was invented, and a
principle that one annotator alone names is that annotator's taste. What is left becomes rated rows whose aspects are
principles, which `principle-token` is trained on.

Differs from the paper: the extraction and the embedding are the caller's; a principle whose verdicts tie over
annotators is left out; the ratio is computed here, since one alignment of two strings needs no dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Rated
from plaudit.records.sample import Completion, Conversation

Verdict = Literal["yes", "no", "partially"]
SUPPORT = 60.0
"""Evidence must be more like the feedback than this, of 100."""
AGREEMENT = 0.8
"""Cosine above which two principles are the same one: at 0.7 more and more subjective ones stay, at 0.9 too few."""


@dataclass(frozen=True, slots=True)
class ExtractedPrinciple:
    """What a model read out of one annotator's feedback on one completion.

    Attributes:
        principle: what the feedback judges by, in words.
        verdict: whether the completion follows it.
        evidence: the span of the feedback that says so.
        annotator: whose feedback it is.
        feedback: the whole of it.
    """

    principle: str
    verdict: Verdict
    evidence: str
    annotator: str
    feedback: str

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise InputError(
                f"principles: verdict of {self.principle!r} is {self.verdict!r}; give 'yes', 'no' or 'partially'"
            )


def partial_ratio(part: str, whole: str) -> float:
    """How like the shorter text is to the most similar stretch of the longer one, from 0 to 100.

    `100 * max over stretches w of 2 LCS(short, w) / (|short| + |w|)`, LCS the length of the longest common subsequence.
    Stretches are as long as the shorter text, or shorter where they touch an end of the longer one. Symmetric.

    Args:
        part: a text; case and spaces count.
        whole: another.

    Returns:
        100 for an exact part, 0 where either is empty: nothing is evidence of nothing.

    Source: the partial ratio of fuzzy string matching, as Wang et al. 2025 (RLBFF) [115] check evidence.
    """
    short, long = sorted((part, whole), key=len)
    if not short or short in long:
        return 100.0 if short else 0.0
    found = _best_stretch(short, long)
    # of two texts of one length either is the shorter one, and the choice must not depend on which was given first
    return max(found, _best_stretch(long, short)) if len(short) == len(long) else found


def _best_stretch(short: str, long: str) -> float:
    places: dict[str, int] = {}
    for at, sign in enumerate(short):
        places[sign] = places.get(sign, 0) | 1 << at
    n, m = len(short), len(long)
    stretches = [long[max(i, 0) : i + n] for i in range(1 - n, m)]
    return max(200.0 * _common(places, n, w) / (n + len(w)) for w in stretches)


def _common(places: dict[str, int], n: int, text: str) -> int:
    """Length of the longest common subsequence, a column of its table at a time, kept as the bits of one integer."""
    full = (1 << n) - 1
    row = full  # a zero bit is a step of one in the column
    for sign in text:
        matched = row & places.get(sign, 0)
        row = (row + matched | row - matched) & full
    return n - row.bit_count()


def supported(extracted: Sequence[ExtractedPrinciple], *, threshold: float = SUPPORT) -> list[ExtractedPrinciple]:
    """Those whose evidence is more like their feedback than a threshold.

    Args:
        extracted: from any annotators.
        threshold: of `partial_ratio`, in [0, 100]; at it, a principle is dropped.

    Raises:
        InputError: if the threshold is outside its range.

    Source: Wang et al. 2025 (RLBFF) [115], where this removes 2.2%.
    """
    if not 0 <= threshold <= 100:
        raise InputError(f"supported: threshold is {threshold}; it is a ratio from 0 to 100")
    return [e for e in extracted if partial_ratio(e.evidence, e.feedback) > threshold]


def decided(
    extracted: Sequence[ExtractedPrinciple], *, left_out: Sequence[str] = ("helpfulness",)
) -> list[ExtractedPrinciple]:
    """Those with a verdict of yes or no, without the principles that stand for everything at once.

    Args:
        extracted: from any annotators.
        left_out: names of global principles, compared without regard to case and outer spaces.

    Source: Wang et al. 2025 (RLBFF) [115].
    """
    everything = {name.strip().casefold() for name in left_out}
    return [e for e in extracted if e.verdict != "partially" and e.principle.strip().casefold() not in everything]


def principle_consensus(
    embeddings: Float[np.ndarray, "n d"], annotators: Sequence[str], *, everyone: Sequence[str] | None = None,
    threshold: float = AGREEMENT, verdicts: Sequence[Verdict] | None = None,
) -> Bool[np.ndarray, " n"]:  # fmt: skip
    """True where every other annotator of the completion names the like.

    Principle p of annotator a is kept iff `max over p' of b of cos(p, p') > threshold` for all annotators b but a. A
    higher threshold never keeps more. With one annotator alone there is nobody to disagree, and all are kept.

    Args:
        embeddings: of the principles of one completion; their lengths do not matter.
        annotators: whose each of them is.
        everyone: all annotators of the completion; one who names nothing agrees with nothing. Default: those above.
        threshold: of the cosine, in [-1, 1].
        verdicts: of each; if given, a principle agrees only with those of its own verdict (not in the paper).

    Raises:
        ShapeError: if there are not as many annotators or verdicts as embeddings.
        InputError: if the threshold is outside its range, or an embedding has no direction.

    Source: Wang et al. 2025 (RLBFF) [115].
    """
    n = len(embeddings)
    if embeddings.ndim != 2 or len(annotators) != n or (verdicts is not None and len(verdicts) != n):
        raise ShapeError(
            f"principle_consensus: embeddings are {embeddings.shape} for {len(annotators)} annotators and "
            f"{'no' if verdicts is None else len(verdicts)} verdicts; give one of each a principle"
        )
    if not -1 <= threshold <= 1:
        raise InputError(f"principle_consensus: threshold is {threshold}; it is a cosine, from -1 to 1")
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise InputError("principle_consensus: an embedding is zero or not finite; embed texts that are not blank")
    unit = embeddings / length
    alike = unit @ unit.T > threshold
    if verdicts is not None:
        said = np.asarray(verdicts)
        alike &= said[:, None] == said[None, :]
    whose = np.asarray(annotators)
    kept = np.ones(n, dtype=bool)
    for other in sorted({*annotators, *(everyone or ())}):
        kept &= (whose == other) | alike[:, whose == other].any(axis=1)
    return kept


def principle_ratings(
    prompt: Conversation, completion: Completion, extracted: Sequence[ExtractedPrinciple],
    embed: Callable[[Sequence[str]], Float[np.ndarray, "n d"]], *, support: float = SUPPORT,
    threshold: float = AGREEMENT,
) -> Rated | None:  # fmt: skip
    """The row that one completion's feedback comes to: its principles as aspects, 1 followed and 0 not.

    Keeps what is supported, decided and in consensus. Annotators whose every principle was dropped count as such who
    share none. A principle in the same words gets the verdict of the majority; a tie leaves it out.

    Args:
        prompt: the conversation.
        completion: what the feedback is about.
        extracted: from all its annotators.
        embed: texts to vectors, called once.
        support: see `supported`.
        threshold: see `principle_consensus`.

    Returns:
        A row that `principle-token` is trained on, or None where no principle is left.

    Source: Wang et al. 2025 (RLBFF) [115].
    """
    left = decided(supported(extracted, threshold=support))
    if not left:
        return None
    kept = principle_consensus(
        embed([e.principle for e in left]), [e.annotator for e in left], threshold=threshold,
        everyone=[e.annotator for e in extracted],
    )  # fmt: skip
    votes: dict[str, list[float]] = {}
    for e, keep in zip(left, kept, strict=True):
        if keep:
            votes.setdefault(e.principle, []).append(float(e.verdict == "yes"))
    means = {name: sum(said) / len(said) for name, said in votes.items()}
    aspects = {name: float(mean > 0.5) for name, mean in means.items() if mean != 0.5}
    return Rated(prompt, completion, aspects=aspects) if aspects else None
