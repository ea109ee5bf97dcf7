"""Objectives of causal language models whose likelihoods are rewards."""

from plaudit.training.methods.method import LOSSES, PAIRS, Method

_OUTCOMES = "unpaired rows with a label, pairs, or ranked rows with scores 0 and 1"

OF_LIKELIHOODS: dict[str, Method] = {
    "implicit-ce": Method(
        "a policy's log-ratio with its start as the reward, cross-entropy of outcomes [54]", _OUTCOMES,
        f"{LOSSES}.policies:ce", "sequence", options={"beta": 0.05}, labels="values", model="causal",
    ),
    "implicit-kto": Method(
        "the same by KTO [54]", _OUTCOMES, f"{LOSSES}.policies:kto", "sequence",
        options={"beta": 0.05, "desirable": 1.0, "undesirable": 1.0}, labels="values", model="causal",
    ),
    "implicit-dpo": Method(
        "the same from preferences, by DPO [54]", PAIRS, f"{LOSSES}.policies:dpo", "pair", options={"beta": 0.05},
        model="causal",
    ),
    "implicit-nca": Method(
        "the same from preferences, by noise contrast [54]", PAIRS, f"{LOSSES}.policies:nca", "pair",
        options={"beta": 0.05}, model="causal",
    ),
    "autoregressive": Method(
        "a causal model's log-likelihood as the reward, token by token [162]", PAIRS,
        f"{LOSSES}.policies:autoregressive", "pair", options={"beta": 0.1}, model="causal",
    ),
    "yes-token": Method(
        "probability of yes: a completion beats a reference [123]", PAIRS, f"{LOSSES}.policies:word", "pair",
        rows="plaudit.training.policies.asking:comparison_rows", model="causal",
        then="plaudit evaluate HELD_OUT_PAIRS --reward 'likelihood/yes-comparison?model={model}'",
    ),
    "principle-token": Method(
        "log-odds of yes: a completion follows a principle [115]",
        "rated rows whose aspects are principles (1 or 0), or unpaired rows with a principle",
        f"{LOSSES}.policies:word", "pair", rows="plaudit.training.policies.asking:principle_rows", model="causal",
        then="plaudit score SAMPLES --reward 'likelihood/principle?model={model}&principles=FILE' --out SCORED",
    ),
}  # fmt: skip
