"""Losses with a frozen policy beside them, opinions of one policy, clipped regressions: by hand and in real runs."""

import json
import math

import numpy as np
import pytest
import torch

from plaudit.engine.vocabulary import install_logp_head
from plaudit.errors import InputError, ShapeError
from plaudit.policy.offline import losses
from plaudit.policy.offline.anchor import Anchor
from plaudit.policy.offline.data import best_of, best_of_superbatch
from plaudit.policy.offline.judging import unlabelled_pairs
from plaudit.records import Message, Pair, Ranked, Sample
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.questions import Wording, answer_logits
from plaudit.rewards.likelihood.yes import INSTRUCTION
from plaudit.training.policies.encoding import encode_policy_groups
from plaudit.training.policies.packing import PolicyCollator

ASKED = (Message("user", "question 1"),)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_asft_and_superhf_by_hand():
    logps, apart, said = t(math.log(0.5), math.log(0.25), -3.0), t(0.2, 0.3, 9.0), t(1, 1, 0)
    # 1/2 log 2 + 1/4 log 4 = log 2, and 0.1 * (0.2 + 0.3)
    assert float(losses.asft(logps, apart, said, kl_coef=0.1)) == pytest.approx(math.log(2) + 0.05, abs=1e-12)
    assert float(losses.asft(logps, apart, said, kl_coef=0)) == float(losses.dft(logps, said))
    # log 2 + log 4, and 0.3 * 0.5
    assert float(losses.superhf(logps, apart, said)) == pytest.approx(3 * math.log(2) + 0.15, abs=1e-12)
    # without the anchor it is the likelihood of the same tokens
    found = losses.superhf(logps, apart, said, kl_coef=0)
    assert float(found) == pytest.approx(float(losses.sft(t(3 * math.log(0.5)), t(1))))


def test_prdp_by_hand():
    b, old = t(0.5, 0.05, -0.4).requires_grad_(), t(0, 0, 0)
    owner, pairs = torch.tensor([0, 0, 1]), torch.tensor([[0, 1]])
    # free: 0.55 + 0.4 = 0.95, (0.95 - 1)^2; held: (0.1 + 0.05) + 0.1 = 0.25, (0.25 - 1)^2, the worse of the two
    found = losses.prdp(b, old, owner, pairs, t(1.0), t(0.0), beta=1.0, clip=0.1)
    assert found.item() == pytest.approx(0.5625, abs=1e-12)
    found.sum().backward()
    # the two that have gone too far teach nothing; 2 (0.25 - 1) by the third
    assert b.grad.tolist() == pytest.approx([0, -1.5, 0])
    # where they were sampled from is elsewhere: 0.4 is near enough to 0.5, and -0.4 to -0.35
    near = losses.prdp(b, t(0.4, 0, -0.35), owner, pairs, t(1.0), t(0.0), beta=1.0, clip=0.11)
    assert near.item() == pytest.approx(0.05**2, abs=1e-12)


def test_prdp_without_bounds_is_rebel_and_at_the_reference_has_its_gradient():
    rng = np.random.default_rng(0)
    b, owner, pairs = t(*rng.normal(size=9)), torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3]), torch.tensor([[0, 1], [2, 3]])
    up, down = t(1.0, -0.5), t(0.2, 0.7)
    sums = torch.zeros(4, dtype=torch.float64).index_add(0, owner, b)
    expected = losses.rebel(sums[pairs[:, 0]], sums[pairs[:, 1]], up, down, beta=0.7)
    found = losses.prdp(b, torch.zeros_like(b), owner, pairs, up, down, beta=0.7, clip=math.inf)
    torch.testing.assert_close(found, expected)
    # exchanging the two leaves it as it is, clipped or not
    one = losses.prdp(b, 0 * b, owner, pairs, up, down, beta=0.7, clip=0.2)
    torch.testing.assert_close(losses.prdp(b, 0 * b, owner, pairs.flip(1), down, up, beta=0.7, clip=0.2), one)
    zero = torch.zeros(9, dtype=torch.float64, requires_grad=True)
    losses.prdp(zero, 0 * b, owner, pairs, up, down, beta=0.5, clip=0.1).sum().backward()
    # the catalogue's -2 / beta * (r_a - r_b) * d(b_a - b_b): -4 * 0.8 and -4 * -1.2 [107]
    assert zero.grad.tolist() == pytest.approx([-3.2] * 2 + [3.2] * 3 + [4.8] * 2 + [-4.8] * 2)


