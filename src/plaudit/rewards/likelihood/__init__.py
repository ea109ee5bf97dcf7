"""Causal language models as rewards: log-ratios, follow-ups, answers, one word, and reference trajectories."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "AnswerOptions": "answer",
        "AnswerReward": "answer",
        "DiscriminatorReward": "discriminator",
        "Domain": "domains",
        "FollowUpReward": "followup",
        "FollowUps": "followups",
        "LanguageModel": "language",
        "PrincipleReward": "principle",
        "RatioOptions": "ratio",
        "RatioReward": "ratio",
        "Scale": "outcomes",
        "Wording": "questions",
        "YesComparison": "yes",
        "YesReward": "yes",
        "answer_probability": "probability",
        "carrying": "discriminator",
        "debiased": "probability",
        "density_ratio": "credit",
        "follow_up_reward": "followups",
        "guided_logits": "autoregressive",
        "implicit_values": "credit",
        "order_debiased": "yes",
        "pretraining_pairs": "discriminator",
        "response_score": "credit",
        "save_likelihood": "saved",
        "step_rewards": "credit",
        "triple": "discriminator",
        "triples_of": "discriminator",
        "with_format": "probability",
    },
)
