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
    "rule/language": ("language:LanguageReward", "share of the answer in the language that is asked for"),
    "rule/length": ("length:LengthReward", "words of the completion, or nearness to a target, or a cap"),
    "rule/r3": ("relevance:R3Reward", "relevance x length x absence of repetition"),
    "rule/reasoning-pattern": ("reasoning:ReasoningPatternReward", "phrases of deliberate reasoning, less repetition"),
    "rule/relevance": ("relevance:RelevanceReward", "cosine of prompt and completion"),
    "rule/repetition": ("repetition:RepetitionReward", "minus the share of repeated n-grams"),
    "rule/similarity": ("similarity:SimilarityReward", "token matches with a reference, on embeddings"),
    "verify/choice": ("text.choice:ChoiceVerifier", "names the right option and no other"),
    "verify/citations": ("text.citations:CitationsVerifier", "citations exist and support their claim"),
    "verify/class": ("vision.labels:ClassVerifier", "the name of the true class and of no other"),
    "verify/co-reward": ("agreement.views:CrossViewReward", "agrees with most answers to other wordings"),
    "verify/code": ("code.verifier:CodeVerifier", "tests that a program passes, in a sandbox"),
    "verify/detection": ("vision.detection:DetectionVerifier", "predicted boxes matched with the true ones"),
    "verify/exact": ("text.exact:ExactVerifier", "equals a gold answer after SQuAD's normalisation"),
    "verify/f1": ("text.overlap:F1Verifier", "token F1 with the nearest gold answer"),
    "verify/grounding": ("vision.grounding:GroundingVerifier", "one box: IoU with the true one"),
    "verify/inspection": ("vision.inspection:InspectionVerifier", "look, then detect: precision, recall, looking"),
    "verify/instructions": ("structure.instructions:InstructionsVerifier", "fraction of IFEval's constraints met"),
    "verify/json-schema": ("structure.schema:JsonSchemaVerifier", "strict JSON, valid under the schema"),
    "verify/majority": ("agreement.majority:MajorityReward", "agrees with most of its group"),
    "verify/math": ("math.verifier:MathVerifier", "the final answer equals the gold one"),
    "verify/nuggets": ("structure.nuggets:NuggetsVerifier", "weighted share of the facts that are supported"),
    "verify/numeric": ("text.numeric:NumericVerifier", "a number within tolerance, or class and severity"),
    "verify/page": ("structure.page:PageVerifier", "a page of items against logged engagement"),
    "verify/path": ("text.path:PathVerifier", "the answer, else decayed credit for steps"),
    "verify/program-agreement": ("agreement.programs:ProgramAgreementReward", "a program prints the answer given"),
    "verify/quotes": ("text.quotes:QuotesVerifier", "n-grams or quotations verbatim in a corpus"),
    "verify/ranked-list": ("structure.ranked:RankedListVerifier", "rank of the gold answer in a list"),
    "verify/regex": ("text.matching:RegexVerifier", "matches a pattern, under a deadline"),
    "verify/rerank": ("structure.rerank:RerankVerifier", "NDCG of an order, and its format"),
    "verify/tool-calls": ("structure.tool_calls:ToolCallsVerifier", "the calls that the row allows; graded: ToolRL"),
}  # fmt: skip

_LIKELY = "plaudit.rewards.likelihood"

