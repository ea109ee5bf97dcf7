"""How a reward model is fitted: objectives, groups, the trainer."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Backbone": "config",
        "FitConfig": "config",
        "Fit": "fitting",
        "fit_reward_model": "fitting",
        "Trained": "entry",
        "train_reward": "entry",
        "fit_frozen": "frozen",
        "Group": "groups",
        "encode_groups": "groups",
        "RewardTrainer": "trainer",
        "bradley_terry": "objectives.pairs.logistic",
    },
)
