"""Tables aligned by the algorithms of `plaudit align`, and the world of phrases."""

import math

import pytest
import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned, mean_kl
from plaudit.lab.tabular import TabularPolicy, by_position
from plaudit.lab.worlds.phrases import Phrases, compared, labelled, ranked, spelled
from plaudit.records import Pair, Sample


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def one_token(vocabulary=4, *, seed=0):
    logits = torch.randn(1, 1, vocabulary, generator=generator(seed), dtype=torch.float64)
    return TabularPolicy(logits, by_position(1, vocabulary), length=1)


def test_rebel_ends_at_the_tilted_policy():
    """Over all pairs of four answers the minimiser is softmax(log ref + r / beta) [107]."""
    policy = one_token()
    start, reward = policy.frozen(), torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.float64)
    shown = Shown(torch.zeros(4, dtype=torch.int64), torch.arange(4)[:, None], torch.combinations(torch.arange(4)),
                  scores=reward)  # fmt: skip
    aligned(policy, shown, "rebel?beta=0.7", Fitting(600, 0.05))
    expected = (start.logits[0, 0].log_softmax(0) + reward / 0.7).softmax(0)
    torch.testing.assert_close(policy.logits[0, 0].detach().softmax(0), expected, atol=1e-5, rtol=0)


def test_losses_are_those_of_the_algorithms():
    policy = one_token()
    shown = Shown(torch.zeros(2, dtype=torch.int64), torch.tensor([[0], [1]]), torch.tensor([[0, 1]]))
    # at the reference the difference of log-ratios is 0: log 2, and (1 / (2 * 0.1))^2
    for name, expected in (("dpo", math.log(2)), ("ipo", 25.0)):
        history = aligned(policy.frozen().requires_grad_(True), shown, name, Fitting(1, 0.01))
        assert history[0]["loss"] == pytest.approx(expected)
        assert history[0]["told/margin"] == 0
    said = Shown(shown.prompt, shown.tokens, wanted=torch.ones(2, dtype=torch.float64))
    logp = policy.logits[0, 0].detach().log_softmax(0)
    sft = aligned(policy.frozen().requires_grad_(True), said, "sft", Fitting(1, 0.01))
    assert sft[0]["loss"] == pytest.approx(-(logp[0] + logp[1]).item() / 2)
    free = aligned(policy.frozen().requires_grad_(True), said, "asft?kl_coef=0", Fitting(3, 0.01))
    assert [r["loss"] for r in free] == [
        r["loss"] for r in aligned(policy.frozen().requires_grad_(True), said, "dft", Fitting(3, 0.01))
    ]
    held = aligned(policy.frozen().requires_grad_(True), said, "asft?kl_coef=100", Fitting(30, 0.01))
    assert (
        held[-1]["kl"] < 0.1 * aligned(policy.frozen().requires_grad_(True), said, "dft", Fitting(30, 0.01))[-1]["kl"]
    )


def test_training_ends_at_a_distance():
    world = Phrases.made(0, train=3, test=2)
    shown = compared(world, 20, steepness=1.0, generator=generator())
    policy = world.policy()
    history = aligned(policy, shown, "dpo", Fitting(200, 0.05, until_kl=0.3))
    assert mean_kl(policy, world.start) == pytest.approx(0.3, abs=1e-6)
    assert history[-1]["kl"] == pytest.approx(0.3, abs=1e-6)
    assert len(history) < 200


def test_parts_of_pairs():
    shown = Shown(
        torch.tensor([0, 0, 1, 1]), torch.tensor([[1], [2], [3], [4]]), torch.tensor([[1, 0], [2, 3]]),
        scores=torch.tensor([0.1, 0.2, 0.3, 0.4]), columns={"preference": torch.tensor([0.6, 0.7])},
    )  # fmt: skip
    part = shown.part(torch.tensor([1]))
    assert part.tokens[part.pairs].reshape(-1).tolist() == [3, 4]
    assert part.columns["preference"].tolist() == pytest.approx([0.7])
    alone = Shown(shown.prompt, shown.tokens, wanted=torch.tensor([1.0, 0.0, 1.0, 1.0])).part(torch.tensor([3, 0]))
    assert alone.tokens.reshape(-1).tolist() == [4, 1]


def test_what_tables_cannot_do():
    policy = one_token()
    shown = Shown(torch.zeros(2, dtype=torch.int64), torch.tensor([[0], [1]]), torch.tensor([[0, 1]]))
    with pytest.raises(InputError, match="aligned: kto needs completions of other prompts"):
        aligned(policy, shown, "kto", Fitting(1, 0.1))
    for name in ("t-reg", "scir"):
        with pytest.raises(InputError, match=f"aligned: {name} asks a language model for more"):
            aligned(policy, shown, name, Fitting(1, 0.1))


def test_worth_is_exact():
    world = Phrases.made(3, train=4, test=5)
    assert world.chance.sum(1).tolist() == pytest.approx([1.0] * 9, abs=1e-9)  # all but the empty phrase
    assert (world.chance * world.worth).sum(1).abs().max() < 1e-9
    assert (world.chance * world.worth.square()).sum(1).tolist() == pytest.approx([1.0] * 9)
    assert world.measured(world.start)["worth"] == pytest.approx(0, abs=1e-9)
    # sampled phrases are worth what the table says of them, on average nothing
    drawn = world.start.sample(torch.arange(4).repeat(500), 2, generator(1))
    assert world.worths(drawn).mean().abs() < 0.06
    assert torch.equal(world.every[world.places(drawn.tokens)], drawn.tokens)
    length = world.measured(world.start)["length"]
    assert abs(drawn.mask.sum(1).double().mean().item() - length) < 0.6  # other prompts, the same ends


def test_labels():
    gap = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    assert labelled(gap, steepness=math.inf, generator=generator()).tolist() == [1, 0, 1]
    often = labelled(gap[:1].expand(20_000), steepness=1.0, generator=generator()).double().mean()
    assert float(often) == pytest.approx(1 / (1 + math.exp(-2)), abs=0.01)  # sigmoid(2)
    world = Phrases.made(3, train=4, test=1)
    shown = compared(world, 400, steepness=math.inf, per_token=100.0, generator=generator())
    long = world.start.counted(shown.tokens).sum(1)
    assert (long[shown.pairs[:, 0]] >= long[shown.pairs[:, 1]]).all()


def test_phrases_as_records():
    world = Phrases.made(1, train=2, test=1)
    drawn = world.start.sample(torch.tensor([1, 0]), 3, generator())
    scores = torch.tensor([0.1, 0.9, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    rows = ranked(drawn, scores, previous=-scores)
    assert [row.prompt[0].text for row in rows] == ["1", "0"]
    assert rows[0].scores == (0.1, 0.9, 0.5)
    assert rows[1].meta["previous"] == [-1.0, -2.0, -3.0]
    said = [Sample(row.prompt, text) for row in rows for text in row.completions]
    prompt, tokens = spelled(said)
    assert torch.equal(tokens, drawn.tokens)
    assert torch.equal(prompt, drawn.prompt)
    pair = Pair(rows[0].prompt, rows[0].completions[2], rows[0].completions[1])
    assert torch.equal(spelled([pair])[1], drawn.tokens[[2, 1]])