BUILTIN: dict[str, Entry] = {
    "compare/margin": Entry(
        "plaudit.rewards.comparisons.margin:open_margin", "two samples by a calibrated reward: of=MODEL_FOLDER"
    ),
    "compare/ties": Entry(
        "plaudit.rewards.comparisons.ties:open_ties", "better, worse or a tie by a model of ties: of=MODEL_FOLDER"
    ),
    **{name: Entry(f"{_PLACES[name.partition('/')[0]]}.{path}", summary) for name, (path, summary) in _NAMED.items()},
    **{
        f"shape/{name}": Entry(f"plaudit.shaping.transforms.naming:{name.replace('-', '_')}", summary)
        for name, summary in {
            "affine": "scale * reward + offset",
            "centred": "less the mean reward of the prompt's reference completions",
            "clip": "kept between low and high",
            "confidence": "more for stated confidence above the running mean, less below it",
            "group-matched": "groups of completions made alike within prompts: column=NAME, fitted state",
            "length-controlled": "less what its words are worth: slope=PER_WORD",
            "log-sigmoid": "log-probability of beating a good reference: its sum is a conjunction",
            "min-max": "place within the range of all rewards seen",
            "par": "how often it would be preferred to a reference, between 0 and 1",
            "quantile": "place among the rewards of reference completions, even or normal",
            "rank": "rank within its group, between 0 and 1",
            "running-clip": "kept within deviations of the running mean",
            "squash": "tanh, arctan, sigmoid, log-sigmoid or polynomial of the reward",
            "standardise": "by running mean and deviation",
            "stretch": "collapsed rewards stretched between running quantiles, ranked where no spread is left",
            "whiten": "mean 0 and deviation 1 over the batch",
        }.items()
    },
    "shape/ensemble": Entry(
        "plaudit.shaping.pessimism:AggregatedReward", "an ensemble's minimum, lower bound or the like"
    ),
    "shape/fused": Entry("plaudit.shaping.fusion:FusedReward", "drawn towards near completions that people preferred"),
    "shape/win-rate": Entry("plaudit.shaping.win_rates:WinRate", "share of its group that a comparison prefers it to"),
    "likelihood/answer": Entry(f"{_LIKELY}.answer:answer", "probability of the reference answer after the reasoning"),
    "likelihood/autoregressive": Entry(f"{_LIKELY}.autoregressive:autoregressive", "log-likelihood, token by token"),
    "likelihood/discriminator": Entry(f"{_LIKELY}.discriminator:discriminator", "likeness to a reference trajectory"),
    "likelihood/follow-up": Entry(f"{_LIKELY}.followup:follow_up", "what a content user would say next is likely"),
    "likelihood/principle": Entry(f"{_LIKELY}.principle:principle", "log-odds of yes: the answer follows a principle"),
    "likelihood/ratio": Entry(f"{_LIKELY}.ratio:ratio", "beta * log-ratio of a policy and a reference"),
    "likelihood/yes": Entry(f"{_LIKELY}.yes:yes", "probability of yes: the sample beats its reference"),
    "likelihood/yes-comparison": Entry(f"{_LIKELY}.yes:yes_comparison", "two samples, by the same question"),
    "ensemble/of": Entry("plaudit.rewards.uncertainty.ensemble:open_ensemble", "mean of several rewards, and how sure"),
    "uncertainty/dropout": Entry("plaudit.rewards.uncertainty.dropout:open_dropout", "a model with thinned copies"),
    "uncertainty/laplace": Entry("plaudit.rewards.uncertainty.laplace:open_laplace", "a model, its head's posterior"),
    "gate/patterns": Entry("plaudit.rewards.uncertainty.gate:open_gate", "abstains on strange activations"),
    **{
        f"combine/{name}": Entry(f"plaudit.shaping.combine.combined:{name}", summary)
        for name, summary in {
            "gated": "later rewards count where the earlier ones passed their thresholds",
            "harmonic": "harmonic mean: 0 where any reward with weight is 0",
            "lexicographic": "rank in its group by the first reward, ties by the next",
            "minimum": "the least of several rewards",
            "weighted": "weighted sum of rewards: terms of {weight, reward}",
        }.items()
    },
    "combine/constrained": Entry(
        "plaudit.shaping.constraints.held:open_constrained", "rewards that are each held at a point, by multipliers"
    ),
    "combine/direction": Entry("plaudit.shaping.directions:open_direction", "aspects, weighed by a user's direction"),
    "features/mlp": Entry("plaudit.rewards.features:open_features", "a small network over named features: of=FOLDER"),
    "personal/mixture": Entry("plaudit.rewards.people.experts:open_mixture", "a mixture, for who chose so in a file"),
    "personal/variational": Entry("plaudit.rewards.people.opening:open_variational", "a user model, for one person"),
    "model": Entry("plaudit.rewards.registry:open_model", "a reward model: path=FOLDER_OR_HUB_ID (or just the path)"),
}
