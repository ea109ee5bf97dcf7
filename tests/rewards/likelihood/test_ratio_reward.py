"""The log-ratio reward against plain forward calls, its options, outcomes, and its place in the registry."""

import json

import numpy as np
import pytest
import torch

from plaudit.errors import InputError
from plaudit.records import Message, Sample
from plaudit.rewards.base import Outcome
from plaudit.rewards.likelihood import Domain, RatioOptions, RatioReward, Scale, guided_logits
from plaudit.rewards.registry import load
from plaudit.testing import RewardContract

SAMPLES = [
    Sample("What is the capital of Peru?", "Lima, I say"),
    Sample("What is the capital of Peru?", "I cannot help", steps=("I can", "not help")),
    Sample("Write two lines about rain.", ""),
]


def plainly(slow_logps, language, sample):
    (one,) = language.locate([sample])
    return slow_logps(language, one.ids)[one.counted - 1]


def test_it_equals_plain_forward_calls(strong, weak, slow_logps):
    batch = RatioReward(strong, weak, options=RatioOptions(beta=0.5))(SAMPLES)
    for i, sample in enumerate(SAMPLES):
        ratio = 0.5 * (plainly(slow_logps, strong, sample) - plainly(slow_logps, weak, sample))
        assert batch.reward[i] == pytest.approx(ratio.sum(), abs=1e-5)
        assert np.allclose(batch.tokens[i][:, 2], ratio, atol=1e-5)
        assert batch.steps[i].sum() == pytest.approx(ratio.sum(), abs=1e-5)
    assert [s.size for s in batch.steps] == [1, 2, 1]
    first = batch.tokens[1][:, 0] < 5  # tokens that begin in "I can"
    assert batch.steps[1][0] == pytest.approx(batch.tokens[1][first, 2].sum(), abs=1e-9)
    assert batch.outcome.tolist() == [Outcome.SCORED] * 3  # an empty answer is scored by how it ends


def test_trees_and_padding_agree(language):
    both = [
        RatioReward(language(0, mode=mode, budget=budget), language(1, mode=mode, budget=budget))(SAMPLES).reward
        for mode, budget in (("tree", 8192), ("tree", 30), ("padded", 64))
    ]
    assert np.allclose(both[0], both[1], atol=1e-5)
    assert np.allclose(both[0], both[2], atol=1e-5)


def test_it_is_dpo_s_implicit_reward_and_zero_for_one_model(strong, weak):
    """Equal models give 0; averages divide by the number of tokens; no reference leaves the likelihood."""
    assert np.abs(RatioReward(strong, strong)(SAMPLES).reward).max() < 1e-6
    total = RatioReward(strong, weak, options=RatioOptions(beta=1.0))(SAMPLES)
    mean = RatioReward(strong, weak, options=RatioOptions(beta=1.0, average="token"))(SAMPLES)
    counts = [d["tokens"] for d in total.detail]
    assert np.allclose(mean.reward * counts, total.reward, atol=1e-9)
    alone, other = (
        RatioReward(m, options=RatioOptions(beta=1.0), scale=Scale(floor=-1e4))(SAMPLES) for m in (strong, weak)
    )
    assert np.allclose(alone.reward - other.reward, total.reward, atol=1e-5)
    assert "reference_logp" not in alone.detail[0]


def test_scores_over_steps_and_accumulated_credit(strong, weak):
    def of(**options):
        return RatioReward(strong, weak, options=RatioOptions(beta=1.0, **options))(SAMPLES[1:2])

    single = of()
    sums = of(credit="accumulative", over="sum")
    assert np.allclose(sums.steps[0], np.cumsum(single.steps[0]), atol=1e-9)
    assert sums.reward[0] == pytest.approx(np.cumsum(single.steps[0]).sum(), abs=1e-9)
    assert of(over="min").reward[0] == single.steps[0].min()


def test_other_tokenizers_share_a_division_of_the_text(strong, language, slow_logps):
    other = language(3, lines=["capital capital Peru Peru Lima Lima " * 5], vocabulary=320)
    batch = RatioReward(strong, other, options=RatioOptions(beta=1.0))(SAMPLES)
    assert strong.rendering != other.rendering
    for i, sample in enumerate(SAMPLES):
        total = plainly(slow_logps, strong, sample).sum() - plainly(slow_logps, other, sample).sum()
        assert batch.reward[i] == pytest.approx(total, abs=1e-4)
        assert batch.tokens[i][:, 2].sum() == pytest.approx(total, abs=1e-4)
        assert (np.diff(batch.tokens[i][:, 0]) >= 0).all()


