"""Objectives of several aspects and of several people."""

from plaudit.training.methods.method import LOSSES, PAIRS, RANGES, Method

_ASPECTS = "rated rows with aspects, or pairs with chosen_aspects and rejected_aspects"

OF_ASPECTS_AND_PEOPLE: dict[str, Method] = {
    "mixture": Method(
        "experts whose shares the prompt decides, for people who disagree [139]", PAIRS, f"{LOSSES}.people:mixture",
        "pair", head=f"{LOSSES}.people:mixture_head", options={"experts": 2, "entropy_coef": 0.5},
    ),
    "aspects": Method(
        "an output an aspect, squared distance where it is rated [133]", _ASPECTS, f"{LOSSES}.people:aspects",
        "sequence", head=f"{LOSSES}.people:aspects_head", options={"weights": ()}, labels="aspects",
    ),
    "aspect-preferences": Method(
        "an output an aspect, cross-entropy to a probability that chosen is the better one in it",
        "pairs with aspect_preferences, name to a probability", f"{LOSSES}.people:aspect_preferences", "pair",
        head=f"{LOSSES}.people:aspects_head", options={"weights": ()}, labels="aspect-preferences",
    ),
    "gated-aspects": Method(
        "the same, and weights of the aspects that a prompt gives, from preferences", f"{_ASPECTS}; pairs for the gate",
        f"{LOSSES}.people:gated_aspects", "sequence", head=f"{LOSSES}.people:gated_aspects_head",
        options={"gate_coef": 1.0}, labels="aspects", rows=f"{LOSSES}.people:gated_rows",
    ),
    "balanced-sources": Method(
        "annotators weighed so that none pays for another's gain [130]", "pairs with annotator",
        f"{LOSSES}.people:balanced", "pair", head=f"{LOSSES}.people:balanced_head", options={"normalise": "none"},
        columns=("source",),
    ),
    "variational": Method(
        "Bradley-Terry, and on its features a user model that is told some of a person's pairs [145]",
        "pairs with annotator, who occurs again", f"{LOSSES}.people:known_people", "pair",
        options={"latent": 16, "width": 64, "context": 8, "steps": 1000, "beta": 1e-3},
        check=f"{RANGES}:check_annotators", beside="plaudit.training.people.variational:fit_beside",
    ),
    "community": Method(
        "embeddings of prompt and completion, a hinge on their cosines [69]", PAIRS, f"{LOSSES}.people:community",
        "pair", head=f"{LOSSES}.people:community_head", options={"width": 16, "margin": 0.3},
    ),
}  # fmt: skip