def test_scir_by_hand():
    log3, h = math.log(3), 2 * math.log(2) - 0.75 * math.log(3)  # H(3/4)
    # both say 3/4: agreed, -log 3/4, nothing apart
    agreed = losses.scir(t(log3), t(0), t(log3), t(-log3), beta=1.0, entropy_coef=0.1)
    assert float(agreed) == pytest.approx(math.log(4 / 3) + 0.1 * h, abs=1e-12)
    # 3/4 and 1/4: (3/4 - 1/4) (log 3 + log 3), and no preference is learnt
    apart = losses.scir(t(log3), t(0), t(-log3), t(log3), beta=1.0, entropy_coef=0.1)
    assert float(apart) == pytest.approx(log3 + 0.1 * h, abs=1e-12)
    # exchanging the two exchanges the questions
    turned = losses.scir(t(0.3), t(-0.2), t(1.0), t(0.4)), losses.scir(t(-0.2), t(0.3), t(0.4), t(1.0))
    torch.testing.assert_close(*turned)


def test_what_losses_refuse():
    with pytest.raises(ShapeError, match="asft: \\(1,\\) divergences and \\(2,\\) weights"):
        losses.asft(t(0, 0), t(0), t(1, 1))
    with pytest.raises(ShapeError, match="superhf: \\(1,\\) log-probabilities and \\(2,\\) weights"):
        losses.superhf(t(0), t(0, 0), t(1, 1))
    with pytest.raises(InputError, match="superhf: kl_coef is -1"):
        losses.superhf(t(0), t(0), t(1), kl_coef=-1)
    with pytest.raises(ShapeError, match="prdp: \\(2,\\) log-ratios"):
        losses.prdp(t(0, 0), t(0), torch.tensor([0, 1]), torch.tensor([[0, 1]]), t(0), t(0))
    with pytest.raises(InputError, match="prdp: clip is 0"):
        losses.prdp(t(0, 0), t(0, 0), torch.tensor([0, 1]), torch.tensor([[0, 1]]), t(0), t(0), clip=0)


def test_a_character_costs():
    rows = [Ranked(ASKED, ("ab", "abcdef"), (1.0, 1.5))]
    assert best_of(rows)[0].completion == "abcdef"
    # 1 - 0.2 * 2 = 0.6 against 1.5 - 0.2 * 6 = 0.3
    assert best_of_superbatch(rows, length_coef=0.2)[0].completion == "ab"
    with pytest.raises(InputError, match="length_coef is -1"):
        best_of_superbatch(rows, length_coef=-1)


def test_pairs_without_labels():
    samples = [Sample(ASKED, text) for text in ("a", "b", "c", "c", "d")]
    assert [(p.chosen, p.rejected) for p in unlabelled_pairs(samples)] == [("a", "b")]  # c and c are one; d is alone
    assert unlabelled_pairs([Ranked(ASKED, ("a", "b"), (0.0, 0.0))])[0].rejected == "b"
    with pytest.raises(InputError, match="no prompt has two different completions"):
        unlabelled_pairs(samples[2:])


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("head", [True, False])
def test_the_whole_distribution_beside_what_was_said(tiny, aligned, preferences, tmp_path, tree, head):
    """As a slow loop over plain logits says, on trees and padded, with logits in chunks and whole."""
    other = aligned(preferences(), tmp_path, "sft").folder
    policy, reference = LanguageModel.open(tiny, max_length=96), LanguageModel.open(str(other), max_length=96)
    groups = encode_policy_groups(preferences(3), policy, labels=False)
    expected = []
    for one in (one for g in groups for one in g.located):
        ids = torch.from_numpy(one.ids)[None]
        p, p0 = (m.model(ids).logits[0].double().log_softmax(-1) for m in (policy, reference))
        at = one.counted - 1
        apart = (p0[at].exp() * (p0[at] - p[at])).sum(-1)
        expected.append(torch.stack([p[at, ids[0, one.counted]], apart]))
    if head:
        assert install_logp_head(policy.model)
    anchor = Anchor(reference.model)
    if not head:
        reference.model.set_output_embeddings(_plain(reference.model.get_output_embeddings()))
    (row,) = PolicyCollator(tree=tree, pad_id=policy.engine.pad_id)(groups)["rows"]
    found = anchor(policy.model, row)
    torch.testing.assert_close(found.double(), torch.cat(expected, dim=1), atol=2e-5, rtol=0)
    assert found[1].max().item() > 1e-2
    assert found[1].requires_grad
    assert not any(p.requires_grad for p in reference.model.parameters())


