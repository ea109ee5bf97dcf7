"""Smoke runs of the experiments on methods in rounds: the machinery, not the claims."""


def test_prover_verifier(smoke):
    found = smoke("policy/prover_verifier")
    assert all(0 <= n[k] <= 1 for n in found.values() for k in ("robust", "ordinary", "helpful", "legible"))
    assert all(1 <= n["steps"] <= 2 for n in found.values())
    assert len({n["robust"] for n in found.values()}) >= 6  # the arms are not one another
    assert found["game"] != found["random"]  # whom provers play against is another verifier
    assert found["start"]["ordinary"] != found["start@0"]["ordinary"]


def test_self_play(smoke):
    found = smoke("policy/self_play")
    assert all(0 <= v <= 1 for numbers in found.values() for v in numbers.values())
    assert found["start"]["proved"] == found["expert"]["inside"] == 0
    assert all(
        n["solved"] > found["start"]["solved"] for name, n in found.items() if "@" not in name and name != "start"
    )
    assert len({n["solved"] for n in found.values()}) >= 7  # the arms are not one another
