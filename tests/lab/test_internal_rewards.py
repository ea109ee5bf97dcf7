"""The smoke run of self-consistent internal rewards on tables, and the policy that judges: not the claim."""

import pytest
import torch

from plaudit.lab.experiments.policy.internal_rewards import experiment as internal
from plaudit.lab.worlds.phrases import Phrases


def test_internal_rewards(smoke):
    found = smoke("policy/internal_rewards", unknown=("nothing", "nothing@0", "oracle@0"))
    assert found["seed"]["agreed"] == 0
    assert found["scir"]["worth"] != found["selected"]["worth"] != found["self"]["worth"]
    assert found["scir@0"]["agreed"] == found["self@0"]["agreed"] == 1.0
    assert all(0 <= row[k] <= 1 for row in found.values() for k in ("implied", "judged", "agreed"))


@pytest.fixture
def both():
    return internal.Both(Phrases.made(4, train=3, test=2), 0.1, 1.0, alone=False)


def test_the_policy_begins_at_the_start_and_the_judge_prefers_the_first(both):
    drawn = both.world.start.sample(torch.arange(3), 4, torch.Generator().manual_seed(0))
    assert both.ratios(drawn.prompt, drawn.tokens).tolist() == [0.0] * 12
    pairs = internal._twos(drawn)
    forward, backward = both.judgements(drawn.prompt, drawn.tokens, pairs)
    # it knows nothing, so that whatever is shown first has log-odds of 1, and both orders together say nothing
    assert forward.tolist() == backward.tolist() == [1.0] * len(pairs)
    implied, judged = both.opinions(drawn)
    assert implied.tolist() == [0.0] * len(pairs)
    assert judged.tolist() == pytest.approx([0.0] * len(pairs), abs=1e-12)


def test_what_one_learns_the_other_does_in_part(both):
    drawn = both.world.start.sample(torch.arange(3), 4, torch.Generator().manual_seed(0))
    pairs = internal._twos(drawn)

    def loss():
        return -both.ratios(drawn.prompt, drawn.tokens)[pairs[0, 0]]

    both.fitted(loss, 5, 0.1)
    assert float(both.shared.detach().abs().max()) > 0
    forward, _ = both.judgements(drawn.prompt, drawn.tokens, pairs[:1])
    assert float(forward.detach()) > 1.0
    # from the same gradient Adam takes the same steps: the policy's own part is the shared one, the judge's is nothing
    own = both.policy.parametrizations["logits"].original
    torch.testing.assert_close(own, both.shared)
    assert not both.judge.parametrizations["logits"].original.detach().any()
    assert float(both.bias.detach()) == 1.0


def test_phrases_are_not_compared_with_themselves(both):
    drawn = both.world.start.sample(torch.arange(3), 2, torch.Generator().manual_seed(0))
    drawn.tokens[1] = drawn.tokens[0]
    drawn.tokens[3] = torch.tensor([1, 1, 1, 1, 1])
    drawn.tokens[2] = torch.tensor([2, 1, 1, 1, 1])
    assert [2, 3] in internal._twos(drawn).tolist()
    assert [0, 1] not in internal._twos(drawn).tolist()
