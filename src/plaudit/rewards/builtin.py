"""The rewards that ship, by name: where each is, and its line in `plaudit rewards`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A reward that can be named.

    Attributes:
        path: `module:factory`, imported only when it is used.
        summary: one line for `plaudit rewards`.
    """

    path: str
    summary: str


_PLACES = {"rule": "plaudit.rewards.rules", "verify": "plaudit.rewards.verifiers"}

_NAMED = {
    "rule/cosine-length": ("cosine:CosineLengthReward", "short right answers and long wrong ones are worth more"),
    "rule/format": ("format:FormatReward", "thinking and answer in their tags, nothing outside them"),
    "rule/length": ("length:LengthReward", "words of the completion, or nearness to a target, or a cap"),
    "rule/r3": ("relevance:R3Reward", "relevance x length x absence of repetition"),
    "rule/reasoning-pattern": ("reasoning:ReasoningPatternReward", "phrases of deliberate reasoning, less repetition"),
    "rule/relevance": ("relevance:RelevanceReward", "cosine of prompt and completion"),
    "rule/repetition": ("repetition:RepetitionReward", "minus the share of repeated n-grams"),
    "rule/similarity": ("similarity:SimilarityReward", "token matches with a reference, on embeddings"),
    "verify/class": ("vision.labels:ClassVerifier", "the name of the true class and of no other"),
    "verify/detection": ("vision.detection:DetectionVerifier", "predicted boxes matched with the true ones"),
    "verify/grounding": ("vision.grounding:GroundingVerifier", "one box: IoU with the true one"),
    "verify/inspection": ("vision.inspection:InspectionVerifier", "look, then detect: precision, recall, looking"),
    "verify/math": ("math.verifier:MathVerifier", "the final answer equals the gold one"),
}  # fmt: skip

BUILTIN: dict[str, Entry] = {
    **{name: Entry(f"{_PLACES[name.partition('/')[0]]}.{path}", summary) for name, (path, summary) in _NAMED.items()},
    "model": Entry("plaudit.rewards.registry:open_model", "a reward model: path=FOLDER_OR_HUB_ID (or just the path)"),
}
