"""What a reward is worth beside the others of its group: baselines, scales, ranks."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Grouped": "codes",
        "Groups": "codes",
        "Stretch": "collapse",
        "TaskDeviations": "tasks",
        "Tasks": "tasks",
        "batch_standardised": "baselines",
        "best_random_weights": "selection",
        "best_weights": "selection",
        "best_worst_weights": "selection",
        "branch_advantages": "branches",
        "brevity_reward": "efficiency",
        "data_hardness": "difficulty",
        "difficulty_scale": "difficulty",
        "efficient_reward": "efficiency",
        "group_win_rates": "pairwise",
        "hardness_scale": "difficulty",
        "leave_one_out": "baselines",
        "mastered_groups": "efficiency",
        "mean_only": "baselines",
        "mean_spread": "collapse",
        "most_reliable": "selection",
        "pairs_within": "pairwise",
        "pairwise_advantages": "pairwise",
        "power_weights": "selection",
        "prefix_values": "branches",
        "reliability": "selection",
        "responsiveness_scale": "difficulty",
        "standardised": "baselines",
        "trust_weights": "trust",
        "trusted_reward": "trust",
    },
)
