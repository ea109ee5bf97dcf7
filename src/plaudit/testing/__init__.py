"""Contract suites and Hypothesis strategies for rewards of your own."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "RewardContract": "contract",
        "ContractError": "checks",
        "check_reward": "checks",
        "check_properties": "checks",
        "check_shapes": "checks",
        "check_determinism": "checks",
        "check_independence": "checks",
        "check_order": "checks",
        "check_bounds": "checks",
        "check_empty": "checks",
        "check_hostile": "checks",
        "check_threads": "checks",
        "VerifierContract": "verifiers",
        "check_honest": "verifiers",
        "check_twins": "verifiers",
        "check_fuzzed": "verifiers",
        "example_samples": "examples",
        "hostile_samples": "examples",
        "samples": "strategies",
        "pairs": "strategies",
        "reward_batches": "strategies",
    },
)