def test_domains_change_the_policy_s_prompt_only(strong, weak):
    domain = {"default": Domain("Say Lima.", (("Peru?", "Lima"),))}
    plain, told = RatioReward(strong, weak), RatioReward(strong, weak, domains=domain)
    batch = told(SAMPLES)
    assert batch.detail[0]["domain"] == "default"
    assert batch.detail[0]["reference_logp"] == pytest.approx(plain(SAMPLES).detail[0]["reference_logp"], abs=1e-5)
    by_hand = RatioReward(strong)([Sample(domain["default"].before(s.prompt), s.completion) for s in SAMPLES])
    assert [d["logp"] for d in batch.detail] == pytest.approx([d["logp"] for d in by_hand.detail], abs=1e-5)
    assert told.fingerprint != plain.fingerprint


def test_what_cannot_be_read_is_the_policy_s_fault(language):
    model = language(max_length=64)
    reward = RatioReward(model, options=RatioOptions(end=False), scale=Scale(floor=-7.0))
    batch = reward([Sample("q", "rain " * 90), Sample("q", ""), Sample("q", "Lima")])
    assert batch.outcome.tolist() == [Outcome.POLICY_FAULT, Outcome.POLICY_FAULT, Outcome.SCORED]
    assert batch.reward[:2].tolist() == [-7.0, -7.0]
    assert batch.detail[0]["reason"] == "the completion alone is longer than max_length"
    assert batch.detail[1]["reason"] == "the completion has no token that counts"
    assert batch.steps[0].size == 0
    assert batch.tokens[1].shape == (0, 3)


@pytest.mark.parametrize("letters", [45, 400])
def test_what_leaves_no_room_before_a_completion_is_not_the_policy_s_fault(language, letters):
    """A system message, or a domain's instruction, that fills 64 tokens but for a few, or all of them."""
    model = language(max_length=64)
    told = RatioReward(
        model, language(1, max_length=64), domains={"default": Domain("x" * letters)}, scale=Scale(floor=-7.0)
    )
    batch = told([Sample("q", "Lima, I say Lima"), Sample("q", "rain " * 90)])
    assert batch.outcome.tolist() == [Outcome.ABSTAINED, Outcome.POLICY_FAULT]
    assert batch.detail[0]["reason"] == "the system message leaves no room for the completion within max_length"
    asked = (Message("system", "x" * letters), Message("user", "q"))
    batch = RatioReward(model)([Sample(asked, "Lima, I say Lima"), Sample("q", "Lima, I say Lima")])
    assert batch.outcome.tolist() == [Outcome.ABSTAINED, Outcome.SCORED]


def test_a_reward_that_is_cut_at_the_floor_says_what_it_was(strong):
    samples = [Sample("q", "rain " * 40), Sample("q", "Lima")]
    free = RatioReward(strong, options=RatioOptions(beta=1.0), scale=Scale(floor=-1e6))(samples)
    floor = float(free.reward.mean())  # between the two
    cut = RatioReward(strong, options=RatioOptions(beta=1.0), scale=Scale(floor=floor))(samples)
    assert cut.reward.tolist() == [floor, free.reward[1]]
    assert cut.detail[0]["below_floor"] == free.reward[0]
    assert "below_floor" not in cut.detail[1]
    assert not any("below_floor" in told for told in free.detail)


