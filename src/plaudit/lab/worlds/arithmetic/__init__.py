"""The arithmetic world: sums of two to six operations, one step a line, whose true reward is the exact answer."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Habits": "habits",
        "PolicyConfig": "policy",
        "Problem": "problems",
        "check_steps": "checking",
        "demonstrations": "habits",
        "draw_problems": "problems",
        "final_answer": "checking",
        "build_tokenizer": "symbols",
        "improve": "learning",
        "start": "policy",
        "true_reward": "checking",
    },
)
