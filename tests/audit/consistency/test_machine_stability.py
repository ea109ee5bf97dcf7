import numpy as np
import pytest

from plaudit.audit.consistency import CONSISTENCY, answer_consistency, answer_entropy, run_consistency, several_answers
from plaudit.audit.consistency.agreement import agreement
from plaudit.audit.consistency.stability import WAYS, precision, stability
from plaudit.audit.scored import Scored
from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from small_audits import Duel, Rule, noisy, pair, sound, world_pairs


class Padded:
    """Length, moved by the longest text of the batch, by the place in it, or by chance."""

    name, scope, bounds, fingerprint = "padded", "sample", (-9.0, 9.0), "padded"

    def __init__(self, by_batch=0.0, by_place=0.0, by_chance=0.0):
        self.by_batch, self.by_place, self.by_chance = by_batch, by_place, by_chance
        self.rng = np.random.default_rng(0)

    def __call__(self, samples):
        n = len(samples)
        r = np.array([len(s.text) for s in samples], float)
        r += self.by_batch * n + self.by_place * np.arange(n) + self.by_chance * self.rng.normal(size=n)
        return RewardBatch(r)


ROWS = [pair(f"p{i}", "xxx", "x") for i in range(20)]


def lights(reward):
    return {c.name.split("/")[1]: c.light for c in stability(ROWS, reward, resamples=50)}


def test_a_stable_reward_is_green():
    assert lights(Padded()) == dict.fromkeys(WAYS, "green")
    world, pairs = world_pairs()
    assert {c.light for c in stability(pairs, sound(world), resamples=50)} == {"green"}


def test_each_instability_is_named():
    assert lights(Padded(by_batch=0.1)) == {"determinism": "green", "batch-size": "red", "batch-order": "green"}
    assert lights(Padded(by_place=0.1))["batch-order"] == "red"
    assert lights(Padded(by_chance=1.0)) == dict.fromkeys(WAYS, "red")


def test_the_change_by_hand():
    # rewards {3, 1} and 40 samples: alone each is 0.1 * 39 lower, and the unit is sqrt 2
    found = stability(ROWS, Padded(by_batch=0.1), ways=["batch-size"], resamples=50)[0]
    assert found.evidence.value == pytest.approx(3.9 / np.sqrt(2))


def test_memory_does_not_hide_chance():
    scored = Scored(Padded(by_chance=1.0))
    assert stability(ROWS, scored, ways=["determinism"], resamples=50)[0].light == "red"


def test_groups_are_asked_group_by_group():
    class Grouped(Padded):
        scope = "group"

        def __call__(self, samples):
            assert len(samples) % 2 == 0
            return super().__call__(samples)

    assert stability(ROWS, Grouped(), ways=["batch-size"], resamples=50)[0].light == "green"


def test_precision_of_a_model(make_small_reward):
    rows = [pair(f"question {i}", f"a good answer {i} at length", f"bad {i}") for i in range(12)]
    reward = make_small_reward()
    before = reward([rows[0].samples()[0]]).reward
    found = precision(rows, reward, resamples=50)
    assert found.evidence.value > 0  # bfloat16 has eight bits
    assert found.evidence.value < 0.5
    assert reward([rows[0].samples()[0]]).reward == before  # the model is as it was
    assert precision(rows, Scored(reward), dtype="float32", resamples=50).evidence.value < 1e-4
    assert precision(rows, Rule(lambda s: 1.0)).light == "grey"


@pytest.fixture
def make_small_reward():
    def make():
        import torch
        import transformers as tf

        from plaudit.engine.rendering import Template, ensure_pad
        from plaudit.rewards.manifest import Manifest
        from plaudit.rewards.models import ModelReward
        from plaudit.training.backbones import fit_tokenizer

        tokenizer = fit_tokenizer(["question 1 a good answer at length", "bad 2"], 300)
        torch.manual_seed(0)
        config = tf.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=48, num_labels=1, initializer_range=0.2, max_position_embeddings=512,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )  # fmt: skip
        model = tf.AutoModelForSequenceClassification.from_config(config).eval()
        ensure_pad(tokenizer, model)
        template = Template.of(tokenizer, max_length=256).to_dict()
        return ModelReward(model, tokenizer, Manifest(template=template))

    return make