def _plain(head):
    linear = torch.nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
    linear.weight, linear.bias = head.weight, head.bias
    return linear


@pytest.mark.parametrize("name", ["asft?kl_coef=1.0", "superhf"])
def test_an_anchor_holds(name, aligned, preferences, ranked, tmp_path):
    rows = ranked() if name == "superhf" else preferences()
    head = name.partition("?")[0]
    free = aligned(rows, tmp_path / "a", f"{head}?kl_coef=0", epochs=20.0)
    held = aligned(rows, tmp_path / "b", f"{head}?kl_coef=5", epochs=20.0)
    assert free.history[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert held.facts["last"]["kl"] < 0.5 * free.facts["last"]["kl"]
    other = aligned(rows, tmp_path / "c", name, reference=str(free.folder), epochs=1.0)
    assert other.history[0]["kl"] > 1e-2  # to the one that is named
    assert json.loads((other.folder / "alignment.json").read_text())["reference"] == str(free.folder)


def test_the_anchor_of_adapters_is_the_policy_without_them(aligned, preferences, tmp_path):
    pytest.importorskip("peft")
    whole = aligned(preferences(), tmp_path / "a", "asft?kl_coef=0.5", lora_rank=4, learning_rate=1e-2)
    assert whole.history[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert whole.facts["last"]["kl"] > 1e-4


def test_prdp_is_clipped_around_the_start(aligned, ranked, tiny, tmp_path):
    """With another reference the start is where the completions were drawn: its log-ratios are kept beside it."""
    far = aligned(ranked(), tmp_path / "far", "superhf")
    options = dict(epochs=1.0, batch_size=64)
    rebel = aligned(ranked(), tmp_path / "a", "rebel", reference=str(far.folder), **options)
    prdp = aligned(ranked(), tmp_path / "b", "prdp?clip=0.01", reference=str(far.folder), **options)
    assert (tmp_path / "b" / "start.reference.npz").is_file()
    # before the first update nothing has moved, so nothing is clipped; around zero, most tokens would be
    assert prdp.history[0]["loss"] == pytest.approx(rebel.history[0]["loss"], rel=1e-5)
    held = aligned(ranked(), tmp_path / "c", "prdp?clip=0.01", epochs=8.0, learning_rate=1e-3)
    free = aligned(ranked(), tmp_path / "d", "rebel", epochs=8.0, learning_rate=1e-3)
    assert held.facts["last"]["kl"] < free.facts["last"]["kl"]


def test_opinions_meet(aligned, preferences, tiny, tmp_path):
    """After training, what the policy has become likelier to say is what it says is better, on every pair."""
    rows = [Pair(p.prompt, p.chosen, p.rejected) for p in preferences()]
    done = aligned(rows, tmp_path, "scir?beta=1.0", max_length=700, epochs=8.0)
    before, after = (LanguageModel.open(str(f), max_length=700, mode="padded") for f in (tiny, done.folder))

    def opinions(row):
        put = Wording()
        questions = [
            put.compare(row.prompt, a, b, INSTRUCTION)
            for a, b in ((row.chosen, row.rejected), (row.rejected, row.chosen))
        ]
        forward, backward = answer_logits(after, questions, put)
        judged = 1 / (1 + np.exp(-forward)) - 1 / (1 + np.exp(-backward))  # twice p - 1/2
        sides = [Sample(row.prompt, c) for c in (row.chosen, row.rejected)]
        ratios = [m.read(m.locate(sides)) for m in (after, before)]
        chosen, rejected = (ratios[0][i].logps.sum() - ratios[1][i].logps.sum() for i in (0, 1))
        return chosen - rejected, judged

    implied, judged = np.array([opinions(row) for row in rows]).T
    assert (np.sign(implied) == np.sign(judged)).all()
    assert done.history[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert done.facts["sequences"] == 2 * len(rows)  # questions are not counted


def test_a_question_that_does_not_fit(aligned, preferences, tmp_path):
    with pytest.raises(
        InputError, match="scir: row 1: the question which of the two is better is longer than max_leng"
    ):
        aligned(preferences(), tmp_path, "scir")
