"""Rewards of steps and tokens: what a process reward may pay for, and how an outcome is spread over what led to it."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Stream": "streams",
        "best_of_k_value": "progress",
        "clipped_steps": "telescoping",
        "contrastive_token_rewards": "tokens",
        "delta_steps": "telescoping",
        "discounted_returns": "streams",
        "effective_rewards": "progress",
        "leave_one_out_steps": "attribution",
        "placed_at_ends": "tokens",
        "potential_shaping": "potentials",
        "process_leave_one_out": "streams",
        "progress_rewards": "attribution",
        "repetition_penalty": "tokens",
        "return_errors": "attribution",
        "stream_advantages": "streams",
        "verifiable_step_rewards": "progress",
    },
)