def test_agreement_by_hand():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(40)]
    length, against = Rule(lambda s: len(s.text), "length"), Rule(lambda s: -len(s.text), "against")
    assert agreement(rows, {"a": length, "b": length}, resamples=50).evidence.value == 1.0
    assert agreement(rows, {"a": length, "b": against}, resamples=50).light == "red"
    # couples: (length, length) agree, the two with `against` do not: one of three
    found = agreement(rows, {"a": length, "b": length, "c": against}, resamples=50)
    assert found.evidence.value == pytest.approx(1 / 3)
    assert found.examples[0].reward_before == 2.0
    world, pairs = world_pairs()
    sound_pair = {"true": sound(world), "noisy": noisy(world)}
    assert agreement(pairs, sound_pair, resamples=100).light == "green"


def test_members_agree_too():
    class Ensemble(Padded):
        def __call__(self, samples):
            batch = super().__call__(samples)
            return RewardBatch(batch.reward, members=np.stack([batch.reward, 2 * batch.reward], axis=1))

    assert agreement(ROWS, Ensemble(), resamples=50).evidence.value == 1.0
    assert agreement(ROWS, Padded()).light == "grey"


def test_answers_by_hand():
    assert answer_entropy(list("abcd")) == pytest.approx(np.log(4))
    assert answer_entropy(["a", "a"]) == 0.0
    assert answer_consistency(["a", "a", "a"]) == 1.0
    assert answer_consistency(["a"]) == 1.0
    assert answer_consistency(["a", "a", "b"]) == pytest.approx(1 / 3)  # one of three couples is equal
    assert answer_consistency(list("abc")) == 0.0


class Unsure:
    """A deviation that is small where the verdict is right: for one answer always, for several never."""

    name, scope, bounds, fingerprint = "unsure", "sample", (-9.0, 9.0), "unsure"

    def __call__(self, samples):
        return RewardBatch(np.zeros(len(samples)), std=np.array([s.meta["std"] for s in samples]))


def test_uncertainty_under_several_answers():
    rng = np.random.default_rng(0)
    right = np.tile([1, 0], 100)
    answers = np.repeat([1, 3], 100)
    std = np.where(answers == 1, 1.0 - 0.5 * right + 0.1 * rng.random(200), rng.random(200))
    samples = [Sample(f"p{i}", "x", meta={"std": float(v)}) for i, v in enumerate(std)]
    found = several_answers(samples, Unsure(), right, answers, resamples=200)
    assert found.light == "red"
    assert found.evidence.value == pytest.approx(0.5, abs=0.15)  # a perfect one minus a coin's
    same = [Sample(s.prompt, "x", meta={"std": 1.0 - 0.5 * r}) for s, r in zip(samples, right, strict=True)]
    assert several_answers(same, Unsure(), right, answers, resamples=50).evidence.value == 0.0
    assert several_answers(samples, Padded(), right, answers).skipped == "the reward gives no deviation"
    assert several_answers(samples[:30], Unsure(), right[:30], answers[:30]).light == "grey"
    with pytest.raises(ShapeError, match=r"\(1,\) correct and \(200,\) answers for 200 samples"):
        several_answers(samples, Unsure(), [1], answers)


def test_all_checks_in_one_call():
    world, pairs = world_pairs(n=400)
    found = {c.name: c for c in run_consistency(pairs, sound(world), others={"n": noisy(world)}, resamples=50)}
    assert {n for n, c in found.items() if c.light == "green"} == {
        "consistency/contrast", "consistency/determinism", "consistency/batch-size", "consistency/batch-order",
        "consistency/agreement",
    }  # fmt: skip
    assert found["consistency/translation"].skipped == "no pair has another version"
    assert not [c for c in found.values() if c.light in ("red", "amber")]
    duels = run_consistency(pairs[:40], Duel(lambda a, b: 0.5), resamples=50)
    assert {c.name for c in duels} == {
        "consistency/paraphrase", "consistency/translation", "consistency/order", "consistency/symmetry",
        "consistency/transitivity", "consistency/cyclicity",
    }  # fmt: skip
    assert all(check.tests for check in CONSISTENCY.values())


def test_columns_name_their_checks():
    rows = [pair(f"p{i}", "xxx", "x", de=f"deutsch {i}") for i in range(60)]
    found = run_consistency(
        rows, Rule(lambda s: len(s.text)), only=["versions"], columns={"translation": "de"}, resamples=50
    )
    assert {c.name: c.light for c in found}["consistency/translation"] == "green"


def test_errors_of_the_consistency_call():
    with pytest.raises(InputError, match="consistency: 'contrasts' is not known; did you mean 'contrast'"):
        run_consistency(ROWS, Padded(), only=["contrasts"])
    with pytest.raises(InputError, match="symmetry is made on a comparison and padded is a reward"):
        run_consistency(ROWS, Padded(), only=["symmetry"])
    with pytest.raises(InputError, match="consistency: no pairs; give at least one"):
        run_consistency([], Padded())