def test_an_overflow_is_the_instrument_s_fault(language):
    broken = language(5)
    with torch.no_grad():
        broken.model.lm_head.weight.fill_(float("nan"))
    batch = RatioReward(broken)(SAMPLES)
    assert batch.outcome.tolist() == [Outcome.INSTRUMENT_FAULT] * 3
    assert np.isnan(batch.reward).all()
    assert "overflowed" in batch.detail[0]["error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, "likelihood/ratio: beta is 0.0; it must be positive"),
        ({"average": "mean"}, "likelihood/ratio: average is 'mean'; give one of sum, token"),
        ({"credit": "both"}, "likelihood/ratio: credit is 'both'; give one of single, accumulative"),
        ({"over": "max"}, "likelihood/ratio: over is 'max'; give one of total, min, sum"),
        ({"average": "token", "over": "min"}, "average='token' is a mean of the whole response; leave out `over`"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(InputError) as error:
        RatioOptions(**options)
    assert message in str(error.value)


def test_every_option_changes_the_fingerprint(strong, weak):
    made = [
        RatioReward(strong, weak, options=o)
        for o in (
            RatioOptions(), RatioOptions(beta=1.0), RatioOptions(average="token"), RatioOptions(credit="accumulative"),
            RatioOptions(over="min"), RatioOptions(end=False),
        )
    ]  # fmt: skip
    made += [RatioReward(strong), RatioReward(weak, strong), RatioReward(strong, weak, scale=Scale(floor=-5.0))]
    assert len({r.fingerprint for r in made}) == len(made)


def test_it_is_named_and_the_same_in_a_new_process(strong, weak, save_language, tmp_path, elsewhere):
    a, b = save_language(strong, tmp_path / "a"), save_language(weak, tmp_path / "b")
    name = f"likelihood/ratio?policy={a}&reference={b}&beta=0.5&end=false&floor=-50"
    here = load(name)
    assert here.bounds == (-50.0, float("inf"))
    code = (
        "import json, sys, plaudit; from plaudit import Sample\n"
        "r = plaudit.load(sys.argv[1]); b = r([Sample('What is the capital of Peru?', 'Lima, I say')])\n"
        "print(json.dumps([b.reward.tolist(), r.fingerprint]))"
    )
    printed = elsewhere(code, name)
    reward, fingerprint = json.loads(printed.splitlines()[-1])
    assert reward == pytest.approx(here(SAMPLES[:1]).reward.tolist(), abs=1e-6)
    assert fingerprint == here.fingerprint
    bare = load(f"likelihood/autoregressive?model={a}")
    assert bare.name == "autoregressive"
    assert bare(SAMPLES).reward.tolist() == pytest.approx([d["logp"] for d in bare(SAMPLES).detail], abs=1e-9)
    with pytest.raises(InputError, match="needs the option 'policy'"):
        load("likelihood/ratio")


def test_a_classifier_is_no_language_model(tmp_path, strong):
    import transformers as tf

    config = strong.model.config.__class__(**{**strong.model.config.to_dict(), "num_labels": 1})
    config._attn_implementation = "sdpa"
    tf.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    strong.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"holds no weights for lm_head.weight, so its probabilities would be random"):
        load(f"likelihood/autoregressive?model={tmp_path}")


class TestRatioContract(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, strong, weak):
        self.reward = RatioReward(strong, weak, scale=Scale(floor=-1000.0))

    def make_reward(self):
        return self.reward


def test_guided_decoding_recovers_the_tilted_policy():
    """pi_r proportional to (pi* / pi_base)^beta at each step: decoding with alpha = 1 / beta is pi* exactly."""
    generator = torch.Generator().manual_seed(0)
    target, base = torch.randn(2, 4, 7, generator=generator, dtype=torch.float64).log_softmax(-1)
    beta = 0.3
    reward = beta * (target - base) + 5.0  # logits are known up to a shift
    found = guided_logits(base, reward[None], alphas=[1 / beta]).softmax(-1)
    assert torch.allclose(found, target.exp(), atol=1e-12)
    assert torch.equal(guided_logits(base, reward[None], alphas=[0.0]), base.log_softmax(-1))
    twice = guided_logits(base, torch.stack([reward, reward]), alphas=[0.4, 0.6])
    assert torch.allclose(twice, guided_logits(base, reward[None], alphas=[1.0]), atol=1e-12)
    assert torch.allclose(
        guided_logits(base + 3.0, reward[None], alphas=[1.0]).softmax(-1), twice.softmax(-1), atol=1e-12
    )
    with pytest.raises(InputError, match="1 alphas for 2 reward models; give one each"):
        guided_logits(base, torch.stack([reward, reward]), alphas=[1.0])


def test_multi_turn_messages_are_scored(strong, weak):
    turns = (Message("assistant", "hum"), Message("user", "?"), Message("assistant", "ho"))
    batch = RatioReward(strong, weak)([Sample("q", turns)])
    assert batch.detail[0]["tokens"] == len(batch.tokens[0])
    assert {int(t) for t in batch.tokens[0][:, 1]} <= set(range(len("hum\nho") + 1))
